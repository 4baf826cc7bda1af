#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <marginalia/query.h>
#include <marginalia/tool.h>

#include "environment.h"
#include "host/experiment/experiment.h"
#include "records/runs/run_directory.h"

namespace marginalia {

/// A trained run, ready to answer.
struct OpenRun {
  RunDirectory directory;
  Experiment experiment;
  std::int64_t step;  ///< of the checkpoint that answers
};

/// checkpoint: a file, or its name in checkpoints/; empty: the best, else the last. Warns of files
/// that changed since training. Throws SpecError where there is no such run or checkpoint.
OpenRun open_run(const std::filesystem::path& folder, const std::string& checkpoint,
                 const Environment& environment, const Hooks& hooks = {});

/// The run as tools see it.
std::shared_ptr<const TrainedRun> lend(OpenRun run);

/// Colours of the network that the conditionals come from: int64 [D]; undefined where it has none.
Tensor find_colours(const Networks& networks);

/// Warns of what the family says of its training.  -> that.
std::vector<std::string> warn_of_training(const Family& family, const Hooks& hooks);

/// Warns of the energy's files that are not what training read.  -> their names.
std::vector<std::string> warn_of_changed_files(const RunDirectory& run,
                                               const Environment& environment, const Hooks& hooks);

/// log p(x_S | given) of the energy itself: float64 [B]. `given` may be undefined; throws
/// ImpossibleGiven where it has probability zero.
Tensor exact_log_marginal(const Oracle& oracle, const Tensor& partial, const Tensor& given);

/// Answers of a run by one estimator: one of the family's ("": its best), "exact" (of log p alone:
/// the energy's oracle) or "routed".
class Answers {
 public:
  /// Outlived by `run`. Throws SpecError where the run has no such estimator.
  explicit Answers(const OpenRun& run, std::string estimator = "");
  ~Answers();

  /// The estimator of `query` is this one's. Throws ImpossibleGiven as check_given does.
  Answer operator()(Query query, Stream& stream) const;
  /// Throws ImpossibleGiven for the first row, int64 [B, D], that has probability zero, as far as
  /// the energy can tell (inference/conditioning.h).
  void check_given(const Tensor& given) const;

 private:
  struct Others;
  const OpenRun& run_;
  std::string estimator_;
  std::unique_ptr<Others> others_;
};

}  // namespace marginalia
