#pragma once

#include <cstdint>

#include <marginalia/api.h>
#include <marginalia/stream.h>
#include <marginalia/tensor.h>

namespace marginalia {

/// Systematic resampling: `rows` places drawn in proportion to weights, the r-th under quantile
/// (r + u) / rows for one uniform u, so that each place is drawn as often as expected but for less
/// than one. They rise.  weight: float64 [N], not all zero  ->  int64 [rows].
/// Source: Kitagawa (1996), J. Comp. Graph. Stat. 5(1).
MARGINALIA_API Tensor resample_systematically(const Tensor& weight, std::int64_t rows,
                                              Stream& stream);

}  // namespace marginalia
