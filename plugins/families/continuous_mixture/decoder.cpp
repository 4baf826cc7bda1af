#include "decoder.h"

#include <string>

#include <torch/types.h>

namespace mixture {

using torch::Tensor;

Decoder::Decoder(std::int64_t latents, std::int64_t hidden, std::int64_t layers,
                 std::int64_t outputs) {
  for (std::int64_t l = 1; l <= layers; ++l)
    layers_.push_back(register_module("layer" + std::to_string(l),
                                      torch::nn::Linear(l == 1 ? latents : hidden, hidden)));
  output_ = register_module("output", torch::nn::Linear(hidden, outputs));
}

static Tensor product(const Tensor& x, const torch::nn::Linear& layer, bool bfloat16) {
  if (!bfloat16) return at::linear(x, layer->weight, layer->bias);
  const auto narrow = [](const Tensor& t) { return t.to(torch::kBFloat16); };
  return narrow(x).mm(narrow(layer->weight).t()).to(x.scalar_type()) + layer->bias;
}

Tensor Decoder::forward(const Tensor& z, bool bfloat16) {
  auto h = at::gelu(at::linear(z, layers_[0]->weight, layers_[0]->bias));
  for (std::size_t l = 1; l < layers_.size(); ++l)
    h = h + at::gelu(product(h, layers_[l], bfloat16));
  return output_(h);
}

}  // namespace mixture
