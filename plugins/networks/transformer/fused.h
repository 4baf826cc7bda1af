#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace marginalia::transformer {

/// softmax(q k^T / sqrt(d)) v of every head, [q, k, v] = projected, each pair (c, c + d/2) of
/// q and k turned by the angle of its position.
/// projected: [B, L, 3 C], heads of width d = C / heads side by side; cos, sin: float32
/// [L, d/2] or [B, L, d/2], or undefined for no turning; causal: slot t sees slots 0..t
///   ->  [B, L, C] as projected. Differentiable in `projected`.
/// On CPU, in float32 and bfloat16, everything between the matrix products is one pass over memory.
at::Tensor attention(const at::Tensor& projected, const at::Tensor& cos, const at::Tensor& sin,
                     std::int64_t heads, bool causal);

/// x Phi(x), Phi the normal distribution function: Hendrycks and Gimpel (2016), arXiv:1606.08415.
at::Tensor gelu(const at::Tensor& x);

}  // namespace marginalia::transformer
