#include "fakes.h"

#include <bit>

#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using namespace marginalia::test::metrics;

namespace {

/// log p(s) of the model's joint along its forward order, by its completions.
double joint_marginal(const TableFamily& family, const State& s) {
  double sum = 0;
  const auto all = all_states(family.space());
  for (std::int64_t n = 0; n < all.size(0); ++n) {
    const auto x = to_state(all, n);
    bool fits = true;
    for (std::size_t i = 0; i < s.size(); ++i)
      fits = fits && (s[i] == kUnknown || s[i] == x[i]);
    if (fits) sum += std::exp(family.chain(x, {0, 1, 2}));
  }
  return std::log(sum);
}

/// The mean of F(x_S) - log p(x_S), x from the joint, S uniform of one size.
double mean_error(const TableFamily& family, int size) {
  double error = 0, total = 0;
  const auto all = all_states(family.space());
  for (std::int64_t n = 0; n < all.size(0); ++n)
    for (unsigned mask = 0; mask < 8; ++mask) {
      if (std::popcount(mask) != size) continue;
      const auto x = to_state(all, n);
      auto s = x;
      for (std::size_t i = 0; i < 3; ++i)
        if (!(mask >> i & 1)) s[i] = kUnknown;
      const auto weight = std::exp(family.chain(x, {0, 1, 2}));
      total += weight;
      error += weight * (family.one_pass(s) - joint_marginal(family, s));
    }
  return error / total;
}

}  // namespace

TEST_CASE("the mean error of one-pass answers lies between the two ends, by subset size") {
  TableBench b;
  b.evaluation.target = nullptr;
  b.family.offset = 0.3;
  for (const double tilt : {0.0, 0.8}) {
    CAPTURE(tilt);
    b.family.tilt = tilt;
    const auto measurements =
        run_metric("error_bracket", b.evaluation, R"("sizes": [34, 67], "queries": 4000)");
    const auto& low = measurements.at("lower");
    CHECK(low.status == Status::kLower);
    CHECK(measurements.at("upper").status == Status::kUpper);
    REQUIRE(low.more["by_size"].size() == 2);
    for (const auto& row : low.more["by_size"]) {
      const auto at = [&](const char* key) { return row[key].get<double>(); };
      const auto truth = mean_error(b.family, int(at("size")));
      CHECK(at("lower") - 4 * at("lower_stderr") <= truth + 1e-9);
      CHECK(at("upper") + 4 * at("upper_stderr") >= truth - 1e-9);
      if (tilt == 0) {  // then a chain is exact, and so are both ends
        CHECK(std::abs(at("lower") - truth) <= 4 * at("lower_stderr") + 1e-9);
        CHECK(std::abs(at("upper") - truth) <= 4 * at("upper_stderr") + 1e-9);
      } else {
        CHECK(at("upper") - at("lower") > 4 * std::hypot(at("lower_stderr"), at("upper_stderr")));
      }
    }
  }
}

TEST_CASE("a model of an energy has another target, and one without one-pass answers none") {
  TableBench b;
  CHECK(unavailable("error_bracket", b.evaluation).find("the target is the energy") == 0);
  b.evaluation.target = nullptr;
  remove(b.family, QueryKind::kLogMarginal, "one_pass");
  CHECK(unavailable("error_bracket", b.evaluation) ==
        "needs log-marginals and conditionals in one pass");
}
