#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <marginalia/factors.h>
#include <marginalia/tensor.h>

#include "graph_file.h"

namespace marginalia::graphs {

using marginalia::Tensor;

/// Sums over the edges of a graph whose vertices are binary variables:
///
///   total(x) = sum_ij w_ij v(x_i) v(x_j),   field_i(x) = sum_j w_ij v(x_j)
///
/// v is given at 0 and 1; it is 0 where a variable is unknown.
class EdgeSums {
 public:
  EdgeSums(const Graph& graph, double at_0, double at_1);

  /// total.  partial: int64 [B, D]  ->  float64 [B].
  Tensor total(const Tensor& partial) const;
  /// constant[k] + slope[k] field_i at x_i = k; a slope may be infinite: 0 times it is 0.
  /// partial: int64 [B, D]  ->  float32 [B, D, 2].
  Tensor logits(const Tensor& partial, std::array<double, 2> constant,
                std::array<double, 2> slope) const;

 private:
  Tensor values(const Tensor& partial) const;
  Tensor field(const Tensor& partial) const;
  template <class F>
  void for_groups(const Tensor& partial, F f) const;

  std::int64_t vertices_;
  double at_[2];
  std::vector<std::int64_t> first_;  // of vertex i: first_[i] .. first_[i + 1]
  std::vector<std::int64_t> above_;  // the first of those neighbours that is greater than i
  std::vector<std::int32_t> neighbour_;
  std::vector<double> weight_;
  Tensor matrix_;  // w: sparse float64 [D, D], for other devices than the CPU
};

/// Colours from 0, int64 [D], different at the ends of every edge: greedily, vertices of many edges
/// first (Welsh and Powell 1967, doi:10.1093/comjnl/10.1.85).
Tensor colouring(const Graph& graph);

/// The ends of the edges: int64 [E, 2], i < j.
Tensor list_ends(const Graph& graph);

/// A factor for each edge, `pair` times its weight: values at (0, 0), (0, 1), (1, 0), (1, 1); 0
/// times infinity is 0.
marginalia::FactorModel to_factors(const Graph& graph, std::array<double, 4> pair);

}  // namespace marginalia::graphs
