#include <algorithm>
#include <cmath>

#include <torch/types.h>

#include <marginalia/chains.h>

namespace marginalia {

ChainSource::~ChainSource() = default;

double split_r_hat(const Tensor& draws) {
  const auto n = draws.size(1) / 2;
  if (n < 2) return NAN;
  const auto halves = torch::cat({draws.slice(1, 0, n), draws.slice(1, n, 2 * n)}, 0);
  const auto within = halves.var(1).mean().item<double>();
  const auto between = halves.mean(1).var(0).item<double>();
  if (within == 0) return between > 0 ? INFINITY : NAN;
  return std::sqrt((double(n - 1) / double(n) * within + between) / within);
}

double autocorrelation_time(const Tensor& draws) {
  constexpr double kWindow = 5;
  const auto N = draws.size(1);
  const auto x = draws - draws.mean();
  const auto variance = x.square().mean().item<double>();
  if (!(variance > 0)) return 0.5;
  double tau = 0.5;
  for (std::int64_t t = 1; t < N; ++t) {
    tau += (x.slice(1, t) * x.slice(1, 0, N - t)).mean().item<double>() / variance;
    if (double(t) >= kWindow * tau) return std::clamp(tau, 0.5, 0.5 * double(N));
  }
  return 0.5 * double(N);
}

ChainMean chain_mean(const Tensor& draws) {
  const auto n = draws.numel();
  const auto tau = autocorrelation_time(draws);
  const auto variance = n > 1 ? draws.var().item<double>() : 0;
  return {draws.mean().item<double>(), std::sqrt(2 * tau * variance / double(n)), tau};
}

}  // namespace marginalia
