// The kernels of unet against ATen's operations, values and gradients.
#include <torch/csrc/autograd/autograd.h>

#include "../../plugins/networks/unet/group_norm.h"

#include "marginalia_test.h"

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
