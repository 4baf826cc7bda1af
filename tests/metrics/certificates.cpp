#include "fakes.h"

#include <fmt/format.h>

#include <marginalia/inference/certify.h>

using namespace marginalia;
using namespace marginalia::test::metrics;

TEST_CASE("certificates are narrower the longer one samples, by subset size") {
  TableBench b;
  b.family.tilt = 0.5;
  const auto measurements = [&](double width) {
    return run_metric("certificates", b.evaluation,
                      fmt::format(R"("sizes": [34, 67], "queries": 6, "exact_width": 0, "width": {},
                                     "seconds": 20, "base_seconds": 20)",
                                  width));
  };
  const auto wide = measurements(1), narrow = measurements(0.3);
  CHECK(narrow.at("width").value <= 0.3);
  CHECK(narrow.at("width").value < wide.at("width").value);
  CHECK(wide.at("width").value <= 1);
  CHECK(narrow.at("width").samples == 12);
  CHECK(narrow.at("two_sided").value == 1);
  CHECK(narrow.at("seconds").value > 0);
  const auto& more = narrow.at("width").more;
  const auto log_z = Certificate::from_json(more["log_z"]);
  CHECK(log_z.holds(b.energy.log_z()));
  REQUIRE(more["cells"].size() == 2);
  for (const auto& cell : more["cells"]) {
    CHECK(cell["count"] == 6);
    CHECK(cell["stopped"]["width"] == 6);
    CHECK(cell["routes"]["network"] == 6);
  }
}

TEST_CASE("certificates need an energy, and conditionals to propose with") {
  TableBench b;
  remove(b.family, QueryKind::kConditionals);
  CHECK(unavailable("certificates", b.evaluation) ==
        "needs conditionals in one pass, and the family offers none");
  b.evaluation.target = nullptr;
  CHECK(unavailable("certificates", b.evaluation) ==
        "needs an energy: its log f is what is certified");
}
