#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace marginalia::unet {

enum class Activation { kRelu, kSilu };

/// y = act(gamma (z - mean_g z) / sqrt(var_g z + 1e-5) + beta),  z = x + shift,
/// means over the pixels and channels of each of `groups` groups of channels: Wu and He (2018),
/// arXiv:1803.08494, with what precedes and follows it in one pass over memory.
/// x: float32, bfloat16 or float64 [B, C, H, W], channels last; shift: [B, C] or undefined, gamma,
/// beta: [C], float64 where x is, else float32, C divisible by groups  ->  y as x. Differentiable
/// in all four.
at::Tensor group_norm(const at::Tensor& x, const at::Tensor& shift, const at::Tensor& gamma,
                      const at::Tensor& beta, std::int64_t groups, Activation activation);

}  // namespace marginalia::unet
