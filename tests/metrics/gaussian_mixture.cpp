// Mixtures of normal densities of rounded numbers.
#include <cmath>
#include <numbers>

#include "marginalia_test.h"
#include "shared/measure/gaussian_mixture.h"

using namespace marginalia;
using namespace marginalia::measure;
using torch::Tensor;

namespace {

/// Rounded draws around `centres`, as many of each, with standard deviation 4.
Tensor clusters(const std::vector<std::vector<double>>& centres, std::int64_t rows) {
  torch::manual_seed(4);
  std::vector<Tensor> parts;
  for (const auto& centre : centres)
    parts.push_back(torch::tensor(centre, torch::kDouble) +
                    4 * torch::randn({rows, std::int64_t(centre.size())}, torch::kDouble));
  return torch::cat(parts).round();
}

bool near(const Tensor& a, const Tensor& b, double tolerance) {
  return torch::allclose(a, b, 0, tolerance);
}

/// sum of exp(log_density) over the whole numbers of a square of this half side.
double mass(const GaussianMixture& mixture, std::int64_t half) {
  const auto side = torch::arange(-half, half + 1).to(torch::kDouble);
  const auto grid = torch::cartesian_prod({side, side});
  return log_density(mixture, grid).exp().sum().item<double>();
}

}  // namespace

TEST_CASE("a Gaussian mixture of one component is the normal density of its moments") {
  Stream stream(1, "gaussian_mixture");
  const auto x = clusters({{20, -10, 3}}, 500);
  const auto one = fit_gaussian_mixture(x, 1, stream);
  CHECK(near(one.mean[0], x.mean(0), 1e-9));
  const auto centre = x - x.mean(0);
  const auto covariance = centre.t().mm(centre) / 500;
  CHECK(near(one.covariance[0], covariance, 1e-9));
  const auto inverse = one.covariance[0].inverse();
  const auto wanted = -0.5 * (centre.mm(inverse) * centre).sum(1) -
                      0.5 * (2 * std::numbers::pi * one.covariance[0]).logdet();
  CHECK(near(log_density(one, x), wanted, 1e-9));
}

TEST_CASE("densities at whole numbers sum to one, however often a value stands") {
  Stream stream(2, "gaussian_mixture");
  CHECK(mass(fit_gaussian_mixture(clusters({{0, 0}, {30, 10}}, 200), 2, stream), 120) ==
        doctest::Approx(1).epsilon(1e-6));
  // All rows but few the same: the narrowest density there is still a probability's.
  auto same = torch::zeros({100, 2}, torch::kDouble);
  same.slice(0, 0, 5).fill_(40);
  CHECK(mass(fit_gaussian_mixture(same, 2, stream), 120) == doctest::Approx(1).epsilon(0.01));
}

TEST_CASE("clusters are found, and more components are likelier on them") {
  Stream stream(3, "gaussian_mixture");
  const auto x = clusters({{-60, 0}, {0, 60}, {60, 0}}, 300);
  const auto log_p = [&](std::int64_t components) {
    return log_density(fit_gaussian_mixture(x, components, stream), x).mean().item<double>();
  };
  const auto three = fit_gaussian_mixture(x, 3, stream);
  CHECK(near(three.log_weight.exp(), torch::full({3}, 1. / 3, torch::kDouble), 1e-3));
  const auto order = three.mean.select(1, 0).argsort();
  CHECK(near(three.mean.index({order}),
             torch::tensor({{-60., 0.}, {0., 60.}, {60., 0.}}, torch::kDouble), 1.0));
  CHECK(log_p(3) > log_p(1) + 1);
}

TEST_CASE("what is not known is integrated out") {
  Stream stream(4, "gaussian_mixture");
  const auto mixture = fit_gaussian_mixture(clusters({{0, 0}, {12, 9}}, 200), 2, stream);
  const auto side = torch::arange(-150, 151).to(torch::kDouble);
  const auto row = [](double a, double b) { return torch::tensor({{a, b}}, torch::kDouble); };
  for (const double a : {-3., 5., 20.}) {
    const auto both = torch::stack({torch::full_like(side, a), side}, 1);
    CHECK(log_density(mixture, row(a, NAN)).exp().item<double>() ==
          doctest::Approx(log_density(mixture, both).exp().sum().item<double>()).epsilon(1e-6));
  }
  CHECK(log_density(mixture, row(NAN, NAN)).item<double>() == 0);
  const auto mixed = torch::cat({row(1, 2), row(NAN, 2), row(1, NAN), row(3, 4)});
  const auto together = log_density(mixture, mixed);
  for (std::int64_t n = 0; n < 4; ++n)
    CHECK(together[n].item<double>() ==
          doctest::Approx(log_density(mixture, mixed.slice(0, n, n + 1)).item<double>()));
}
