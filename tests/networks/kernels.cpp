// The kernels of unet and transformer against ATen, values and gradients.
#include <torch/csrc/autograd/autograd.h>

#include "plugins/networks/transformer/fused.h"
#include "plugins/networks/unet/group_norm.h"

#include <marginalia/precision.h>

#include "marginalia_test.h"

using namespace marginalia;
using torch::Tensor;

TEST_CASE("group normalisation with shift and activation, and its gradient, agree with ATen") {
  torch::manual_seed(5);
  for (const auto activation : {unet::Activation::kRelu, unet::Activation::kSilu})
    for (const bool shifted : {false, true}) {
      CAPTURE(shifted);
      const auto leaf = [](const Tensor& t) { return t.clone().requires_grad_(); };
      const auto x =
          leaf((torch::randn({3, 12, 5, 7}) * 2 + 1).contiguous(at::MemoryFormat::ChannelsLast));
      const auto shift = leaf(torch::randn({3, 12}));
      const auto gamma = leaf(torch::randn({12})), beta = leaf(torch::randn({12}));
      const auto weight = torch::randn({3, 12, 5, 7});
      std::vector<Tensor> leaves{x, gamma, beta};
      if (shifted) leaves.push_back(shift);

      const auto y = unet::group_norm(x, shifted ? shift : Tensor(), gamma, beta, 4, activation);
      auto z = shifted ? x + shift.unsqueeze(2).unsqueeze(3) : x;
      z = torch::group_norm(z, 4, gamma, beta);
      const auto expected = activation == unet::Activation::kRelu ? z.relu() : torch::silu(z);
      CHECK((y - expected).abs().max().item<double>() < 1e-5);

      const auto ours = torch::autograd::grad({(y * weight).sum()}, leaves);
      const auto theirs = torch::autograd::grad({(expected * weight).sum()}, leaves);
      for (std::size_t n = 0; n < leaves.size(); ++n)
        CHECK((ours[n] - theirs[n]).abs().max().item<double>() < 2e-4);

      const auto half = unet::group_norm(x.detach().to(torch::kBFloat16),
                                         shifted ? shift : Tensor(), gamma, beta, 4, activation);
      CHECK((half.scalar_type() == torch::kBFloat16));
      CHECK((half.to(torch::kFloat) - expected).abs().max().item<double>() < 0.1);
    }
}

namespace {

/// Attention from its definition, in ATen's words. As transformer::attention.
Tensor attention_defined(const Tensor& projected, const Tensor& angle, std::int64_t heads,
                         bool causal) {
  const auto B = projected.size(0), L = projected.size(1), C = projected.size(2) / 3;
  const auto parts = projected.view({B, L, 3, heads, C / heads}).permute({2, 0, 3, 1, 4});
  const auto turn = [&](const Tensor& x) {
    if (!angle.defined()) return x;
    const auto by = angle.dim() == 3 ? angle.unsqueeze(1) : angle;
    const auto halves = x.chunk(2, -1);
    return torch::cat(
        {halves[0] * by.cos() - halves[1] * by.sin(), halves[1] * by.cos() + halves[0] * by.sin()},
        -1);
  };
  auto scores = torch::matmul(turn(parts[0]), turn(parts[1]).transpose(2, 3)) /
                std::sqrt(double(C) / double(heads));
  if (causal) scores = scores.masked_fill(torch::ones({L, L}, torch::kBool).triu(1), -INFINITY);
  return torch::matmul(scores.softmax(3), parts[2]).transpose(1, 2).reshape({B, L, C});
}

}  // namespace

TEST_CASE("attention with turned positions, and its gradient, agree with their definition") {
  allow_bfloat16();  // as a network that multiplies in it is told, where oneDNN is limited
  torch::manual_seed(6);
  const std::int64_t B = 3, L = 21, H = 2, d = 10;
  const auto x = torch::randn({B, L, 3 * H * d}).requires_grad_();
  const auto weight = torch::randn({B, L, H * d});
  for (const auto& angle :
       {Tensor(), torch::randn({L, d / 2}) * 3, torch::randn({B, L, d / 2}) * 3})
    for (const bool causal : {false, true}) {
      CAPTURE(causal);
      const auto cos = angle.defined() ? angle.cos() : Tensor();
      const auto sin = angle.defined() ? angle.sin() : Tensor();
      const auto y = transformer::attention(x, cos, sin, H, causal);
      const auto expected = attention_defined(x, angle, H, causal);
      CHECK((y - expected).abs().max().item<double>() < 1e-5);

      const auto ours = torch::autograd::grad({(y * weight).sum()}, {x})[0];
      const auto theirs = torch::autograd::grad({(expected * weight).sum()}, {x})[0];
      CHECK((ours - theirs).abs().max().item<double>() < 1e-5);

      const auto half =
          transformer::attention(x.detach().to(torch::kBFloat16), cos, sin, H, causal);
      CHECK((half.scalar_type() == torch::kBFloat16));
      CHECK((half.to(torch::kFloat) - expected).abs().max().item<double>() < 0.05);
    }
}

TEST_CASE("gelu and its gradient agree with ATen") {
  const auto x = torch::linspace(-12, 12, 4001).requires_grad_();
  const auto ours = transformer::gelu(x), theirs = torch::gelu(x);
  CHECK((ours - theirs).abs().max().item<double>() < 2e-6);
  const auto slope = torch::autograd::grad({ours.sum()}, {x})[0];
  const auto expected = torch::autograd::grad({theirs.sum()}, {x})[0];
  CHECK((slope - expected).abs().max().item<double>() < 2e-6);
  const auto half = transformer::gelu(x.detach().to(torch::kBFloat16)).to(torch::kFloat);
  CHECK((half - theirs).abs().max().item<double>() < 0.05);
}
