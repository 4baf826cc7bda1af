#pragma once

#include <cstdint>

#include "measure.h"

namespace marginalia::measure {

/// log p(x_S) of an any-order model: the log of its mean probability over M random orders, and what
/// the jackknife over orders says of it, in nats, float64 [B].
///
///   r = log 1/M sum_m p(x_S | order m),  r_-m the same without order m
///   bias = (M - 1) (mean_m r_-m - r),  error^2 = (M - 1) / M sum_m (r_-m - mean r_-m)^2
///
/// r is low for finite M: the log of a mean is concave. Source: Efron and Stein (1981),
/// doi:10.1214/aos/1176345462.
struct Ruler {
  Tensor value, bias, error;
  double passes;  ///< a query, on average
};

/// scores: log p(x_S | order m), float64 [M, B], M >= 2. Where r is infinite, bias and error are 0.
Ruler jackknife(const Tensor& scores);

/// Asks the family's ensemble for `orders` >= 2 orders, one at a time. Throws Unavailable where it
/// has none.
Ruler measure_over_orders(const Family& family, const Tensor& partial, std::int64_t orders,
                          Stream& stream);

}  // namespace marginalia::measure
