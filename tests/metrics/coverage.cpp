#include "fakes.h"

using namespace marginalia;
using namespace marginalia::test::metrics;

TEST_CASE("certificates of a table hold, spoilt or not, and a spoilt one is wider") {
  TableBench b;
  b.family.tilt = 0.5;
  const auto measurements =
      run_metric("coverage", b.evaluation,
                 R"("sizes": [34, 67], "queries": 60, "samples": 48, "width": 0, "exact_width": 0,
                    "base_samples": 128, "confidence": 0.8, "noise": [0, 2])");
  for (const auto* name : {"as trained", "noise 2"}) {
    CAPTURE(name);
    const auto& measurement = measurements.at(name);
    CHECK(measurement.value >= 0.75);
    CHECK(measurement.unit == "fraction");
    CHECK(measurement.samples == 120);
    CHECK(measurement.more["confidence"] == 0.8);
    REQUIRE(measurement.more["cells"].size() == 2);
    for (const auto& row : measurement.more["cells"]) {
      CHECK(row["count"] == 60);
      CHECK(row["median_width"].get<double>() > 0);
    }
  }
  CHECK(measurements.at("noise 2").more["median_width"].get<double>() >
        measurements.at("as trained").more["median_width"].get<double>());
  CHECK(measurements.at("time of a certificate").unit == "seconds");
}

TEST_CASE("coverage needs the truth, and conditionals to propose with") {
  TableBench b;
  b.evaluation.with_oracle = false;
  CHECK(unavailable("coverage", b.evaluation) == "needs the truth: too many states");
  b.evaluation.with_oracle = true;
  remove(b.family, QueryKind::kConditionals);
  CHECK(unavailable("coverage", b.evaluation) ==
        "needs conditionals in one pass, and the family offers none");
}
