#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <marginalia/api.h>
#include <marginalia/json.h>

namespace marginalia {

/// Which way a measurement is better.
enum class Better { kNeither, kLower, kHigher };
MARGINALIA_API std::string_view to_string(Better better);  ///< "neither", "lower", "higher"

/// What reports draw of a measurement beside its number, from further keys of it.
enum class PlotKind {
  kNone,
  kBySize,       ///< "by_size" [{"size", "rms", "max", ...}]: against how many variables are known
  kPairs,        ///< "pairs" [[size, reference, answered], ...] of log p(x_S), and "by_size"
  kReliability,  ///< "bins" [{"predicted", "observed", "count"}]: what came against what was said
  kTime,         ///< the number itself, seconds of one log p(x_S), against what kPairs measures
  kGraph         ///< "strongest" [[i, j, r in training rows, in samples, in held-out rows], ...] of
                 ///< "variables"
};
MARGINALIA_API std::string_view to_string(PlotKind plot);  ///< "none", "by size", "pairs", ...

/// In which column of a comparison a measurement stands.
enum class ColumnKind {
  kOwn,     ///< of its estimator
  kShared,  ///< one for all ways to the same number: the first that is there, as they are declared
  kAside    ///< none but one that is asked for by name: what is known beside the model
};
MARGINALIA_API std::string_view to_string(ColumnKind column);  ///< "own", "shared", "aside"

/// What a metric declares of one of its measurements, or of several:
///
///   static constexpr MeasurementInfo kMeasurements[] = {
///       {"mean", "depth", "mean depth of the model's states", "m", Better::kLower}};
///
/// Registry::add reads it; reports, comparisons and the manual say what stands there.
struct MeasurementInfo {
  const char* estimator;  ///< Measurement::estimator; "wasserstein_*": all that begin so; "*": all
  const char* label;      ///< of the metric, in words: "negative log-likelihood"
  const char* meaning;    ///< a phrase or formula: "mean of -log p(x) over held-out states"
  const char* unit;       ///< "nats"; "": each measurement says its own
  Better better = Better::kNeither;
  PlotKind plot = PlotKind::kNone;
  ColumnKind column = ColumnKind::kOwn;
};

/// [{"estimator", "label", "meaning", "unit", "better", "plot", "column"}, ...]
MARGINALIA_API Json to_json(const std::vector<MeasurementInfo>& measurements);

/// The same as it is read back where the metric itself is not loaded.
struct MeasurementFacts {
  std::string estimator, label, meaning, unit;
  Better better = Better::kNeither;
  PlotKind plot = PlotKind::kNone;
  ColumnKind column = ColumnKind::kOwn;
};
/// An entry that is not an object is left out; a key that is missing, or unknown, has its default.
MARGINALIA_API std::vector<MeasurementFacts> parse_measurement_facts(const Json& json);

}  // namespace marginalia
