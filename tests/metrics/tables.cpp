// What is measured of models of tables: baselines, copies, cells that are filled.
#include <cmath>
#include <map>
#include <utility>

#include "fakes.h"

using namespace marginalia;
using namespace marginalia::test::metrics;
using torch::Tensor;

namespace {

/// A model of rows that are all states of an energy, each as often as its weight.
struct RowsBench {
  WholeEnergy energy;
  TableFamily family{energy};
  Rows data{energy.space(), energy.repeated()};
  FakeEvaluation evaluation{family};
  RowsBench() { evaluation.rows_given = &data; }

  /// p(x_i = k), by counting.
  double marginal(std::int64_t i, std::int64_t k) const {
    return (data.all().select(1, i) == k).to(torch::kDouble).mean().item<double>();
  }
};

}  // namespace

TEST_CASE("baselines are what counting gives, and the model's gain is on the same rows") {
  RowsBench b;
  const auto rows = b.data.all();
  const auto N = double(rows.size(0));
  double sum = 0, of_model = 0;
  for (std::int64_t n = 0; n < rows.size(0); ++n) {
    const auto x = to_state(rows, n);
    of_model += b.energy.log_marginal(x) / N;
    for (std::int64_t i = 0; i < 3; ++i)  // smoothed by three rows, as many as there are values
      sum -= std::log((N * b.marginal(i, x[std::size_t(i)]) +
                       3. / double(b.energy.space().cardinalities[std::size_t(i)])) /
                      (N + 3)) /
             N;
  }
  const auto plain = run_metric("baselines", b.evaluation);
  CHECK(plain.at("independent").value == doctest::Approx(sum).epsilon(1e-10));
  CHECK(plain.at("independent").more["gain"].get<double>() ==
        doctest::Approx(of_model + sum).epsilon(1e-9));
  CHECK(plain.at("chow_liu").value < sum);
  CHECK(plain.at("chow_liu").value > -of_model);  // the entropy of the rows
  CHECK(plain.at("chow_liu").status == Status::kExact);

  b.data.log_recorded_given = torch::zeros_like(rows, torch::kDouble);
  b.data.log_recorded_given.select(1, 2).fill_(-1.25);
  const auto recorded = run_metric("baselines", b.evaluation);
  CHECK(recorded.at("independent").value == doctest::Approx(sum + 1.25).epsilon(1e-10));
  CHECK(recorded.at("independent").more["gain"].get<double>() ==
        doctest::Approx(of_model + sum).epsilon(1e-9));

  b.evaluation.rows_given = nullptr;
  CHECK(unavailable("baselines", b.evaluation) == "needs a dataset to count");
}

TEST_CASE("means over rows are weighted where rows count differently") {
  RowsBench b;
  const auto rows = b.data.all();
  const auto plain = run_metric("baselines", b.evaluation).at("independent");
  b.data.weights_given = torch::full({rows.size(0)}, 0.25, torch::kDouble);
  const auto even = run_metric("baselines", b.evaluation).at("independent");
  CHECK(even.value == doctest::Approx(plain.value).epsilon(1e-12));
  CHECK(*even.stderr_ == doctest::Approx(*plain.stderr_).epsilon(1e-12));
  // The first row alone counts, and so is all of the mean.
  b.data.weights_given.zero_();
  b.data.weights_given[0] = 3;
  const auto first = run_metric("baselines", b.evaluation).at("independent");
  const auto x = to_state(rows, 0);
  double wanted = 0;
  const auto N = double(rows.size(0));
  for (std::int64_t i = 0; i < 3; ++i)
    wanted -= std::log((N * b.marginal(i, x[std::size_t(i)]) +
                        3. / double(b.energy.space().cardinalities[std::size_t(i)])) /
                       (N + 3));
  CHECK(first.value == doctest::Approx(wanted).epsilon(1e-10));
  CHECK(*first.stderr_ == doctest::Approx(0).epsilon(1e-9));
  const auto nll = run_metric("nll", b.evaluation).at("one_pass");
  CHECK(nll.value == doctest::Approx(-b.energy.log_marginal(x)).epsilon(1e-9));
  const auto cells = run_metric("held_out_cells", b.evaluation, "\"shares\": [1]").at("hidden_100");
  double loss = 0;
  for (std::int64_t i = 0; i < 3; ++i)
    loss -= std::log(b.marginal(i, x[std::size_t(i)])) / 3;
  CHECK(cells.value == doctest::Approx(loss).epsilon(1e-9));
}

TEST_CASE("a Gaussian mixture stands beside where all variables are numbers") {
  RowsBench b;
  const auto rows = b.data.all();
  CHECK(!run_metric("baselines", b.evaluation).contains("gaussian_mixture"));
  b.data.recorded_given = rows.to(torch::kDouble) * 50;
  const auto mixture = run_metric("baselines", b.evaluation).at("gaussian_mixture");
  CHECK(std::isfinite(mixture.value));
  CHECK(mixture.more["components"].get<int>() >= 2);  // the values are far apart
  // Nothing is likelier than the rows themselves, each as often as it stands.
  double entropy = 0;
  for (std::int64_t n = 0; n < rows.size(0); ++n)
    entropy -= b.energy.log_marginal(to_state(rows, n)) / double(rows.size(0));
  CHECK(mixture.value > entropy);
  CHECK(mixture.more["gain"].get<double>() ==
        doctest::Approx(mixture.value - entropy).epsilon(1e-9));
}

namespace {

/// r of two variables by counting, with Miller and Madow's correction.
double correlation_by_hand(const torch::Tensor& rows, std::int64_t i, std::int64_t j) {
  std::map<State, double> joint;
  std::map<std::int64_t, double> first, second;
  for (std::int64_t n = 0; n < rows.size(0); ++n) {
    const auto k = rows[n][i].item<std::int64_t>(), l = rows[n][j].item<std::int64_t>();
    ++joint[{k, l}];
    ++first[k];
    ++second[l];
  }
  const auto N = double(rows.size(0));
  double information = 0;
  for (const auto& [kl, count] : joint)
    information += count / N * std::log(count * N / (first[kl[0]] * second[kl[1]]));
  information -=
      (double(joint.size()) - double(first.size()) - double(second.size()) + 1) / (2 * N);
  return std::sqrt(1 - std::exp(-2 * std::max(0., information)));
}

}  // namespace

TEST_CASE("dependencies are the mutual informations of pairs, in samples and in rows") {
  RowsBench b;
  const auto rows = b.data.all();
  b.evaluation.samples.states = stack_rows(
      {{0, 1, 0}, {0, 1, 1}, {1, 2, 1}, {1, 2, 1}, {0, 0, 1}, {1, 2, 0}, {0, 0, 1}, {0, 1, 0}});
  const auto measured = run_metric("dependencies", b.evaluation);
  double off = 0;
  for (const auto& [i, j] : {std::pair{0, 1}, {0, 2}, {1, 2}})
    off += std::abs(correlation_by_hand(rows, i, j) -
                    correlation_by_hand(b.evaluation.samples.states, i, j)) /
           3;
  CHECK(measured.at("sampled").value == doctest::Approx(off).epsilon(1e-9));
  CHECK(measured.at("held_out").value == doctest::Approx(0).epsilon(1e-9));  // the same rows
  const auto& strongest = measured.at("sampled").more["strongest"];
  REQUIRE(strongest.size() == 3);
  for (const auto& pair : strongest)
    CHECK(pair[2].get<double>() ==
          doctest::Approx(correlation_by_hand(rows, pair[0], pair[1])).epsilon(1e-9));
  CHECK(strongest[0][2].get<double>() >= strongest[1][2].get<double>());
  CHECK(measured.at("sampled").more["variables"] == Json({"0", "1", "2"}));
}

TEST_CASE("copies are states that a training row is, all of them") {
  RowsBench b;
  const Rows few(b.energy.space(), stack_rows({{0, 1, 0}, {1, 2, 1}, {0, kUnknown, 1}}));
  b.evaluation.rows_given = &few;
  b.evaluation.samples.states = stack_rows({{0, 1, 0}, {0, 1, 1}, {1, 2, 1}, {1, 2, 1}, {0, 0, 1}});
  const auto measured = run_metric("copies", b.evaluation);
  CHECK(measured.at("sampled").value == doctest::Approx(0.6));
  CHECK(measured.at("sampled").samples == 5);
  CHECK(measured.at("held_out").value == 1);  // of the two without gaps
  CHECK(measured.at("held_out").samples == 2);
  const Rows gaps(b.energy.space(), stack_rows({{0, kUnknown, 1}}));
  b.evaluation.rows_given = &gaps;
  CHECK(unavailable("copies", b.evaluation) == "every training row has gaps");
}

TEST_CASE("hidden cells are scored by the conditionals given the rest") {
  RowsBench b;
  const auto rows = b.data.all();
  const auto N = double(rows.size(0));
  double loss = 0, brier = 0, right = 0;
  for (std::int64_t n = 0; n < rows.size(0); ++n)
    for (std::int64_t i = 0; i < 3; ++i) {
      const auto value = rows[n][i].item<std::int64_t>();
      loss -= std::log(b.marginal(i, value)) / (3 * N);
      double best = 0;
      for (std::int64_t k = 0; k < b.energy.space().cardinalities[std::size_t(i)]; ++k) {
        const auto p = b.marginal(i, k);
        brier += std::pow(p - double(k == value), 2) / (3 * N);
        best = std::max(best, p);
      }
      right += double(b.marginal(i, value) == best) / (3 * N);
    }
  // All cells hidden: nothing is left to chance.
  const auto all = run_metric("held_out_cells", b.evaluation, "\"shares\": [1]").at("hidden_100");
  CHECK(all.value == doctest::Approx(loss).epsilon(1e-9));
  CHECK(all.more["brier"].get<double>() == doctest::Approx(brier).epsilon(1e-9));
  CHECK(all.more["accuracy"].get<double>() == doctest::Approx(right).epsilon(1e-9));
  CHECK(all.more["cells"].get<double>() == 3 * N);
  const auto& shown = all.more["examples"][0];
  CHECK(shown.at("was") == b.data.to_text(rows[0]));
  CHECK(shown.at("given") == b.data.to_text(torch::full_like(rows[0], kUnknown)));
  for (std::int64_t i = 0; i < 3; ++i) {
    double highest = 0;
    for (std::int64_t k = 0; k < b.energy.space().cardinalities[std::size_t(i)]; ++k)
      highest = std::max(highest, b.marginal(i, k));
    CHECK(shown.at("probability")[std::size_t(i)].get<double>() ==
          doctest::Approx(highest).epsilon(1e-9));
  }

  // One cell a row: its mean over the three is known, and draws of it scatter about that.
  double given_rest = 0;
  for (std::int64_t n = 0; n < rows.size(0); ++n)
    for (std::int64_t i = 0; i < 3; ++i) {
      auto rest = to_state(rows, n);
      const auto full = b.energy.log_marginal(rest);
      rest[std::size_t(i)] = kUnknown;
      given_rest -= (full - b.energy.log_marginal(rest)) / (3 * N);
    }
  const Rows many(b.energy.space(), rows.repeat({40, 1}));
  b.evaluation.rows_given = &many;
  const auto one = run_metric("held_out_cells", b.evaluation, "\"shares\": [0.1]").at("hidden_10");
  CHECK(one.more["cells"].get<double>() == 40 * N);
  CHECK(std::abs(one.value - given_rest) < 4 * *one.stderr_);
  CHECK(*one.stderr_ < 0.05);

  // Gaps are no cells.
  const Rows gaps(b.energy.space(), stack_rows({{0, kUnknown, 1}, {kUnknown, kUnknown, 0}}));
  b.evaluation.rows_given = &gaps;
  const auto known = run_metric("held_out_cells", b.evaluation, "\"shares\": [1]").at("hidden_100");
  CHECK(known.more["cells"].get<double>() == 3);
}
