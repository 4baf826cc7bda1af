#include "fakes.h"

#include <fmt/format.h>

#include "shared/measure/ruler.h"

#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using namespace marginalia::test::metrics;

namespace {

using Pairs = std::vector<std::pair<double, double>>;

double rank_by_counting(const std::vector<double>& x, std::size_t n) {
  double rank = 0;
  for (std::size_t m = 0; m < x.size(); ++m)
    rank += x[m] < x[n] ? 1 : x[m] == x[n] && m != n ? 0.5 : 0;
  return rank;
}

double pearson_by_moments(const std::vector<double>& x, const std::vector<double>& y) {
  double xy = 0;
  for (std::size_t n = 0; n < x.size(); ++n)
    xy += (x[n] - mean(x)) * (y[n] - mean(y));
  return xy / double(x.size() - 1) / deviation(x) / deviation(y);
}

double tau_b_by_pairs(const std::vector<double>& x, const std::vector<double>& y) {
  double score = 0, in_x = 0, in_y = 0;
  for (std::size_t n = 0; n < x.size(); ++n)
    for (std::size_t m = 0; m < n; ++m) {
      const auto a = x[n] < x[m] ? -1 : x[n] > x[m];
      const auto b = y[n] < y[m] ? -1 : y[n] > y[m];
      score += a * b;
      in_x += a != 0;
      in_y += b != 0;
    }
  return score / std::sqrt(in_x * in_y);
}

/// The third of three columns from "pairs".
std::vector<double> column(const Json& pairs, std::size_t which) {
  std::vector<double> values;
  for (const auto& pair : pairs)
    values.push_back(pair[which].get<double>());
  return values;
}

}  // namespace

TEST_CASE("an exact model has no marginal error, by either way of asking") {
  TableBench b;
  const auto measurements = run_metric("marginal_error", b.evaluation);
  CHECK(measurements.size() == 2);
  for (const auto* name : {"one_pass", "chain"}) {
    CHECK(measurements.at(name).value < 1e-12);
    CHECK(measurements.at(name).more["spearman"].get<double>() > 0.999);
    CHECK(measurements.at(name).more["reference"] == "exact");
    CHECK(measurements.at(name).more["source"] == "exact samples");
  }
  CHECK(measurements.at("one_pass").more["passes"] == 1);
}

TEST_CASE("marginal_error is the rms over sizes of a known offset") {
  TableBench b;
  b.family.offset = 0.2;
  const auto measurement =
      run_metric("marginal_error", b.evaluation, R"("sizes": [0, 34, 100], "queries": 40)")
          .at("one_pass");
  CHECK(measurement.value == doctest::Approx(std::sqrt((0 + 0.04 + 0.36) / 3)).epsilon(1e-9));
  CHECK(measurement.more["max"].get<double>() == doctest::Approx(0.6).epsilon(1e-9));
  CHECK(measurement.more["bias"].get<double>() == doctest::Approx(0.8 / 3).epsilon(1e-9));
  CHECK(measurement.samples == 120);
  REQUIRE(measurement.more["by_size"].size() == 3);
  const int sizes[] = {0, 1, 3};
  for (std::size_t n = 0; n < 3; ++n) {
    CHECK(measurement.more["by_size"][n]["size"] == sizes[n]);
    CHECK(std::abs(measurement.more["by_size"][n]["rms"].get<double>() - 0.2 * sizes[n]) < 1e-9);
    CHECK(measurement.more["by_size"][n]["count"] == 40);
  }
  // An offset that depends on the size alone leaves the ranks of one size as they are.
  CHECK(measurement.more["spearman_within_size"].get<double>() == doctest::Approx(1));
}

TEST_CASE("pairs are exact marginals beside the model's, and the measurements follow from them") {
  TableBench b;
  b.family.noise = 0.5;
  const auto measurement =
      run_metric("marginal_error", b.evaluation, R"("sizes": [], "queries": 50)").at("one_pass");
  const auto& pairs = measurement.more["pairs"];
  REQUIRE(pairs.size() == 200);
  // All the partial states there are, by size: (log p, answered).
  std::map<std::int64_t, Pairs> possible;
  const auto states = all_states({{3, 4, 3}, {3}}) - 1;
  for (std::int64_t n = 0; n < states.size(0); ++n) {
    const auto s = to_state(states, n);
    possible[known_in(s)].emplace_back(b.energy.log_marginal(s), b.family.one_pass(s));
  }
  double squares = 0, largest = 0;
  for (const auto& pair : pairs) {
    const auto x = pair[1].get<double>(), y = pair[2].get<double>();
    CHECK(std::ranges::any_of(possible.at(pair[0].get<std::int64_t>()), [&](const auto& p) {
      return std::abs(p.first - x) < 1e-9 && std::abs(p.second - y) < 1e-9;
    }));
    squares += (y - x) * (y - x);
    largest = std::max(largest, std::abs(y - x));
  }
  CHECK(measurement.value == doctest::Approx(std::sqrt(squares / 200)).epsilon(1e-9));
  CHECK(measurement.more["max"].get<double>() == doctest::Approx(largest).epsilon(1e-9));

  const auto x = column(pairs, 1), y = column(pairs, 2);  // with many ties
  std::vector<double> x_ranks, y_ranks;
  for (std::size_t n = 0; n < x.size(); ++n) {
    x_ranks.push_back(rank_by_counting(x, n));
    y_ranks.push_back(rank_by_counting(y, n));
  }
  CHECK(measurement.more["pearson"].get<double>() ==
        doctest::Approx(pearson_by_moments(x, y)).epsilon(1e-9));
  CHECK(measurement.more["spearman"].get<double>() ==
        doctest::Approx(pearson_by_moments(x_ranks, y_ranks)).epsilon(1e-9));
  CHECK(measurement.more["kendall"].get<double>() ==
        doctest::Approx(tau_b_by_pairs(x, y)).epsilon(1e-9));
  CHECK(measurement.more["kendall"].get<double>() < 0.95);
}

TEST_CASE("every subset of a size is asked alike") {
  TableBench b;
  b.evaluation.truth = stack_rows({{1, 2, 1}}).repeat({6000, 1});
  run_metric("marginal_error", b.evaluation,
             R"("sizes": [34], "queries": 6000, "estimators": ["one_pass"])");
  std::vector<double> counts(3, 0);
  for (const auto& [_, partial] : b.family.asked)
    for (std::int64_t i = 0; i < 3; ++i)
      counts[std::size_t(i)] += (partial.select(1, i) != kUnknown).sum().item<double>();
  CHECK(counts[0] + counts[1] + counts[2] == 6000);
  for (const auto c : counts)
    CHECK(std::abs(c - 2000) < 5 * std::sqrt(6000 * 2.0 / 9));
}

TEST_CASE("sizes are percent of D, and queries no more than states") {
  TableBench b;
  b.evaluation.truth = b.energy.repeated().slice(0, 0, 7);
  const auto measurement = run_metric("marginal_error", b.evaluation).at("one_pass");
  CHECK(measurement.samples == 3 * 7);  // 10, 30 % and 50, 70 % and 90 % of 3 are 1, 2 and 3
  CHECK(measurement.more["by_size"][0]["size"] == 1);
  CHECK(measurement.more["by_size"][2]["size"] == 3);
}

TEST_CASE("without an oracle the reference is the ensemble") {
  TableBench b;
  b.family.tilt = 0.5;
  b.family.offset = 0.3;
  b.evaluation.with_oracle = false;
  const Rows data(b.energy.space(), b.evaluation.truth);
  b.evaluation.rows_given = &data;
  const auto measurements = run_metric("marginal_error", b.evaluation,
                                       R"("estimators": ["one_pass", "chain", "ensemble"])");
  CHECK(measurements.size() == 2);
  CHECK(measurements.at("one_pass").more["reference"] == "ensemble of 5 orders");
  CHECK(measurements.at("chain").value > 0.01);
  CHECK(measurements.at("one_pass").value > measurements.at("chain").value);
  // One order is known the same by chain and ensemble: the only subsets without an error.
  CHECK(measurements.at("chain").more["by_size"][0]["rms"].get<double>() < 1e-12);

  remove(b.family, QueryKind::kLogMarginal, "ensemble");
  CHECK(unavailable("marginal_error", b.evaluation) ==
        "needs a reference: no oracle (too many states), and the family offers no ensemble of "
        "orders");
  b.evaluation.rows_given = nullptr;
  b.family.can.push_back(
      {QueryKind::kLogMarginal, "ensemble", Status::kEstimate, "", Route::kEnsemble});
  CHECK(unavailable("marginal_error", b.evaluation, R"("estimators": ["exact"])") ==
        "none of the estimators asked for is among the family's: one_pass, chain, masked, paths, "
        "ensemble");
}

TEST_CASE("the jackknife over orders knows the bias and the error of the log of a mean") {
  torch::manual_seed(3);
  // log p of an order is normal: the log of the mean probability is m + s^2 / 2.
  constexpr std::int64_t kOrders = 12, kQueries = 4000;
  const double s = 0.4, truth = -7 + s * s / 2;
  const auto scores = -7 + s * torch::randn({kOrders, kQueries}, torch::kDouble);
  const auto ruler = measure::jackknife(scores);
  CHECK(ruler.value.allclose(scores.logsumexp(0) - std::log(double(kOrders))));
  const auto bias = (ruler.value - truth).mean().item<double>();
  CHECK(bias == doctest::Approx(-(std::exp(s * s) - 1) / (2 * kOrders)).epsilon(0.2));
  CHECK(ruler.bias.mean().item<double>() == doctest::Approx(bias).epsilon(0.2));
  CHECK((ruler.value - ruler.bias - truth).mean().item<double>() ==
        doctest::Approx(0).epsilon(0.002));
  CHECK(ruler.error.square().mean().item<double>() ==
        doctest::Approx(ruler.value.var().item<double>()).epsilon(0.1));

  const auto never = measure::jackknife(torch::full({3, 1}, -INFINITY, torch::kDouble));
  CHECK(never.value.item<double>() == -INFINITY);
  CHECK(never.error.item<double>() == 0);
}

TEST_CASE("the variance of the reference is taken out of the error of what it is a reference of") {
  TableBench b;
  b.family.tilt = 0.5;
  b.evaluation.with_oracle = false;
  const Rows data(b.energy.space(), b.evaluation.truth);
  b.evaluation.rows_given = &data;
  // The ensemble of all orders is what many orders come to: an error of its own at few of them.
  const auto measure = [&](int orders) {
    return run_metric(
               "marginal_error", b.evaluation,
               fmt::format(R"("sizes": [100], "estimators": ["chain"], "orders": {})", orders))
        .at("chain");
  };
  const auto few = measure(2), many = measure(200);
  CHECK(few.more["reference"] == "ensemble of 2 orders");
  CHECK(few.more["reference_error"].get<double>() > 5 * many.more["reference_error"].get<double>());
  CHECK(few.more["rms_with_reference"].get<double>() > few.value);
  CHECK(many.more["rms_with_reference"].get<double>() == doctest::Approx(many.value).epsilon(0.02));
  CHECK(few.value == doctest::Approx(many.value).epsilon(0.35));
  CHECK(few.more["reference_bias"].get<double>() < 0);
}

TEST_CASE("an answer of -inf is an infinite error, in the file as text") {
  TableBench b;
  b.family.noise = INFINITY;
  REQUIRE(scatter({0, 0, 0}) < 0);
  b.evaluation.truth = stack_rows({{0, 0, 0}}).repeat({8, 1});
  const auto measurement =
      run_metric("marginal_error", b.evaluation, R"("sizes": [100], "estimators": ["one_pass"])")
          .at("one_pass");
  CHECK(measurement.value == INFINITY);
  CHECK(!measurement.stderr_);
  CHECK(measurement.more["max"] == "inf");
  CHECK(measurement.more["bias"] == "-inf");
  CHECK(measurement.more["pearson"].is_null());
  CHECK(measurement.more["pairs"][0][2] == "-inf");
}

TEST_CASE("single marginals of an exact model are right, of another off by what is counted") {
  TableBench b;
  CHECK(run_metric("single_marginals", b.evaluation).begin()->second.value < 1e-12);

  b.family.tilt = 0.6;
  const auto measurement =
      run_metric("single_marginals", b.evaluation, R"("sizes": [0], "queries": 3)").begin()->second;
  double sum = 0, worst = 0;
  for (const auto& [i, k] : std::vector<std::pair<std::size_t, std::int64_t>>{
           {0, 0}, {0, 1}, {1, 0}, {1, 1}, {1, 2}, {2, 0}, {2, 1}}) {
    State s{-1, -1, -1};
    const auto q = std::exp(b.family.conditional(s, i, k));
    s[i] = k;
    const auto apart = std::abs(q - std::exp(b.energy.log_marginal(s)));
    sum += apart;
    worst = std::max(worst, apart);
  }
  CHECK(measurement.value == doctest::Approx(sum / 7));
  CHECK(measurement.more.at("max").get<double>() == doctest::Approx(worst));
  CHECK(measurement.unit == "probability");
  CHECK(worst > 0.01);
}
