#pragma once

#include <cstdint>

#include <torch/types.h>

#include "group_norm.h"

namespace marginalia::unet {

constexpr float kGroupNormEpsilon = 1e-5F;

/// What group_norm() was given, and what its way back takes over: by kernels for float32 and
/// bfloat16 on the CPU.
struct GroupNormLayer {
  torch::Tensor x;            ///< [B, C, H, W], channels last
  torch::Tensor shift;        ///< [B, C], or without elements: none
  torch::Tensor gamma, beta;  ///< [C]
  torch::Tensor mean, scale;  ///< [B, groups], which forward() fills: scale is 1 / deviation
  Activation activation;

  struct Gradients {
    torch::Tensor x, shift, gamma, beta;  ///< each as what it is of
  };

  torch::Tensor forward() const;  ///< y, as x
  Gradients backward(const torch::Tensor& gy) const;
};

}  // namespace marginalia::unet
