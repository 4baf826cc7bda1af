// What is said of chains, against chains whose law is known.
#include "marginalia_test.h"

#include <cmath>

#include <marginalia/chains.h>

using namespace marginalia;

namespace {

/// Gaussian chains with x_{t+1} = a x_t + sqrt(1 - a^2) e, begun in equilibrium: rho(t) = a^t, and
/// so tau = 1/2 + a / (1 - a).  float64 [C, N].
Tensor autoregressive(double a, std::int64_t C, std::int64_t N, std::uint64_t seed) {
  Stream stream(seed, "chains");
  const auto e = at::randn({N, C}, stream.generator(), torch::kDouble);
  std::vector<Tensor> x{e[0]};
  for (std::int64_t t = 1; t < N; ++t)
    x.push_back(a * x.back() + std::sqrt(1 - a * a) * e[t]);
  return torch::stack(x, 1);
}

}  // namespace

TEST_CASE("the autocorrelation time of an autoregressive chain is the one it has") {
  for (const auto a : {0.0, 0.5, 0.9}) {
    CAPTURE(a);
    const auto tau = autocorrelation_time(autoregressive(a, 50, 4000, 1));
    CHECK(tau == doctest::Approx(0.5 + a / (1 - a)).epsilon(0.05));
  }
  CHECK(autocorrelation_time(autoregressive(-0.5, 50, 1000, 2)) == 0.5);  // 1/6: no less than 1/2
}

TEST_CASE("the standard error of a chain's mean is the spread of many chains' means") {
  for (const auto a : {0.0, 0.8}) {
    CAPTURE(a);
    std::vector<double> values;
    double error = 0;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      const auto mean = chain_mean(autoregressive(a, 4, 400, seed));
      values.push_back(mean.value);
      error += mean.error / 200;
    }
    const auto spread = torch::tensor(values, torch::kDouble).std().item<double>();
    CHECK(std::abs(error / spread - 1) < 0.15);  // the spread's own: 1 / sqrt(400)
  }
}

TEST_CASE("chains that are too short for their memory, or disagree, count once each") {
  const auto slow = autoregressive(0.99, 20, 30, 3);
  CHECK(autocorrelation_time(slow) == 15);
  const auto apart = autoregressive(0, 20, 100, 4) + 10 * torch::arange(20).unsqueeze(1);
  CHECK(autocorrelation_time(apart) == 50);
  const auto of_means = apart.mean(1).std().item<double>() / std::sqrt(20.0);
  CHECK(std::abs(chain_mean(apart).error / of_means - 1) < 0.05);
}

TEST_CASE("draws without a past are independent, and one is no sample") {
  const auto alone = autoregressive(0, 500, 1, 5);
  CHECK(autocorrelation_time(alone) == 0.5);
  CHECK(chain_mean(alone).error ==
        doctest::Approx(alone.std().item<double>() / std::sqrt(500.0)).epsilon(1e-12));
  CHECK(std::isnan(split_r_hat(alone)));
  CHECK(chain_mean(alone.slice(0, 0, 1)).error == 0);
}

TEST_CASE("split R-hat is 1 where chains agree, and above where halves or chains do not") {
  // By hand, two chains of four draws: halves of means 1, 5, 3, 3, within 2 each, between 8/3.
  const auto small = torch::tensor({{0.0, 2.0, 4.0, 6.0}, {2.0, 4.0, 2.0, 4.0}}, torch::kDouble);
  CHECK(split_r_hat(small) == doctest::Approx(std::sqrt((0.5 * 2 + 8.0 / 3) / 2)).epsilon(1e-12));
  CHECK(split_r_hat(autoregressive(0, 20, 1000, 6)) == doctest::Approx(1).epsilon(0.005));
  const auto rising = autoregressive(0, 20, 1000, 6) + torch::linspace(0, 3, 1000);
  CHECK(split_r_hat(rising) > 1.2);
}

TEST_CASE("of draws that never vary split R-hat is not known, and infinite where chains disagree") {
  const auto still = torch::full({4, 20}, 0.25, torch::kDouble);
  CHECK(std::isnan(split_r_hat(still)));
  const auto apart = still + torch::arange(4).unsqueeze(1);
  CHECK(split_r_hat(apart) == INFINITY);
}
