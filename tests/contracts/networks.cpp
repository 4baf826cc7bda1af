#include <torch/csrc/autograd/autograd.h>

#include "contracts.h"
#include "factors.h"

#include <marginalia/network.h>

using namespace marginalia;
using torch::Tensor;

namespace {

constexpr Head kHeads[] = {kLogMarginal,    kLogits,       kExtensions,
                           kPositionLogits, kCausalLogits, kEmbedding};
constexpr HeadSet kAll = (kLogitsOfOne << 1) - 1;

/// What networks are built for: a lattice with its energy; variables of different cardinalities,
/// alone, and seen as a picture with an energy.
struct Surroundings {
  std::string name;
  StateSpace space;
  std::shared_ptr<Energy> energy;
};

/// Each variable leans to the value of the one before it.
std::shared_ptr<Energy> leaning(const std::vector<std::int64_t>& cardinalities) {
  FactorModel model{cardinalities, {}};
  for (std::size_t i = 0; i + 1 < cardinalities.size(); ++i) {
    Factor factor{{std::int64_t(i), std::int64_t(i) + 1}, {}};
    for (std::int64_t k = 0; k < cardinalities[i]; ++k)
      for (std::int64_t l = 0; l < cardinalities[i + 1]; ++l)
        factor.log_values.push_back(k == l ? 0.5 : 0.1 * double(l));
    model.factors.push_back(factor);
  }
  return std::make_shared<test::Factored>(model);
}

std::vector<Surroundings> surroundings() {
  const auto ising = test::make<Energy>(R"({"type": "ising", "side": 3, "coupling": 0.3})");
  const StateSpace picture{{2, 3, 5, 3, 2, 5, 5, 2, 3}, {3, 3}};
  return {{"3 x 3 lattice", ising->space(), ising},
          {"variables of 2, 3 and 5 values", StateSpace{{2, 3, 5}, {3}}, nullptr},
          {"a picture of variables of 2, 3 and 5 values", picture, leaning(picture.cardinalities)}};
}

std::shared_ptr<Network> build(const Description& d, const Surroundings& around, HeadSet heads) {
  torch::manual_seed(0);
  const NetworkContext context{around.space, heads, around.energy.get()};
  auto network = test::loaded_registry().make<Network>(test::example(d), context);
  torch::NoGradGuard no_grad;  // away from initial values, where some outputs are zero
  for (auto& parameter : network->parameters())
    parameter.add_(0.1 * torch::randn_like(parameter));
  return network;
}

/// Calls `check` with every network in all surroundings that it can be built for.
template <class F>
void for_each_network(F check) {
  for (const auto& [name, entry] : test::loaded_registry().all<Network>()) {
    CAPTURE(name);
    int built = 0;
    for (const auto& around : surroundings()) {
      CAPTURE(around.name);
      std::shared_ptr<Network> network;
      try {
        network = build(entry.description, around, kAll);
      } catch (const SpecError& e) {
        MESSAGE(name, " is not built for ", around.name, ": ", std::string(e.what()));
        continue;
      }
      ++built;
      network->eval();
      check(*network, around, entry.description);
    }
    CHECK(built > 0);
  }
}

const Tensor& part(const Heads& heads, Head which) {
  switch (which) {
    case kLogMarginal:
      return heads.log_marginal;
    case kLogits:
      return heads.logits;
    case kExtensions:
      return heads.extensions;
    case kPositionLogits:
      return heads.position_logits;
    case kCausalLogits:
      return heads.causal_logits;
    default:
      return heads.embedding;
  }
}

/// Rows of every kind; full ones for causal heads, which read them along an order.
NetworkInput input_for(const Network& network, const StateSpace& space, Head head) {
  const auto partial =
      head == kCausalLogits ? test::random_states(space, 6) : test::mixed_states(space, 4);
  Stream stream(3, "contracts");
  auto order = stream.permutations(partial.size(0), space.dimension());
  if (network.causal_order().defined()) order = network.causal_order().repeat({order.size(0), 1});
  return {partial, order, stream.uniform({partial.size(0)})};
}

NetworkInput rows_between(const NetworkInput& input, std::int64_t begin, std::int64_t end) {
  return {input.partial.slice(0, begin, end), input.order.slice(0, begin, end),
          input.time.slice(0, begin, end)};
}

TEST_CASE("every network computes the heads it is asked for, and no others") {
  torch::NoGradGuard no_grad;
  for_each_network([](Network& network, const Surroundings& around, const Description&) {
    const auto D = around.space.dimension(), K = around.space.levels();
    CHECK(network.heads() != 0);
    CHECK((network.heads() & ~kAll) == 0);
    for (const auto head : kHeads) {
      const auto head_name = list_heads(head);
      CAPTURE(head_name);
      const auto input = input_for(network, around.space, head);
      if (!(network.heads() & head)) {
        CHECK(test::refusal([&] { network.evaluate(input, head); }) ==
              fmt::format("{}: has no head {}; it computes {}", network.label(), head_name,
                          list_heads(network.heads())));
        continue;
      }
      const auto before = input.partial.clone();
      const auto heads = network.evaluate(input, head);
      CHECK(input.partial.equal(before));
      for (const auto other : kHeads)
        CHECK(part(heads, other).defined() == (other == head));
      const auto& out = part(heads, head);
      const auto B = input.partial.size(0);
      CHECK((out.scalar_type() == torch::kFloat));
      if (head == kLogMarginal) CHECK(out.sizes() == at::IntArrayRef{B});
      if (head == kPositionLogits) CHECK(out.sizes() == at::IntArrayRef{B, D});
      if (head == kEmbedding) CHECK((out.dim() == 2 && out.size(0) == B));
      if (head & (kLogits | kExtensions | kCausalLogits))
        CHECK(out.sizes() == at::IntArrayRef{B, D, K});
      CHECK_FALSE(out.isnan().any().item<bool>());
    }
  });
}

TEST_CASE("a network gives values that a variable does not have no probability") {
  torch::NoGradGuard no_grad;
  for_each_network([](Network& network, const Surroundings& around, const Description&) {
    for (const auto head : {kLogits, kExtensions, kCausalLogits}) {
      if (!(network.heads() & head)) continue;
      const auto head_name = list_heads(head);
      CAPTURE(head_name);
      const auto out =
          part(network.evaluate(input_for(network, around.space, head), head), head);  // [B, D, K]
      const auto possible = around.space.possible().expand(out.sizes());
      CHECK(out.masked_select(possible).isfinite().all().item<bool>());
      CHECK((out.masked_select(~possible) == -INFINITY).all().item<bool>());
      const auto p = out.softmax(2);
      CHECK(test::close((p * possible).sum(2), torch::ones({p.size(0), p.size(1)}), 1e-5));
    }
  });
}

/// What a network says in a precision, and its gradient by the parameters, of one number.
struct Said {
  std::vector<Tensor> heads, gradients;
};
Said said_in(Network& network, const StateSpace& space, const Precision& precision) {
  set_precision(network, precision);
  network.train();
  Said said;
  auto loss = torch::zeros({}, torch::kDouble);
  for (const auto head : kHeads) {
    if (!(network.heads() & head)) continue;
    said.heads.push_back(part(network.evaluate(input_for(network, space, head), head), head));
    const auto seen = said.heads.back().masked_select(said.heads.back().isfinite());
    loss = loss + seen.to(torch::kDouble).sin().sum();
  }
  const auto parameters = network.parameters();
  said.gradients = torch::autograd::grad({loss}, parameters);
  return said;
}

TEST_CASE("a network in float64 is float64 throughout, and says what it says in float32") {
  for_each_network([](Network& network, const Surroundings& around, const Description&) {
    const auto single = said_in(network, around.space, {torch::kFloat, torch::kFloat});
    const auto twofold = said_in(network, around.space, {torch::kDouble, torch::kDouble});
    for (std::size_t i = 0; i < single.heads.size(); ++i) {
      const auto &x = single.heads[i], &y = twofold.heads[i];
      CHECK((x.scalar_type() == torch::kFloat));
      CHECK((y.scalar_type() == torch::kDouble));
      CHECK(test::close(x.to(torch::kDouble), y, 1e-4));
      const auto finite = y.masked_select(y.isfinite());
      CHECK_FALSE(finite.equal(finite.to(torch::kFloat).to(torch::kDouble)));  // not just widened
    }
    for (std::size_t i = 0; i < single.gradients.size(); ++i) {
      CAPTURE(network.named_parameters().keys()[i]);
      CHECK((single.gradients[i].scalar_type() == torch::kFloat));
      CHECK((twofold.gradients[i].scalar_type() == torch::kDouble));
      CHECK(test::close(single.gradients[i].to(torch::kDouble), twofold.gradients[i], 1e-3));
    }
  });
}

TEST_CASE("a network that answers in float64 trains on in float32 with the parameters it had") {
  torch::NoGradGuard no_grad;
  for_each_network([](Network& network, const Surroundings& around, const Description&) {
    set_precision(network, {torch::kFloat, torch::kDouble});
    network.train();
    const auto parameters = network.parameters();  // as an optimiser holds them
    std::vector<Tensor> before;
    for (const auto& parameter : parameters)
      before.push_back(parameter.clone());
    network.eval();
    for (const auto head : kHeads)
      if (network.heads() & head) {
        const auto answer =
            part(network.evaluate(input_for(network, around.space, head), head), head);
        CHECK((answer.scalar_type() == torch::kDouble));
      }
    for (const auto& parameter : parameters)
      CHECK((parameter.scalar_type() == torch::kDouble));
    network.train();
    for (std::size_t i = 0; i < before.size(); ++i)
      CHECK(parameters[i].equal(before[i]));
  });
}

TEST_CASE("a network whose products are bfloat16 has outputs of float32, near those of float32") {
  torch::NoGradGuard no_grad;
  for_each_network([](Network& network, const Surroundings& around, const Description&) {
    for (const auto head : kHeads) {
      if (!(network.heads() & head)) continue;
      const auto input = input_for(network, around.space, head);
      const auto in = [&](at::ScalarType products) {
        set_precision(network, {products, products});
        return part(network.evaluate(input, head), head);
      };
      const auto fine = in(torch::kFloat), coarse = in(torch::kBFloat16);
      CHECK((coarse.scalar_type() == torch::kFloat));
      const auto finite = fine.isfinite();
      const auto x = fine.masked_select(finite), y = coarse.masked_select(finite);
      CHECK(((x - y).norm() / x.norm()).item<double>() < 0.05);
    }
  });
}

TEST_CASE("a network that is built for one head has it") {
  for_each_network([](Network& network, const Surroundings& around, const Description& d) {
    for (const auto head : kHeads)
      if (network.heads() & head) {
        const auto head_name = list_heads(head);
        CAPTURE(head_name);
        const auto one = build(d, around, head);
        CHECK((one->heads() & head) != 0);
        CHECK(part(one->evaluate(input_for(*one, around.space, head), head), head).defined());
      }
  });
}

TEST_CASE("a network's rows do not see each other, and answers repeat") {
  torch::NoGradGuard no_grad;
  for_each_network([](Network& network, const Surroundings& around, const Description&) {
    for (const auto head : kHeads) {
      if (!(network.heads() & head)) continue;
      const auto head_name = list_heads(head);
      CAPTURE(head_name);
      const auto input = input_for(network, around.space, head);
      const auto out = part(network.evaluate(input, head), head);
      CHECK(part(network.evaluate(input, head), head).equal(out));
      const auto B = input.partial.size(0);
      for (std::int64_t b = 0; b < B; ++b)
        CHECK(test::close(part(network.evaluate(rows_between(input, b, b + 1), head), head),
                          out.slice(0, b, b + 1), 1e-5));
      for (const auto& answer :
           test::from_threads([&] { return part(network.evaluate(input, head), head); }))
        CHECK(test::close(answer, out, 1e-5));
    }
  });
}

TEST_CASE("heads asked for together are those asked for alone") {
  torch::NoGradGuard no_grad;
  for_each_network([](Network& network, const Surroundings& around, const Description&) {
    const auto together = network.heads() & ~HeadSet(kCausalLogits | kLogitsOfOne);
    if (together == 0) return;
    const auto input = input_for(network, around.space, kLogits);
    const auto all = network.evaluate(input, together);
    for (const auto head : kHeads)
      if (together & head)
        CHECK(test::close(part(network.evaluate(input, head), head), part(all, head), 1e-5));
  });
}

TEST_CASE("logits of one variable a row are its own among all logits") {
  torch::NoGradGuard no_grad;
  for_each_network([](Network& network, const Surroundings& around, const Description&) {
    if (!(network.heads() & kLogits)) return;
    auto input = input_for(network, around.space, kLogits);
    const auto all = network.evaluate(input, kLogits).logits;
    const auto B = all.size(0), D = all.size(1), K = all.size(2);
    input.variable = torch::arange(B).remainder(D).flip(0);
    const auto heads = network.evaluate(input, kLogitsOfOne);
    CHECK_FALSE(heads.logits.defined());
    const auto& one = heads.logits_of_one;
    CHECK(one.sizes() == at::IntArrayRef{B, K});
    const auto own = all.gather(1, input.variable.view({B, 1, 1}).expand({B, 1, K})).squeeze(1);
    CHECK(test::close(one, own, 1e-5));
  });
}

TEST_CASE("causal logits see what comes before a variable, unknown or not, and nothing else") {
  torch::NoGradGuard no_grad;
  for_each_network([](Network& network, const Surroundings& around, const Description&) {
    if (!(network.heads() & kCausalLogits)) return;
    const auto input = input_for(network, around.space, kCausalLogits);
    const auto out = network.evaluate(input, kCausalLogits).causal_logits;
    const auto levels = out.size(2);
    for (std::int64_t rank = 0; rank < around.space.dimension(); ++rank) {
      const auto variable = input.order.slice(1, rank, rank + 1);
      const auto no_later = input.order.slice(1, 0, rank + 1).unsqueeze(2).expand({-1, -1, levels});
      const auto value = input.partial.gather(1, variable);
      for (const auto& other : {1 - value.clamp(0, 1), torch::full_like(value, kUnknown)}) {
        auto changed = input;
        changed.partial = input.partial.scatter(1, variable, other);
        const auto seen = network.evaluate(changed, kCausalLogits).causal_logits;
        CHECK(test::close(seen.gather(1, no_later), out.gather(1, no_later), 1e-5));
      }
    }
  });
}

TEST_CASE("every parameter of a network gets a gradient") {
  for_each_network([](Network& network, const Surroundings& around, const Description&) {
    network.train();
    auto loss = torch::zeros({});
    for (const auto head : kHeads) {
      if (!(network.heads() & head)) continue;
      const auto out = part(network.evaluate(input_for(network, around.space, head), head), head);
      const auto seen = out.masked_select(out.isfinite());
      torch::manual_seed(1);
      loss = loss + (seen * torch::randn_like(seen)).sum();
    }
    loss.backward();
    for (const auto& item : network.named_parameters()) {
      const auto& gradient = item.value().grad();
      CAPTURE(item.key());
      REQUIRE(gradient.defined());
      CHECK(gradient.isfinite().all().item<bool>());
      CHECK((gradient != 0).any().item<bool>());
    }
  });
}

}  // namespace
