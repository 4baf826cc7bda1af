#include "gaussian_mixture.h"

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include <torch/types.h>

namespace marginalia::measure {
namespace {

constexpr double kLeastVariance = 1.0 / 3;  // at which densities of whole numbers sum to 1.003

/// Covariances [..., D, D] with no direction of less variance than that, or than what float64 can
/// tell from none beside the greatest.
Tensor with_least_variance(const Tensor& covariance) {
  constexpr double kTold = 1e-10;
  const auto [variance, directions] = at::linalg_eigh(covariance);
  const auto least = (kTold * variance.amax(-1, /*keepdim=*/true)).clamp_min(kLeastVariance);
  const auto raised = variance.maximum(least);
  return directions.matmul(raised.unsqueeze(-1) * directions.mT());
}

/// log weight_c N(x_n | c): [N, C], of rows without NaN.
Tensor log_joint(const GaussianMixture& mixture, const Tensor& x) {
  const auto D = double(x.size(1));
  const auto factor = at::linalg_cholesky(mixture.covariance);         // [C, D, D], lower
  const auto off = (x.unsqueeze(0) - mixture.mean.unsqueeze(1)).mT();  // [C, D, N]
  const auto whitened = at::linalg_solve_triangular(factor, off, /*upper=*/false);
  const auto log_det = factor.diagonal(0, 1, 2).log().sum(1);  // half of log |covariance|
  return mixture.log_weight - 0.5 * whitened.square().sum(1).t() - log_det -
         0.5 * D * std::log(2 * std::numbers::pi);
}

/// The M step: what responsibilities [N, C] make of the rows; `broad` [D, D] is the covariance of
/// all rows, of which each component takes the share of one row.
GaussianMixture maximise(const Tensor& x, const Tensor& share, const Tensor& broad) {
  const auto mass = share.sum(0) + 1e-9;  // [C]
  const auto mean = share.t().mm(x) / mass.unsqueeze(1);
  const auto off = x.unsqueeze(0) - mean.unsqueeze(1);  // [C, N, D]
  const auto scatter = off.mT().matmul(off * share.t().unsqueeze(2));
  return {(mass / double(x.size(0))).log(), mean,
          with_least_variance((scatter + broad) / (mass + 1).view({-1, 1, 1}))};
}

/// Rows far from one another: the next one's chance is as its squared distance to the nearest
/// before (k-means++, Arthur and Vassilvitskii 2007).
Tensor choose_far(const Tensor& scaled, std::int64_t count, Stream& stream) {
  const auto N = scaled.size(0);
  std::vector<std::int64_t> chosen;
  auto distance = torch::full({N}, std::numeric_limits<double>::infinity(), torch::kDouble);
  auto weight = torch::ones({N}, torch::kDouble);
  while (std::ssize(chosen) < count) {
    const auto below = weight.cumsum(0);
    const auto u = stream.uniform({1}).to(torch::kDouble) * below[-1];
    const auto next =
        at::searchsorted(below, u, false, /*right=*/true).clamp_max(N - 1).item<std::int64_t>();
    chosen.push_back(next);
    distance = distance.minimum((scaled - scaled[next]).square().sum(1));
    weight = distance.sum().item<double>() > 0 ? distance : torch::ones_like(distance);
  }
  return torch::tensor(chosen, torch::kLong);
}

}  // namespace

GaussianMixture fit_gaussian_mixture(const Tensor& x, std::int64_t components, Stream& stream) {
  constexpr int kMostSteps = 200;
  constexpr double kStill = 1e-6;  // nats a row
  const auto centre = x - x.mean(0);
  const auto broad = with_least_variance(centre.t().mm(centre) / double(x.size(0)));
  const auto scaled = centre / broad.diagonal().sqrt();
  const auto starts = scaled.index_select(0, choose_far(scaled, components, stream));
  const auto nearest = at::cdist(scaled, starts).argmin(1);
  auto mixture =
      maximise(x, (nearest.unsqueeze(1) == torch::arange(components)).to(torch::kDouble), broad);
  double before = -std::numeric_limits<double>::infinity();
  for (int step = 0; step < kMostSteps; ++step) {
    const auto joint = log_joint(mixture, x);
    const auto now = joint.logsumexp(1).mean().item<double>();
    if (now - before < kStill) break;
    before = now;
    mixture = maximise(x, joint.softmax(1), broad);
  }
  return mixture;
}

Tensor log_density(const GaussianMixture& mixture, const Tensor& x) {
  constexpr std::int64_t kRowsAtOnce = 4096;
  auto result = torch::zeros({x.size(0)}, torch::kDouble);
  auto left = torch::ones({x.size(0)}, torch::kBool);
  const auto known = x.isnan().logical_not();
  // Rows that know the same variables together.
  while (left.any().item<bool>()) {
    const auto first = left.nonzero()[0][0];
    const auto here = (known == known.index_select(0, first.view({1}))).all(1).logical_and(left);
    const auto rows = here.nonzero().squeeze(1);
    const auto variables = known.index_select(0, first.view({1}))[0].nonzero().squeeze(1);
    left = left.logical_and(here.logical_not());
    if (variables.numel() == 0) continue;  // nothing is known: probability 1
    const GaussianMixture of_known{
        mixture.log_weight, mixture.mean.index_select(1, variables),
        mixture.covariance.index_select(1, variables).index_select(2, variables)};
    for (const auto& some : rows.split(kRowsAtOnce)) {
      const auto part = x.index_select(0, some).index_select(1, variables);
      result.index_copy_(0, some, log_joint(of_known, part).logsumexp(1));
    }
  }
  return result;
}

}  // namespace marginalia::measure
