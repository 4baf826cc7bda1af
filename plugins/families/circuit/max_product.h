#pragma once

#include <marginalia/inference/tree.h>

namespace marginalia::circuit {

using marginalia::Tensor;

/// argmax over z and the unknown x of prod_i p(z_i | z_parent(i)) p(x_i | z_i), exact, by
/// max-product messages up the tree and choices down it: x, int64 [B, D]. B rows, D variables, H
/// values of each z, K of each x. parent, order: int64 [D]; log_transition: float64 [D, H, H],
/// roots: any row; log_emission: float64 [D, H, K]; partial: int64 [B, D].
/// Source: Pearl (1988), sect. 5.
Tensor max_product(const Tensor& parent, const Tensor& order, const Tensor& log_transition,
                   const Tensor& log_emission, const Tensor& partial);

}  // namespace marginalia::circuit
