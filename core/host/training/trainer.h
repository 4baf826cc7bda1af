#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "checkpoint.h"
#include "host/experiment/experiment.h"
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

/// Where training stopped.
struct Training {
  Outcome outcome;
  TrainingState state;
};

/// Training of the experiment's family into `run`, from `from` (a checkpoint; empty: as it is), a
/// step at a time. All that is referred to outlives it.
class TrainingLoop {
 public:
  TrainingLoop(Experiment& experiment, const RunDirectory& run, const std::filesystem::path& from,
               const TrainingHooks& hooks);
  ~TrainingLoop();
  /// One optimisation step, and what is due after it.  -> whether there is another. Throws Error
  /// when a loss or gradient is not finite, after writing what led to it to
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
