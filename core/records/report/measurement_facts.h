#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <marginalia/measurement.h>

namespace marginalia {

/// What metrics declare of their measurements (MeasurementInfo), where no plugin is loaded. Of a
/// metric that is not among them nothing is known but its name.
class MetricFacts {
 public:
  MetricFacts() = default;
  /// json: {METRIC: [{"estimator", "label", ...}, ...]}; what has another form is left out.
  explicit MetricFacts(Json json);

  /// The same with what `others` say of metrics that are not known here.
  MetricFacts with(const MetricFacts& others) const;
  /// The facts of some metrics alone, as JSON.
  Json of(const std::vector<std::string>& metrics) const;

  /// What is declared of "metric/estimator": under that name, else under the longest beginning that
  /// ends in "*". Null where nothing is.
  const MeasurementFacts* find(const std::string& key) const;
  /// Which way "metric/estimator" is better, or "metric", all of whose measurements then agree.
  Better better(const std::string& key) const;
  /// "error of energy", of "observables/energy" where the metric's label begins with "error of": an
  /// error that is not to be taken for the quantity itself. Else "".
  std::string error_label(const std::string& key) const;
  PlotKind plot(const std::string& key) const;
  ColumnKind column(const std::string& key) const;
  /// Whether any measurement of a metric has that kind of column.
  bool has_column(const std::string& metric, ColumnKind kind) const;
  /// The place of a measurement among those that its metric declares, in the order of preference;
  /// one that is not declared comes last.
  std::size_t rank(const std::string& key) const;

 private:
  const std::vector<MeasurementFacts>& declared(const std::string& metric) const;
  Json json_ = Json::object();
  std::map<std::string, std::vector<MeasurementFacts>> by_metric_;
};

}  // namespace marginalia
