#include "group_norm.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include "group_norm_layer.h"

namespace marginalia::unet {
namespace {

using torch::Tensor, torch::autograd::AutogradContext, torch::autograd::tensor_list;

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

struct GroupNorm : torch::autograd::Function<GroupNorm> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& shift,
                        const Tensor& gamma, const Tensor& beta, std::int64_t groups, bool relu) {
    const auto B = x.size(0);
    const GroupNormLayer layer{.x = x.contiguous(kChannelsLast),
                               .shift = shift.contiguous(),
                               .gamma = gamma,
                               .beta = beta,
                               .mean = torch::empty({B, groups}),
                               .scale = torch::empty({B, groups}),
                               .activation = relu ? Activation::kRelu : Activation::kSilu};
    auto y = layer.forward();
    context->save_for_backward({layer.x, layer.shift, gamma, beta, layer.mean, layer.scale});
    context->saved_data["relu"] = relu;
    return y;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const bool relu = context->saved_data["relu"].toBool();
    const GroupNormLayer layer{.x = saved[0],
                               .shift = saved[1],
                               .gamma = saved[2],
                               .beta = saved[3],
                               .mean = saved[4],
                               .scale = saved[5],
                               .activation = relu ? Activation::kRelu : Activation::kSilu};
    const auto g = layer.backward(gradients[0].contiguous(kChannelsLast));
    return {g.x, layer.shift.numel() > 0 ? g.shift : Tensor(), g.gamma, g.beta, {}, {}};
  }
};

/// The same in ATen's words, for devices and types that the kernels are not written for.
Tensor by_parts(const Tensor& x, const Tensor& shift, const Tensor& gamma, const Tensor& beta,
                std::int64_t groups, Activation activation) {
  auto z = x.to(gamma.scalar_type());
  if (shift.defined()) z = z + shift.unsqueeze(2).unsqueeze(3);
  z = torch::group_norm(z, groups, gamma, beta, kGroupNormEpsilon);
  return (activation == Activation::kRelu ? z.relu() : torch::silu(z)).to(x.scalar_type());
}

}  // namespace

Tensor group_norm(const Tensor& x, const Tensor& shift, const Tensor& gamma, const Tensor& beta,
                  std::int64_t groups, Activation activation) {
  const bool has_kernel =
      x.is_cpu() && (x.scalar_type() == torch::kFloat || x.scalar_type() == torch::kBFloat16);
  if (!has_kernel) return by_parts(x, shift, gamma, beta, groups, activation);
  return GroupNorm::apply(x, shift.defined() ? shift : torch::empty({0}), gamma, beta, groups,
                          activation == Activation::kRelu);
}

}  // namespace marginalia::unet
