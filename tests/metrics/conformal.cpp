#include "fakes.h"

#include <bit>

using namespace marginalia;
using namespace marginalia::test::metrics;

TEST_CASE("a radius holds for fresh queries of its law, bin by bin, and not for others") {
  TableBench b(12);      // more states than queries
  b.family.noise = 0.4;  // errors in the marginals; conditionals are exact
  const auto measurement =
      run_metric(
          "conformal", b.evaluation,
          R"("queries": 400, "bins": 2, "confidence": 0.8, "samples": 400, "exact_width": 0)")
          .at("one_pass");
  CHECK(measurement.samples == 400);
  CHECK(measurement.more["confidence"].get<double>() == doctest::Approx(0.798));
  const auto& radii = measurement.more["radii"];
  REQUIRE(radii.size() == 2);
  CHECK(radii[0]["from"] == 0);
  CHECK(radii[0]["to"] == 1);
  CHECK(radii[1]["from"] == 2);
  CHECK(radii[1]["to"] == 3);
  // all queries there are, with their probabilities: sizes uniform in a bin, subsets, true states
  for (const auto& row : radii) {
    const auto radius = row["radius"].get<double>();
    CHECK(radius < 0.6);
    double held = 0, total = 0;
    const auto x = b.energy.repeated();
    for (auto size = row["from"].get<std::int64_t>(); size <= row["to"].get<std::int64_t>(); ++size)
      for (std::int64_t n = 0; n < x.size(0); ++n)
        for (unsigned mask = 0; mask < 8; ++mask) {
          if (std::popcount(mask) != size) continue;
          auto s = to_state(x, n);
          for (std::size_t i = 0; i < 3; ++i)
            if (!(mask >> i & 1)) s[i] = kUnknown;
          const auto weight = size == 0 || size == 3 ? 1.0 : 1.0 / 3;
          total += weight;
          held += weight * (std::abs(b.family.one_pass(s) - b.energy.log_marginal(s)) <= radius);
        }
    CHECK(held / total > 0.798 - 3 * std::sqrt(0.16 / 200));
  }
}

TEST_CASE("no state calibrates twice") {
  TableBench b(1);
  const auto measurement = run_metric("conformal", b.evaluation, R"("queries": 400, "bins": 1)");
  CHECK(measurement.at("one_pass").samples == b.energy.repeated().size(0));
}

TEST_CASE("too few queries for a bin leave it without a radius, and what is missing is said") {
  TableBench b;
  const auto measurement =
      run_metric("conformal", b.evaluation,
                 R"("queries": 6, "bins": 3, "confidence": 0.95, "samples": 8)")
          .at("one_pass");
  for (const auto& row : measurement.more["radii"])
    CHECK(row["radius"] == "inf");
  b.evaluation.target = nullptr;
  CHECK(unavailable("conformal", b.evaluation) == "needs an energy: labels are certificates of it");
}
