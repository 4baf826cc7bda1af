#pragma once

#include <cstdint>
#include <vector>

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>

namespace marginalia::mixture {

/// A residual perceptron from latent vectors to the parameters of components.
///
///   h_1 = s(W_1 z + b_1);  h_{l+1} = h_l + s(W_l h_l + b_l);  output = V h + c,  s(t) = t Phi(t)
///
/// or, where a basis says so, output = B^T V h + c.
class Decoder final : public torch::nn::Module {
 public:
  /// basis: B, [any, outputs]; undefined: none.
  Decoder(std::int64_t latents, std::int64_t hidden, std::int64_t layers, std::int64_t outputs,
          const torch::Tensor& basis = {});

  /// z: [N, latents]  ->  [N, outputs], in the type of the parameters. Products between hidden
  /// layers are done in `products`; those of z and the output in the type of the parameters.
  torch::Tensor forward(const torch::Tensor& z, at::ScalarType products);
  /// c, [outputs].
  torch::Tensor bias() const { return bias_; }

 private:
  std::vector<torch::nn::Linear> layers_;
  torch::nn::Linear output_{nullptr};
  torch::Tensor bias_, basis_;
};

}  // namespace marginalia::mixture
