#include "fakes.h"

using namespace marginalia;
using namespace marginalia::test::metrics;

TEST_CASE("certificates of a table hold, spoilt or not, and a spoilt one is wider") {
  TableBench b;
  b.family.tilt = 0.5;
  const auto figures =
      figures_of("coverage", b.evaluation,
                 R"("sizes": [34, 67], "queries": 60, "samples": 48, "width": 0, "islands": 0,
                    "base_samples": 128, "confidence": 0.8, "noise": [0, 2])");
  for (const auto* name : {"as trained", "noise 2"}) {
    CAPTURE(name);
    const auto& figure = figures.at(name);
    CHECK(figure.value >= 0.75);
    CHECK(figure.unit == "fraction");
    CHECK(figure.samples == 120);
    CHECK(figure.more["confidence"] == 0.8);
    REQUIRE(figure.more["cells"].size() == 2);
    for (const auto& row : figure.more["cells"]) {
      CHECK(row["count"] == 60);
      CHECK(row["median_width"].get<double>() > 0);
    }
  }
  CHECK(figures.at("noise 2").more["median_width"].get<double>() >
        figures.at("as trained").more["median_width"].get<double>());
  CHECK(figures.at("time of a certificate").unit == "seconds");
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
