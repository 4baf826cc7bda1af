#include "decoder.h"

#include <string>

#include <torch/types.h>

namespace marginalia::mixture {

using torch::Tensor;

Decoder::Decoder(std::int64_t latents, std::int64_t hidden, std::int64_t layers,
                 std::int64_t outputs, const Tensor& basis) {
  for (std::int64_t l = 1; l <= layers; ++l)
    layers_.push_back(register_module("layer" + std::to_string(l),
                                      torch::nn::Linear(l == 1 ? latents : hidden, hidden)));
  if (!basis.defined()) {
    output_ = register_module("output", torch::nn::Linear(hidden, outputs));
    bias_ = output_->bias;
    return;
  }
  basis_ = register_buffer("basis", basis);
  const auto numbers = torch::nn::LinearOptions(hidden, basis.size(0)).bias(false);
  output_ = register_module("output", torch::nn::Linear(numbers));
  bias_ = register_parameter("bias", torch::zeros({outputs}));
}

static Tensor product(const Tensor& x, const torch::nn::Linear& layer, at::ScalarType type) {
  if (type == x.scalar_type()) return at::linear(x, layer->weight, layer->bias);
  const auto narrow = [type](const Tensor& t) { return t.to(type); };
  return narrow(x).mm(narrow(layer->weight).t()).to(x.scalar_type()) + layer->bias;
}

Tensor Decoder::forward(const Tensor& z, at::ScalarType products) {
  const auto& first = layers_[0];
  auto h = at::gelu(at::linear(z.to(first->weight.scalar_type()), first->weight, first->bias));
  for (std::size_t l = 1; l < layers_.size(); ++l)
    h = h + at::gelu(product(h, layers_[l], products));
  if (!basis_.defined()) return output_(h);
  return at::linear(h, basis_.t().mm(output_->weight), bias_);
}

}  // namespace marginalia::mixture
