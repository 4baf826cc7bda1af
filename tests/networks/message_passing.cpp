#include <torch/csrc/autograd/autograd.h>

#include <marginalia/inference/enumeration.h>
#include <marginalia/network.h>

#include "marginalia_test.h"
#include "seeded.h"

using namespace marginalia;
using test::kBothHeads;

namespace {

std::shared_ptr<Network> message_passing(const Energy& energy, const std::string& parameters) {
  auto net =
      test::seeded_network("message_passing", parameters, {energy.space(), kBothHeads, &energy});
  test::shake(*net, 0.1);
  return net;
}

/// The formula of message_passing.cpp without a prior, one edge after the other.
/// neighbours: of each variable, ascending.
Heads restated(const Network& net, const Tensor& x,
               const std::vector<std::vector<std::int64_t>>& neighbours, std::int64_t K,
               std::int64_t depth) {
  const auto p = net.named_parameters();
  const auto B = x.size(0), D = x.size(1);
  std::vector<Tensor> h;
  for (std::int64_t i = 0; i < D; ++i)
    h.push_back(p["table"].index({i * (K + 1) + 1 + x.select(1, i)}));
  for (std::int64_t l = 0; l < depth; ++l) {
    const auto at = [&](const char* name) { return p["layer" + std::to_string(l) + "_" + name]; };
    std::vector<Tensor> next;
    std::int64_t e = 0;
    for (std::int64_t i = 0; i < D; ++i) {
      auto z = h[std::size_t(i)].relu().mm(at("self")) + at("bias")[i];
      for (const auto j : neighbours[std::size_t(i)])
        z = z + at("gain")[e++] * h[std::size_t(j)].relu().mm(at("message"));
      next.push_back(h[std::size_t(i)] + z.relu().mm(at("out")));
    }
    h = next;
  }
  Heads heads;
  std::vector<Tensor> logits;
  heads.log_marginal = torch::zeros({B});
  for (std::int64_t i = 0; i < D; ++i) {
    const auto y = h[std::size_t(i)].relu();
    logits.push_back(y.mm(p["head"][i]) + p["head_bias"][i]);
    heads.log_marginal =
        heads.log_marginal + (y * p["marginal"][i]).sum(1) + p["marginal_bias"][i][0];
  }
  heads.logits = torch::stack(logits, 1);
  return heads;
}

}  // namespace

TEST_CASE("message_passing equals its formula, gradients too") {
  // an open chain of four: 0 - 1 - 2 - 3
  const auto energy =
      test::make<Energy>(R"({"type": "ising", "sides": [4], "boundary": "open", "coupling": 0.3})");
  const auto net = message_passing(*energy, R"("channels": 5, "depth": 2)");
  const auto x = torch::tensor({{0, 1, -1, -1}, {-1, -1, -1, -1}, {1, 1, 0, -1}}, torch::kLong);
  const auto heads = net->evaluate({x}, kBothHeads);
  const auto plain = restated(*net, x, {{1}, {0, 2}, {1, 3}, {2}}, 2, 2);
  CHECK((heads.logits - plain.logits).abs().max().item<double>() < 1e-5);
  CHECK((heads.log_marginal - plain.log_marginal).abs().max().item<double>() < 1e-5);

  const auto loss = [](const Heads& h) {
    return h.log_marginal.square().sum() + h.logits.softmax(2).square().sum();
  };
  const auto g = torch::autograd::grad({loss(heads)}, net->parameters());
  const auto expected = torch::autograd::grad({loss(plain)}, net->parameters());
  for (std::size_t n = 0; n < g.size(); ++n) {
    CAPTURE(net->named_parameters()[n].key());
    CHECK((g[n] - expected[n]).abs().max().item<double>() <
          1e-4 * (1 + expected[n].abs().max().item<double>()));
  }
}

TEST_CASE("message_passing with a prior is the prior where it is exact, whatever was learned") {
  const auto energy = test::make<Energy>(
      R"({"type": "ising", "sides": [6], "boundary": "open", "coupling": 0.7, "field": 0.2})");
  const auto net =
      message_passing(*energy, R"("channels": 4, "prior": "belief_propagation", "rounds": 6)");
  const EnumerationOracle exact(*energy);
  const auto x = torch::tensor({{0, -1, -1, 1, -1, -1}, {-1, -1, -1, -1, -1, -1}}, torch::kLong);
  const auto F = net->evaluate({x}, kLogMarginal).log_marginal.to(torch::kDouble);
  CHECK((F - exact.log_sum(x)).abs().max().item<double>() < 1e-4);  // no loops: nothing to learn
}
