#include "fakes.h"

using namespace marginalia;
using namespace marginalia::test::metrics;

namespace {

struct DataBench {
  WholeEnergy energy;
  TableFamily family{energy};
  Rows data;
  FakeEvaluation evaluation{family};
  explicit DataBench(std::int64_t copies = 1)
      : data(energy.space(), energy.repeated().repeat({copies, 1})) {
    evaluation.rows_given = &data;
    evaluation.truth = data.all();
  }
};

/// E of the log-mean-exp of `count` of these, drawn with replacement.
double expected_ensemble(const std::vector<double>& chains, int count) {
  std::vector<double> values;
  std::vector<std::size_t> digits(std::size_t(count), 0);
  for (bool more = true; more;) {
    std::vector<double> drawn;
    for (const auto d : digits)
      drawn.push_back(chains[d]);
    values.push_back(log_mean_exp(drawn));
    more = false;
    for (auto& d : digits) {
      if (++d < chains.size()) {
        more = true;
        break;
      }
      d = 0;
    }
  }
  return mean(values);
}

}  // namespace

TEST_CASE("nll of an exact model is the entropy, by every estimator") {
  DataBench b;
  double entropy = 0;
  for (std::int64_t n = 0; n < b.data.all().size(0); ++n)
    entropy -= b.energy.log_marginal(to_state(b.data.all(), n)) / double(b.data.all().size(0));
  const auto measurements = run_metric("nll", b.evaluation);
  CHECK(measurements.size() == 4);
  for (const auto& [name, measurement] : measurements) {
    CAPTURE(name);
    if (name == "masked") {  // a mean over masks
      CHECK(std::abs(measurement.value - entropy) < 5 * *measurement.stderr_ + 0.1);
      CHECK((measurement.status == Status::kUpper));
      continue;
    }
    CHECK(measurement.value == doctest::Approx(entropy).epsilon(1e-9));
    CHECK(measurement.more["bits_per_dim"].get<double>() ==
          doctest::Approx(entropy / 3 / std::log(2)).epsilon(1e-9));
    CHECK(measurement.more["split"] == "valid");
    CHECK(measurement.samples == b.data.all().size(0));
    CHECK(measurement.status == (name == "one_pass" ? Status::kEstimate : Status::kUpper));
  }
  CHECK(measurements.at("one_order").more["orders"] == 1);
  CHECK(measurements.at("ensemble").more["orders"] == 5);
  CHECK(measurements.at("ensemble").more["passes"] == 15);
  CHECK(!measurements.at("one_pass").more.contains("orders"));
}

TEST_CASE("nll meets the mean over all orders, and over all draws of an ensemble") {
  DataBench b(40);
  b.family.tilt = 1.2;
  b.family.noise = 0.4;
  std::vector<double> one, two, pass;
  const auto distinct = b.data.all().size(0) / 40;
  for (std::int64_t n = 0; n < distinct; ++n) {
    const auto x = to_state(b.data.all(), n);
    one.push_back(-mean(b.family.chain_log_probs(x)));
    two.push_back(-expected_ensemble(b.family.chain_log_probs(x), 2));
    pass.push_back(-b.family.one_pass(x));
  }
  const auto measurements = run_metric("nll", b.evaluation, R"("orders": 2)");
  const auto& by_order = measurements.at("one_order");
  const auto& ensemble = measurements.at("ensemble");
  CHECK(std::abs(by_order.value - mean(one)) < 5 * *by_order.stderr_);
  CHECK(std::abs(ensemble.value - mean(two)) < 5 * *ensemble.stderr_);
  // The rows are the same, so the estimates move together and their difference is sharper.
  CHECK((by_order.value - ensemble.value) / (mean(one) - mean(two)) ==
        doctest::Approx(1).epsilon(0.15));
  CHECK(measurements.at("one_pass").value == doctest::Approx(mean(pass)).epsilon(1e-9));
  std::vector<double> repeated;
  for (int copy = 0; copy < 40; ++copy)
    repeated.insert(repeated.end(), pass.begin(), pass.end());
  CHECK(*measurements.at("one_pass").stderr_ ==
        doctest::Approx(deviation(repeated) / std::sqrt(double(repeated.size()))).epsilon(1e-9));
}

TEST_CASE("nll takes the status of the family's answer, turned round") {
  DataBench b;
  b.family.can = {{QueryKind::kLogMarginal, "exact", Status::kExact, "1", Route::kExact},
                  {QueryKind::kLogMarginal, "one_pass", Status::kLower, "1", Route::kOnePass}};
  const auto measurements = run_metric("nll", b.evaluation);
  CHECK(measurements.at("exact").status == Status::kExact);
  CHECK(measurements.at("one_pass").status == Status::kUpper);
}

TEST_CASE("nll of a state that the model forbids is infinite and has no standard error") {
  DataBench b;
  b.family.noise = INFINITY;
  b.family.can = {{QueryKind::kLogMarginal, "one_pass", Status::kEstimate, "1", Route::kOnePass}};
  const auto forbidden = stack_rows({{0, 0, 0}});
  REQUIRE(scatter({0, 0, 0}) < 0);
  const Rows data(b.energy.space(), forbidden.repeat({3, 1}));
  b.evaluation.rows_given = &data;
  const auto measurement = run_metric("nll", b.evaluation).at("one_pass");
  CHECK(measurement.value == INFINITY);
  CHECK(!measurement.stderr_);
  CHECK(measurement.more["bits_per_dim"] == "inf");
}

TEST_CASE("nll is of what was recorded, and of rows with gaps of what is known") {
  DataBench b;
  b.family.can = {{QueryKind::kLogMarginal, "one_pass", Status::kEstimate, "1", Route::kOnePass}};
  const auto plain = run_metric("nll", b.evaluation).at("one_pass");
  CHECK(!plain.more.contains("within_levels"));
  b.data.log_recorded_given = torch::zeros_like(b.data.all(), torch::kDouble);
  b.data.log_recorded_given.select(1, 0).fill_(-2.5);
  const auto recorded = run_metric("nll", b.evaluation).at("one_pass");
  CHECK(recorded.value == doctest::Approx(plain.value + 2.5).epsilon(1e-12));
  CHECK(recorded.more["within_levels"].get<double>() == doctest::Approx(2.5));

  const Rows gaps(b.energy.space(), stack_rows({{0, kUnknown, 1}, {kUnknown, kUnknown, kUnknown}}));
  b.evaluation.rows_given = &gaps;
  const auto known = run_metric("nll", b.evaluation).at("one_pass");
  CHECK(std::isfinite(known.value));
  // Two cells of two rows: one a row.
  CHECK(known.more["bits_per_dim"].get<double>() ==
        doctest::Approx(known.value / std::log(2)).epsilon(1e-9));
}

TEST_CASE("what cannot be computed of likelihoods is said") {
  DataBench b;
  CHECK(unavailable("nll", b.evaluation, R"("estimators": ["exact"])") ==
        "none of the estimators asked for is among the family's: one_pass, chain, ensemble, "
        "masked, paths");
  remove(b.family, QueryKind::kLogMarginal, "one_pass");
  CHECK(run_metric("nll", b.evaluation).size() == 3);
  CHECK(unavailable("gap", b.evaluation) ==
        "needs log-marginals in one pass and along one order; the family offers: chain, ensemble, "
        "masked, paths");
  b.evaluation.rows_given = nullptr;
  CHECK(unavailable("nll", b.evaluation) == "needs a dataset");
}

TEST_CASE("gap is the offset of the marginals, by size") {
  DataBench b;
  b.family.offset = -0.1;
  const auto gap = run_metric("gap", b.evaluation, R"("sizes": [], "queries": 5)").at("one_pass");
  CHECK(gap.samples == 20);
  CHECK(gap.value == doctest::Approx(std::sqrt((0.01 + 0.04 + 0.09) / 4)).epsilon(1e-9));
  CHECK(gap.more["bias"].get<double>() == doctest::Approx(-0.15).epsilon(1e-9));
  CHECK(gap.more["max"].get<double>() == doctest::Approx(0.3).epsilon(1e-9));
  REQUIRE(gap.more["by_size"].size() == 4);
  for (int size = 0; size < 4; ++size) {
    const auto& row = gap.more["by_size"][std::size_t(size)];
    CHECK(row["size"] == size);
    CHECK(row["count"] == 5);
    CHECK(std::abs(row["rms"].get<double>() - 0.1 * size) < 1e-9);
    CHECK(std::abs(row["bias"].get<double>() + 0.1 * size) < 1e-9);
  }
}
