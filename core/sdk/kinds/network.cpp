#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/network.h>
#include <marginalia/precision.h>

namespace marginalia {

Network::Network(const NetworkContext& context) {
  if (context.space.mixed()) impossible_ = context.space.possible().logical_not().unsqueeze(0);
}

Network::~Network() = default;

static constexpr std::pair<Head, const char*> kHeadNames[] = {
    {kLogMarginal, "log_marginal"},   {kLogits, "logits"},
    {kExtensions, "extensions"},      {kPositionLogits, "position_logits"},
    {kCausalLogits, "causal_logits"}, {kEmbedding, "embedding"},
    {kLogitsOfOne, "logits_of_one"}};

std::string list_heads(HeadSet heads) {
  std::vector<std::string> names;
  for (const auto& [head, name] : kHeadNames)
    if (heads & head) names.emplace_back(name);
  return fmt::format("{}", fmt::join(names, ", "));
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
        "{}: head {} must be [{}], not {}", network.label(), list_heads(which),
        fmt::join(sizes, ", "),
        head.defined() ? fmt::format("[{}]", fmt::join(head.sizes(), ", ")) : "missing"));
}

/// Logits of one variable a row, from those of all: [B, D, K] -> [B, K].
static Tensor of_one(const Tensor& logits, const Tensor& variable) {
  const auto B = logits.size(0), K = logits.size(2);
  return logits.gather(1, variable.view({B, 1, 1}).expand({B, 1, K})).squeeze(1);
}

/// Checks a head's sizes, and makes logits of impossible values -inf.
/// impossible: as the head, for broadcasting; undefined: none.
static void settle(const Network& network, Tensor& logits, at::IntArrayRef rows, Head which,
                   const Tensor& impossible) {
  auto sizes = rows.vec();
  sizes.push_back(logits.defined() ? logits.size(-1) : 0);
  expect(network, logits, sizes, which);
  if (impossible.defined()) logits = logits.masked_fill(impossible, -INFINITY);
}

Heads Network::evaluate(const NetworkInput& input, HeadSet wanted) {
  const HeadSet derived = heads() & kLogits ? kLogitsOfOne & ~heads() : 0;
  if (const auto lacking = wanted & ~(heads() | derived))
    throw Error(fmt::format("{}: has no head {}; it computes {}", label(), list_heads(lacking),
                            list_heads(heads())));
  const bool derives = wanted & derived;
  auto out = compute(input, derives ? (wanted & ~derived) | kLogits : wanted);
  const auto B = input.partial.size(0), D = input.partial.size(1);
  const auto device = input.partial.device();
  const auto impossible = impossible_.defined() ? impossible_.to(device) : Tensor();  // [1, D, K]
  if (wanted & kLogMarginal) expect(*this, out.log_marginal, {B}, kLogMarginal);
  if (derives || (wanted & kLogits)) settle(*this, out.logits, {B, D}, kLogits, impossible);
  if (wanted & kExtensions) settle(*this, out.extensions, {B, D}, kExtensions, impossible);
  if (wanted & kCausalLogits) settle(*this, out.causal_logits, {B, D}, kCausalLogits, impossible);
  if (!(wanted & kLogitsOfOne)) return out;
  const auto variable = input.variable.to(device);
  if (derives) {
    out.logits_of_one = of_one(out.logits, variable);
    if (!(wanted & kLogits)) out.logits = Tensor();
    return out;
  }
  const auto own = impossible.defined() ? impossible[0].index_select(0, variable) : Tensor();
  settle(*this, out.logits_of_one, {B}, kLogitsOfOne, own);
  return out;
}

}  // namespace marginalia
