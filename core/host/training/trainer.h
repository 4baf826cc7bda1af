#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "checkpoint.h"
#include "host/experiment/experiment.h"
#include "host/ranks/communicator.h"
#include "records/runs/run_directory.h"

namespace marginalia {

/// How training ended.
enum class Outcome { kFinished, kInterrupted };

/// What the caller of `train` sees and decides while it runs.
struct TrainingHooks {
  const std::atomic<bool>* stop = nullptr;  ///< when it turns true: checkpoint and return
  /// Called after a step that was logged, and after the last.
  std::function<void(const TrainingState&, const TrainingParams&, double progress, double loss)>
      progress;
};

/// Throws SpecError, with all the reasons, where `ranks` of them cannot train what a spec asks for.
void check_data_parallel(const Experiment& experiment, int ranks);

/// Where training stopped.
struct Training {
  Outcome outcome;
  TrainingState state;
};

/// Where training is kept: `run` is null on ranks other than 0, which write nothing; `ranks` is
/// null where there is one process.
struct TrainingPlace {
  const RunDirectory* run;
  Communicator* ranks = nullptr;
};

/// Training of the experiment's family, from `from` (a checkpoint; empty: as it is), a step at a
/// time. Several ranks take each step together: each on its share of every batch (Step::share),
/// with gradients that are the sum of theirs. All that is referred to outlives it.
class TrainingLoop {
 public:
  TrainingLoop(Experiment& experiment, const TrainingPlace& place,
               const std::filesystem::path& from, const TrainingHooks& hooks);
  ~TrainingLoop();
  /// One optimisation step, and what is due after it.  -> whether there is another. Throws Error,
  /// on all ranks, when a loss or gradient is not finite, after writing what led to it to
  /// checkpoints/not_finite.safetensors.
  bool advance();
  /// The last checkpoint.
  Training end();

  const TrainingState& state() const;
  double progress() const;  ///< 0 to 1, through the budget
  double loss() const;      ///< of the last step

 private:
  class Trainer;
  std::unique_ptr<Trainer> trainer_;
};

/// Trains to the end, or until it is told to stop.
Training train(Experiment& experiment, const RunDirectory& run, const std::filesystem::path& from,
               const TrainingHooks& hooks);

}  // namespace marginalia
