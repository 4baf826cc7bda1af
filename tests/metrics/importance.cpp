#include "fakes.h"

#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using namespace marginalia::test::metrics;

namespace {

struct ImportanceBench : TableBench {
  ImportanceBench() : TableBench(1) {}
};

}  // namespace

TEST_CASE("log_z is learned, weighed and exact") {
  ImportanceBench b;
  b.evaluation.weigh({0.5, 1.5, -2, 3});
  const auto measurements = run_metric("log_z", b.evaluation);
  CHECK(measurements.size() == 4);
  CHECK(measurements.at("learned").value == 3);
  CHECK(measurements.at("exact").value == doctest::Approx(b.energy.log_z()).epsilon(1e-12));
  CHECK(measurements.at("exact").status == Status::kExact);
  CHECK(measurements.at("exact").more["method"] == "enumeration");
  const auto& drawn = measurements.at("importance");
  std::vector<double> w;
  for (const auto v : {0.5, 1.5, -2.0, 3.0})
    w.push_back(std::exp(v));
  CHECK(drawn.value == doctest::Approx(std::log(mean(w))).epsilon(1e-12));
  CHECK(*drawn.stderr_ == doctest::Approx(deviation(w) / mean(w) / 2).epsilon(1e-12));
  CHECK(drawn.status == Status::kEstimate);
  CHECK(drawn.samples == 4);
  const auto& certified = measurements.at("certified");
  CHECK(certified.more["lower"].get<double>() < b.energy.log_z());
  CHECK(certified.more["upper"].get<double>() > b.energy.log_z());
  CHECK(certified.more["upper_by"] == "enumeration");
  CHECK(std::abs(certified.value - b.energy.log_z()) < 0.1);
  CHECK(run_metric("log_z", b.evaluation, R"("samples": 0)").size() == 3);
}

TEST_CASE("log_z leaves out what the family cannot answer") {
  ImportanceBench b;
  remove(b.family, QueryKind::kLogZ);
  remove(b.family, QueryKind::kSample);
  remove(b.family, QueryKind::kConditionals);
  CHECK(run_metric("log_z", b.evaluation).size() == 1);
  b.evaluation.with_oracle = false;
  CHECK(unavailable("log_z", b.evaluation) ==
        "needs samples of the model, and the family does not sample");
  b.evaluation.target = nullptr;
  CHECK(unavailable("log_z", b.evaluation) == "needs an energy");
}

TEST_CASE("importance weights survive e^900 and forbidden states") {
  ImportanceBench b;
  b.evaluation.with_oracle = false;
  const auto forbidden = -std::numeric_limits<double>::infinity();
  for (const auto shift : {-900.0, 0.0, 900.0}) {
    b.evaluation.weigh({shift, shift + std::log(3), forbidden, forbidden});
    CHECK(run_metric("log_z", b.evaluation).at("importance").value ==
          doctest::Approx(shift).epsilon(1e-9));  // (1 + 3) / 4 = 1
    const auto ess = run_metric("ess", b.evaluation).at("importance");
    CHECK(ess.value == doctest::Approx(16.0 / (4 * 10)).epsilon(1e-9));
    CHECK(ess.unit == "fraction");
    CHECK(ess.more["largest_weight"].get<double>() == doctest::Approx(0.75).epsilon(1e-9));
    CHECK(run_metric("elbo", b.evaluation).at("importance").value == forbidden);
    CHECK(!run_metric("elbo", b.evaluation).at("importance").stderr_);
    const auto kl = run_metric("kl_reverse", b.evaluation).at("importance");
    CHECK(kl.value == -forbidden);
    CHECK(!kl.stderr_);
  }
}

TEST_CASE("samples that are all forbidden have log Z = -inf and no ess") {
  ImportanceBench b;
  b.evaluation.with_oracle = false;
  b.evaluation.weigh({-INFINITY, -INFINITY});
  const auto log_z = run_metric("log_z", b.evaluation).at("importance");
  CHECK(log_z.value == -INFINITY);
  CHECK(!log_z.stderr_);
  CHECK(unavailable("ess", b.evaluation) == "f(x) = 0 at every sample of the model");
  CHECK(unavailable("kl_reverse", b.evaluation) == "f(x) = 0 at every sample of the model");
}

TEST_CASE("ess is 1 for equal weights and 1/N for one, with the spread of the ratio") {
  ImportanceBench b;
  b.evaluation.weigh({2, 2, 2, 2});
  CHECK(run_metric("ess", b.evaluation).at("importance").value == doctest::Approx(1));
  CHECK(*run_metric("ess", b.evaluation).at("importance").stderr_ ==
        doctest::Approx(0).epsilon(1e-12));
  b.evaluation.weigh({0, -800, -800, -800});
  CHECK(run_metric("ess", b.evaluation).at("importance").value == doctest::Approx(0.25));

  // The standard error against the jackknife's.
  std::vector<double> log_weight;
  for (std::int64_t n = 0; n < 2000; ++n)
    log_weight.push_back(2 * scatter({n % 11, n % 17, n}));
  double sum = 0, squares = 0;
  for (const auto v : log_weight)
    sum += std::exp(v), squares += std::exp(2 * v);
  std::vector<double> left_out;
  const auto N = double(log_weight.size());
  for (const auto v : log_weight) {
    const auto s = sum - std::exp(v), q = squares - std::exp(2 * v);
    left_out.push_back(s * s / q / (N - 1));
  }
  b.evaluation.weigh(log_weight);
  const auto jackknife = deviation(left_out) * (N - 1) / std::sqrt(N);
  CHECK(*run_metric("ess", b.evaluation).at("importance").stderr_ / jackknife ==
        doctest::Approx(1).epsilon(0.005));
}

TEST_CASE("elbo and kl_reverse are means of log weights") {
  ImportanceBench b;
  const std::vector<double> log_weight{0.5, 1.5, -2, 3};
  b.evaluation.weigh(log_weight);
  const auto elbo = run_metric("elbo", b.evaluation).at("importance");
  CHECK(elbo.value == doctest::Approx(0.75));
  CHECK(*elbo.stderr_ == doctest::Approx(deviation(log_weight) / 2));
  CHECK(elbo.status == Status::kLower);

  auto kl = run_metric("kl_reverse", b.evaluation).at("importance");
  CHECK(kl.value == doctest::Approx(b.energy.log_z() - 0.75));
  CHECK(*kl.stderr_ == doctest::Approx(deviation(log_weight) / 2));
  CHECK(kl.status == Status::kUpper);
  CHECK(kl.more["log_z_from"] == "exact");

  b.evaluation.with_oracle = false;
  kl = run_metric("kl_reverse", b.evaluation).at("importance");
  CHECK(kl.value == doctest::Approx(log_mean_exp(log_weight) - 0.75));
  CHECK(kl.status == Status::kEstimate);
  CHECK(kl.more["log_z_from"] == "importance");
}

TEST_CASE("kl_reverse with an estimated log Z has the standard error of both") {
  ImportanceBench b;
  b.evaluation.with_oracle = false;
  std::vector<double> log_weight;
  for (std::int64_t n = 0; n < 2000; ++n)
    log_weight.push_back(2 * scatter({n % 11, n % 17, n}));
  const auto N = double(log_weight.size());
  const auto total = mean(log_weight) * N, weights = std::exp(log_mean_exp(log_weight)) * N;
  std::vector<double> left_out;
  for (const auto v : log_weight)
    left_out.push_back(std::log((weights - std::exp(v)) / (N - 1)) - (total - v) / (N - 1));
  b.evaluation.weigh(log_weight);
  const auto jackknife = deviation(left_out) * (N - 1) / std::sqrt(N);
  CHECK(*run_metric("kl_reverse", b.evaluation).at("importance").stderr_ / jackknife ==
        doctest::Approx(1).epsilon(0.005));
}

TEST_CASE("the reverse measurements meet the sum over all states and orders") {
  ImportanceBench b;
  b.family.tilt = 0.7;
  auto& stream = b.evaluation.stream("test");
  const auto drawn = b.family.answer(
      {.kind = QueryKind::kSample, .partial = torch::full({4000, 3}, -1, torch::kLong)}, stream);
  b.evaluation.samples = {drawn.states, drawn.value, b.energy.log_density(drawn.states)};
  double kl = 0, mixture_kl = 0, second = 0, published = 0;
  const auto states = all_states(b.energy.space());
  const auto log_z = b.energy.log_z();
  for (std::int64_t n = 0; n < states.size(0); ++n) {
    const auto x = to_state(states, n);
    const auto chains = b.family.chain_log_probs(x);
    const auto log_p = std::log(b.energy.weight(x)) - log_z, log_q = log_mean_exp(chains);
    for (const auto c : chains) {
      kl += std::exp(c) / 6 * (c - log_p);
      second += std::exp(2 * log_p - c) / 6;  // E of (p / q)^2
    }
    mixture_kl += std::exp(log_q) * (log_q - log_p);
    published += std::exp(log_q) * (log_p + log_z - mean(chains));
  }
  CHECK(kl > mixture_kl + 0.01);  // else the model's orders agree, and the test says little
  const auto within = [](const Measurement& measurement, double truth) {
    CAPTURE(measurement.value);
    CAPTURE(truth);
    CHECK(std::abs(measurement.value - truth) < 5 * *measurement.stderr_);
  };
  within(run_metric("kl_reverse", b.evaluation).at("importance"), kl);
  within(run_metric("elbo", b.evaluation).at("importance"), log_z - kl);
  const auto elbo = run_metric("elbo", b.evaluation, R"("published": true)");
  CHECK(elbo.at("importance").value == run_metric("elbo", b.evaluation).at("importance").value);
  within(elbo.at("published"), published);
  CHECK(published > log_z - kl + 0.01);  // the order of drawing favours the sample
  CHECK(elbo.at("published").status == Status::kEstimate);
  within(run_metric("ess", b.evaluation).at("importance"), 1 / second);
  within(run_metric("log_z", b.evaluation).at("importance"), log_z);
  b.evaluation.with_oracle = false;
  within(run_metric("kl_reverse", b.evaluation).at("importance"), kl);
  remove(b.family, QueryKind::kLogMarginal, "chain");
  CHECK(unavailable("elbo", b.evaluation, R"("published": true)") ==
        "\"published\" needs log q(x) along one order; the family offers: one_pass, ensemble, "
        "masked, paths");
}

TEST_CASE("the forward measurements meet the sum over all states and orders") {
  ImportanceBench b;
  b.family.tilt = 0.7;
  double kl = 0;
  for (std::int64_t n = 0; n < b.evaluation.truth.size(0); ++n) {
    const auto x = to_state(b.evaluation.truth, n);
    kl += std::log(b.energy.weight(x)) - b.energy.log_z() - mean(b.family.chain_log_probs(x));
  }
  kl /= double(b.evaluation.truth.size(0));
  b.evaluation.truth = b.evaluation.truth.repeat({50, 1});
  const auto forward = run_metric("kl_forward", b.evaluation).at("chain");
  const auto eubo = run_metric("eubo", b.evaluation).at("chain");
  CHECK(kl > 0.02);
  CHECK(std::abs(forward.value - kl) < 5 * *forward.stderr_);
  CHECK(std::abs(eubo.value - b.energy.log_z() - kl) < 5 * *eubo.stderr_);
  CHECK(forward.status == Status::kUpper);
  CHECK(eubo.status == Status::kUpper);
  CHECK(eubo.samples == b.evaluation.truth.size(0));
}

TEST_CASE("an exact model has no forward divergence, and a family with exact answers is asked") {
  ImportanceBench b;
  CHECK(std::abs(run_metric("kl_forward", b.evaluation).at("chain").value) < 1e-12);
  CHECK(run_metric("eubo", b.evaluation).at("chain").value ==
        doctest::Approx(b.energy.log_z()).epsilon(1e-12));
  b.family.offset = 0.1;
  b.family.can = {{QueryKind::kLogMarginal, "exact", Status::kExact, "1", Route::kExact}};
  const auto measurement = run_metric("kl_forward", b.evaluation).at("exact");
  CHECK(measurement.value == doctest::Approx(-0.3));
  CHECK(measurement.status == Status::kEstimate);
}

TEST_CASE("what cannot be computed of weights is said") {
  ImportanceBench b;
  b.evaluation.weigh({0, 1});
  b.evaluation.samples.log_prob = torch::full({2}, NAN, torch::kDouble);
  CHECK(unavailable("ess", b.evaluation) ==
        "needs log q(x) of the model's samples, which the family does not give");
  remove(b.family, QueryKind::kLogMarginal, "chain");
  CHECK(unavailable("eubo", b.evaluation) == "needs log q(x) along one order, or exactly; the "
                                             "family offers: one_pass, ensemble, masked, paths");
  b.evaluation.with_oracle = false;
  CHECK(unavailable("kl_forward", b.evaluation) == "needs exact samples: too many states");
  b.evaluation.target = nullptr;
  for (const auto* metric : {"ess", "elbo", "kl_reverse", "eubo", "kl_forward"})
    CHECK(unavailable(metric, b.evaluation) == "needs an energy");
}
