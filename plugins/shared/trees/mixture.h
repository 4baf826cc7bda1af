#pragma once

#include <vector>

#include <marginalia/inference/tree.h>

/// Several trees side by side, what mixtures are made of. B rows, M trees, D variables, K levels.
namespace marginalia::trees {

/// log p_m(x_S, A) of every tree: float64 [B, M].
Tensor log_marginals(const std::vector<Tree>& trees, const Evidence& known);

/// sum_m weight_bm p_m(x_i = k | x_S, A).  weight: float64 [B, M]  ->  float64 [B, D, K].
Tensor mean_conditionals(const std::vector<Tree>& trees, const Evidence& known,
                         const Tensor& weight);

/// Exact draws of the unknown variables given what is known, row b by tree chosen_b.
/// chosen: int64 [B]  ->  int64 [B, D].
Tensor sample(const std::vector<Tree>& trees, const Evidence& known, const Tensor& chosen,
              Stream& stream);

/// log p_m of every tree's most probable completion of a row: float64 [B, M].
Tensor log_greatest(const std::vector<Tree>& trees, const Tensor& partial);

/// The most probable completion of row b under tree chosen_b.  chosen: int64 [B]  ->  int64 [B, D].
Tensor most_probable(const std::vector<Tree>& trees, const Tensor& partial, const Tensor& chosen);

}  // namespace marginalia::trees
