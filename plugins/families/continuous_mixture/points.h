#pragma once

#include <cstdint>

#include <marginalia/tensor.h>

namespace marginalia::mixture {

using marginalia::Tensor;

/// The first N points of Sobol's sequence in [0, 1)^d: for N a power of two, every interval
/// [n / N, (n + 1) / N) holds one of them in each coordinate.  -> float64 [N, d].
/// Source: Sobol (1967), doi:10.1016/0041-5553(67)90144-9; direction numbers of Joe and Kuo (2008),
/// doi:10.1137/070709359.
Tensor sobol(std::int64_t count, std::int64_t dimension);

/// The points moved by `shift` [d] round the torus [0, 1)^d: uniform for a uniform shift, so that
/// means over them are unbiased. Source: Cranley and Patterson (1976), doi:10.1137/0713071.
Tensor shifted(const Tensor& points, const Tensor& shift);

/// Points of [0, 1)^d as standard normal vectors, coordinate by coordinate: the inverse of the
/// normal distribution function, 5.2 at most.  -> float64 [N, d].
Tensor standard_normal(const Tensor& points);

}  // namespace marginalia::mixture
