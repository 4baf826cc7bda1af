#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <marginalia/registry.h>

#include "host/plugins/plugin_host.h"
#include "host/ranks/communicator.h"
#include "host/training/trainer.h"

namespace marginalia {

/// What runs are built from, and what their records say of it.
struct Environment {
  const Registry& registry;
  std::vector<LoadedPlugin> plugins = {};  ///< for run.json
  std::filesystem::path data = default_data_directory();
  std::string device = {};  ///< overrides the specs'; empty: theirs
  /// Of LibTorch, BLAS and TBB; 0: as recorded, else as many as there are, of ranks a share each.
  int threads = 0;
  std::string commit = {};        ///< of the source tree; for run.json
  Communicator* ranks = nullptr;  ///< that run one spec together; null: one process
};

/// What the caller of a run sees and decides while it goes on. All are optional, and are called by
/// the thread that called the host.
struct Hooks {
  const std::atomic<bool>* stop = nullptr;  ///< when it turns true training ends with a checkpoint
  std::function<void(const std::string&)> say = {};   ///< what is being done, a line each
  std::function<void(const std::string&)> warn = {};  ///< what the user should know
  /// The folder is made, or taken up again: from here on a failure stands in its record.
  std::function<void(const std::filesystem::path& folder)> begun = {};
  /// After a step that was logged, and after the last; share: of training, 0 to 1.
  std::function<void(const TrainingState&, const TrainingParams&, double share, double loss)>
      progress = {};
  /// Training is over and its checkpoint written; what is left can be measured again at any time.
  std::function<void()> trained = {};
};

/// How many processors this process may use.
int usable_processors();

/// Holds LibTorch, BLAS and TBB to a number of threads: each would make as many as there are cores.
class HeldThreads {
 public:
  explicit HeldThreads(int count);
  ~HeldThreads();
  HeldThreads(const HeldThreads&) = delete;
  HeldThreads& operator=(const HeldThreads&) = delete;

 private:
  struct Tbb;
  std::unique_ptr<Tbb> tbb_;
};

}  // namespace marginalia
