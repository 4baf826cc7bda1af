#pragma once

#include <cstdint>

#include <marginalia/stream.h>
#include <marginalia/tensor.h>

/// A mixture of normal densities, for numbers that were rounded to whole units.
///
/// N rows, D variables, C components; all float64.
namespace marginalia::measure {

struct GaussianMixture {
  Tensor log_weight;  ///< [C]
  Tensor mean;        ///< [C, D]
  Tensor covariance;  ///< [C, D, D]
};

/// By EM (Dempster, Laird and Rubin 1977, J. R. Stat. Soc. B 39, 1), begun at `components` rows far
/// from one another. Covariances are full, and in no direction below 1/3: at that variance the
/// densities of all whole numbers sum to 1.003, at smaller ones to more, which no probabilities do.
/// x: [N, D], N >= 1, without NaN.
GaussianMixture fit_gaussian_mixture(const Tensor& x, std::int64_t components, Stream& stream);

/// Log-density of each row, what is NaN integrated out: [N, D] -> [N].
Tensor log_density(const GaussianMixture& mixture, const Tensor& x);

}  // namespace marginalia::measure
