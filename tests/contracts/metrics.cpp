#include "built.h"
#include "contracts.h"

#include <cmath>

#include "host/describe/measurements.h"
#include "host/evaluation/evaluator.h"
#include "records/report/measurement_facts.h"

using namespace marginalia;

namespace {

/// Small untrained models of an energy and of a dataset, measured by every metric; also where the
/// variables differ in their values.
struct SmallModel {
  std::string name;
  std::string spec;
};
const SmallModel kSmallModels[] = {{"a model of an energy", R"({"marginalia": 2, "seed": 1,
      "energy": {"type": "ising", "side": 3}, "network": {"type": "mlp", "hidden": 16, "layers": 2},
      "family": {"type": "mam"}})"},
                                   {"a model of a dataset", R"({"marginalia": 2, "seed": 1,
      "dataset": {"type": "table", "name": "tiny"},
      "network": {"type": "mlp", "hidden": 16, "layers": 2},
      "family": {"type": "any_order_arm"}})"},
                                   {"a model of an energy of 2, 3 and 5 values",
                                    R"({"marginalia": 2, "seed": 1,
      "energy": {"type": "factor_graph", "file": "mixed.uai"},
      "network": {"type": "mlp", "hidden": 16, "layers": 2}, "family": {"type": "mam"}})"},
                                   {"a model of a dataset of 2, 3 and 5 values",
                                    R"({"marginalia": 2, "seed": 1,
      "dataset": {"type": "table", "name": "mixed"},
      "network": {"type": "mlp", "hidden": 16, "layers": 2},
      "family": {"type": "any_order_arm"}})"}};

Experiment build(const SmallModel& subject) {
  Json metrics = Json::array();
  for (const auto& [name, entry] : test::loaded_registry().all<Metric>())
    metrics.push_back(test::example(entry.description).json());
  const auto spec =
      Spec::from_text(subject.spec, "spec.json", {MARGINALIA_TEST_DATA, MARGINALIA_TEST_DATA});
  return Experiment(test::in_float32(spec.with({"evaluation.metrics=" + metrics.dump()})),
                    test::loaded_registry(), "cpu");
}

Json measure(Experiment& experiment) {
  return evaluate(experiment,
                  {experiment.evaluation.metrics, {50, false}, Split::kTest, experiment.seed, NAN});
}

/// A value that is a number, or the name of one that JSON cannot hold.
bool is_value(const Json& value) {
  return value.is_number() || value == "inf" || value == "-inf" || value.is_null();
}

TEST_CASE("every metric gives figures with unit and status, or says why not") {
  std::map<std::string, std::string> reasons;
  for (const auto& subject : kSmallModels) {
    CAPTURE(subject.name);
    auto experiment = build(subject);
    const auto result = measure(experiment);
    for (const auto& [name, entry] : test::loaded_registry().all<Metric>()) {
      CAPTURE(name);
      if (!result["metrics"].contains(name)) {
        const auto why = result.contains("unavailable") && result["unavailable"].contains(name)
                             ? result["unavailable"][name].get<std::string>()
                             : "";
        CHECK_FALSE(why.empty());
        reasons[name] += fmt::format("\n  for {}: {}", subject.name, why);
        continue;
      }
      const auto& figures = result["metrics"][name];
      CHECK_FALSE(figures.empty());
      for (const auto& [estimator, figure] : figures.items()) {
        CAPTURE(estimator);
        CHECK_FALSE(estimator.empty());
        CHECK(is_value(figure.at("value")));
        CHECK_FALSE(figure.at("unit").get<std::string>().empty());
        const auto status = figure.at("status").get<std::string>();
        CHECK(
            (status == "exact" || status == "upper" || status == "lower" || status == "estimate"));
        if (figure.contains("stderr")) CHECK(figure.at("stderr").get<double>() >= 0);
      }
    }
  }
  for (const auto& [name, why] : reasons)
    MESSAGE(name, " is not computed", why);
}

/// What `metric` declares of its measurement by `estimator`.
const MeasurementFacts* declared(const std::string& metric, const std::string& estimator) {
  static const MetricFacts facts(collect_measurement_facts(test::loaded_registry()));
  return facts.find(metric + "/" + estimator);
}

TEST_CASE("every metric declares what it measures, in the unit that it gives") {
  for (const auto& [name, entry] : test::loaded_registry().all<Metric>()) {
    CAPTURE(name);
    const auto& all = entry.description.measurements;
    CHECK_FALSE(all.empty());
    for (const auto& m : all) {
      CAPTURE(m.estimator);
      CHECK_FALSE(std::string(m.label).empty());
      CHECK_FALSE(std::string(m.meaning).empty());
      CHECK(std::string(m.label) == all.front().label);  // of the metric
    }
  }
  for (const auto& subject : kSmallModels) {
    CAPTURE(subject.name);
    auto experiment = build(subject);
    for (const auto& [name, measured] : measure(experiment)["metrics"].items())
      for (const auto& [estimator, measurement] : measured.items()) {
        CAPTURE(name);
        CAPTURE(estimator);
        const auto* facts = declared(name, estimator);
        REQUIRE(facts);
        if (!facts->unit.empty()) CHECK(measurement.at("unit") == facts->unit);
        if (facts->plot == PlotKind::kReliability) CHECK(measurement.contains("bins"));
        if (facts->plot == PlotKind::kBySize || facts->plot == PlotKind::kPairs)
          CHECK(measurement.contains("by_size"));
        if (facts->plot == PlotKind::kPairs) CHECK(measurement.contains("pairs"));
        if (facts->plot == PlotKind::kTime) CHECK(measurement.at("unit") == "seconds");
      }
  }
}

TEST_CASE("a metric measured again gives the same figures") {
  for (const auto& subject : kSmallModels) {
    CAPTURE(subject.name);
    auto experiment = build(subject);
    const auto first = measure(experiment), second = measure(experiment);
    for (const auto& [name, figures] : first["metrics"].items())
      for (const auto& [estimator, figure] : figures.items()) {
        if (figure.at("unit") == "seconds") continue;
        CAPTURE(name);
        CAPTURE(estimator);
        CHECK(second["metrics"][name][estimator].dump() == figure.dump());
      }
  }
}

TEST_CASE("measuring leaves the model alone") {
  for (const auto& subject : kSmallModels) {
    CAPTURE(subject.name);
    auto experiment = build(subject);
    std::vector<torch::Tensor> before;
    for (const auto& group : experiment.family->parameters())
      for (const auto& [name, parameter] : group.parameters)
        before.push_back(parameter.detach().clone());
    measure(experiment);
    std::size_t at = 0;
    for (const auto& group : experiment.family->parameters())
      for (const auto& [name, parameter] : group.parameters)
        CHECK(parameter.equal(before[at++]));
  }
}

}  // namespace
