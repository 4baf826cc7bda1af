#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/network.h>
#include <marginalia/precision.h>

namespace marginalia {

Network::~Network() = default;

static constexpr std::pair<Head, const char*> kHeadNames[] = {
    {kLogMarginal, "log_marginal"},   {kLogits, "logits"},
    {kExtensions, "extensions"},      {kPositionLogits, "position_logits"},
    {kCausalLogits, "causal_logits"}, {kEmbedding, "embedding"}};

std::string names_of(HeadSet heads) {
  std::vector<std::string> names;
  for (const auto& [head, name] : kHeadNames)
    if (heads & head) names.emplace_back(name);
  return fmt::format("{}", fmt::join(names, ", "));
}

void set_space(Network& network, const StateSpace& space) {
  if (space.mixed()) network.impossible_ = space.possible().logical_not().unsqueeze(0);
}

void set_precision(Network& network, const Precision& precision) {
  for (const auto type : {precision.training, precision.answers})
    if (type == at::kBFloat16) allow_bfloat16();
  network.precision_ = precision;
  set_type(network, network.type());
}

void set_type(torch::nn::Module& module, at::ScalarType type) {
  const auto turn = [type](Tensor& tensor) {
    if (tensor.is_floating_point() && tensor.scalar_type() != type)
      tensor.set_data(tensor.detach().to(type));
  };
  for (auto& parameter : module.parameters())
    turn(parameter);
  for (auto& buffer : module.buffers())
    turn(buffer);
}

void Network::train(bool on) {
  torch::nn::Module::train(on);
  set_type(*this, type());
}

static void expect(const Network& network, const Tensor& head, at::IntArrayRef sizes, Head which) {
  if (!head.defined() || head.sizes() != sizes)
    throw Error(fmt::format(
        "{}: head {} must be [{}], not {}", network.label(), names_of(which),
        fmt::join(sizes, ", "),
        head.defined() ? fmt::format("[{}]", fmt::join(head.sizes(), ", ")) : "missing"));
}

Heads Network::evaluate(const NetworkInput& input, HeadSet wanted) {
  if (const auto lacking = wanted & ~heads())
    throw Error(fmt::format("{}: has no head {}; it computes {}", label(), names_of(lacking),
                            names_of(heads())));
  auto out = compute(input, wanted);
  const auto B = input.partial.size(0), D = input.partial.size(1);
  if (wanted & kLogMarginal) expect(*this, out.log_marginal, {B}, kLogMarginal);
  const auto settle = [&](Tensor& logits, Head which) {
    if (!(wanted & which)) return;
    const auto K = logits.defined() ? logits.size(-1) : 0;
    // [1, D, K], or [B, 1, K] where one variable a row was asked for and that is what came
    auto impossible = impossible_.defined() ? impossible_.to(input.partial.device()) : Tensor();
    if (which == kLogits && input.variable.defined()) {
      const auto variable = input.variable.to(input.partial.device());
      if (logits.defined() && logits.dim() == 3 && logits.size(1) == D)
        logits = logits.gather(1, variable.view({B, 1, 1}).expand({B, 1, K}));
      expect(*this, logits, {B, 1, K}, which);
      if (impossible.defined()) impossible = impossible[0].index_select(0, variable).unsqueeze(1);
    } else {
      expect(*this, logits, {B, D, K}, which);
    }
    if (impossible.defined()) logits = logits.masked_fill(impossible, -INFINITY);
  };
  settle(out.logits, kLogits);
  settle(out.causal_logits, kCausalLogits);
  return out;
}

}  // namespace marginalia
