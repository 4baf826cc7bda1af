#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
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

/// Trains the experiment's family into `run`, from `from` (a checkpoint; empty: as it is).
/// -> where it stopped. Throws Error when a loss or gradient is not finite, after writing what led
/// to it to checkpoints/not_finite.safetensors.
struct Training {
  Outcome outcome;
  TrainingState state;
};
Training train(Experiment& experiment, const RunDirectory& run, const std::filesystem::path& from,
               const TrainingHooks& hooks);

}  // namespace marginalia
