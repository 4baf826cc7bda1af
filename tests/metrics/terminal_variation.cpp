#include "fakes.h"

#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using namespace marginalia::test::metrics;

namespace {

struct VariationBench {
  WholeEnergy energy;
  TableFamily family{energy};
  FakeEvaluation evaluation{family};
  VariationBench() { evaluation.target = &energy; }

  /// 1/2 sum_x |q(x) - p(x)|, q(x) the mean over `orders` of the chain's.
  double by_hand(const std::vector<State>& orders) const {
    double sum = 0;
    const auto states = all_states(energy.space());
    for (std::int64_t n = 0; n < states.size(0); ++n) {
      const auto x = to_state(states, n);
      double q = 0;
      for (const auto& order : orders)
        q += std::exp(family.chain(x, order)) / double(orders.size());
      sum += std::abs(q - std::exp(energy.log_marginal(x))) / 2;
    }
    return sum;
  }
};

const std::vector<State> kAllOrders{{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

}  // namespace

TEST_CASE("terminal_variation of the exact model is nothing") {
  VariationBench b;
  const auto measurement = run_metric("terminal_variation", b.evaluation).at("exact");
  CHECK(measurement.value < 1e-12);
  CHECK(measurement.more["passes"] ==
        3 * 4 * 3 - 2 * 3 * 2);  // all partial states but the full ones
  CHECK(measurement.samples == 2 * 3 * 2);
}

TEST_CASE("terminal_variation meets the sum over all orders and states") {
  VariationBench b;
  b.family.tilt = 0.8;
  // rows: batches of all sizes, ending within a subset and not
  for (const auto* rows : {"1", "5", "4096"}) {
    const auto more = std::string(R"("rows": )") + rows;
    const auto measurement = run_metric("terminal_variation", b.evaluation, more).at("exact");
    CHECK(measurement.value > 0.05);
    CHECK(measurement.value == doctest::Approx(b.by_hand(kAllOrders)).epsilon(1e-10));
    CHECK(measurement.more["order"] == "random");
  }
}

TEST_CASE("terminal_variation follows the order of the samples, or the one asked for") {
  VariationBench b;
  b.family.tilt = 0.8;
  const auto measurement = run_metric("terminal_variation", b.evaluation, R"("order": "backward")");
  CHECK(measurement.at("exact").value == doctest::Approx(b.by_hand({{2, 1, 0}})).epsilon(1e-10));
  CHECK(measurement.at("exact").more["passes"] == 1 + 2 + 6);  // beginnings alone
  b.evaluation.samples.order = "forward";
  const auto forward = run_metric("terminal_variation", b.evaluation).at("exact");
  CHECK(forward.value == doctest::Approx(b.by_hand({{0, 1, 2}})).epsilon(1e-10));
  CHECK(forward.more["order"] == "forward");
}

TEST_CASE("terminal_variation says what it needs") {
  VariationBench b;
  CHECK(unavailable("terminal_variation", b.evaluation, R"("limit": 35)") ==
        "needs a pass for each of 36 partial states, more than \"limit\" 35");
  CHECK(unavailable("terminal_variation", b.evaluation, R"("limit": 36)") == "available");
  remove(b.family, QueryKind::kConditionals);
  CHECK(unavailable("terminal_variation", b.evaluation) ==
        "needs the conditionals that samples are drawn by, in one pass; of these the family "
        "offers: none");
  b.evaluation.target = nullptr;
  CHECK(unavailable("terminal_variation", b.evaluation) == "needs an energy");
}
