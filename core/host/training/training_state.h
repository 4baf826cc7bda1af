#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace marginalia {

/// Values of which the next line of metrics.jsonl gives the mean.
struct RecordedValues {
  double sum = 0;
  std::int64_t count = 0;
};

/// How far training is.
struct TrainingState {
  std::int64_t step = 0;  ///< optimisation steps done
  double seconds = 0;     ///< of training, evaluation and writing excluded
  std::int64_t energy_evaluations = 0;
  std::int64_t passes = 0;         ///< network passes x rows
  std::int64_t rows_consumed = 0;  ///< of the training split, over all epochs
  std::int64_t best_step = -1;     ///< by evaluation.select; -1: none yet
  double best_value = 0;
  std::int64_t evaluations_since_best = 0;
  bool unmeasured = false;  ///< the evaluation that was due after the last step is still to be made
  std::map<std::string, RecordedValues> recorded;  ///< since the last line of metrics.jsonl
  /// As a checkpoint keeps it.
  std::string to_text() const;
  static TrainingState from_text(const std::string& text);  ///< throws Error where it is damaged
};

}  // namespace marginalia
