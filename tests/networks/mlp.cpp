#include <torch/csrc/autograd/autograd.h>

#include <fmt/format.h>

#include <marginalia/network.h>

#include "marginalia_test.h"
#include "seeded.h"

using namespace marginalia;
using test::kBothHeads;

namespace {

std::shared_ptr<Network> mlp(const NetworkContext& context, const std::string& parameters,
                             at::ScalarType products = torch::kFloat) {
  return test::seeded_network("mlp", parameters, context, {products, products});
}

/// Partial states whose variables are unknown half of the time: int64 [B, D].
Tensor partial_states(const StateSpace& space, std::int64_t B) {
  torch::manual_seed(2);
  const auto cardinalities = torch::tensor(space.cardinalities);
  const auto x = (torch::rand({B, space.dimension()}) * cardinalities).floor().to(torch::kLong);
  return x.masked_fill(torch::rand({B, space.dimension()}) < 0.5, kUnknown);
}

/// The tower called `name` by plain operations in float64: int64 [B, D]  ->  [B, outputs].
Tensor restated(const Network& net, const std::string& name, const Tensor& x, std::int64_t levels,
                std::int64_t layers, double slope) {
  const auto p = net.named_parameters();
  const auto product = [&](const Tensor& h, const std::string& at) {
    const auto key = name + "." + at;
    return h.mm(p[key + ".weight"].to(torch::kDouble).t()) + p[key + ".bias"].to(torch::kDouble);
  };
  auto h = torch::one_hot(x + 1, levels + 1).to(torch::kDouble).flatten(1);
  h = product(h, "layer1");
  for (std::int64_t l = 2; l <= layers; ++l) {
    const auto z = product(h, "layer" + std::to_string(l));
    h = h + torch::where(z > 0, z, slope * z);
  }
  return product(h, "output");
}

/// One number that depends on every output.
Tensor objective(const Heads& heads) {
  return heads.log_marginal.square().sum() + (heads.logits.softmax(2).square()).sum();
}

std::vector<Tensor> gradients(Network& net, const Tensor& loss) {
  return torch::autograd::grad({loss}, net.parameters());
}

double cosine(const Tensor& a, const Tensor& b) {
  return ((a * b).sum() / (a.norm() * b.norm())).item<double>();
}
double relative(const Tensor& a, const Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

}  // namespace

TEST_CASE("mlp equals its formula in float64, gradients too") {
  const NetworkContext context{StateSpace::uniform(7, 3)};
  const auto net = mlp(context, R"("hidden": 24, "layers": 3, "slope": 0.1)");
  const auto x = partial_states(context.space, 9);
  const auto heads = net->evaluate({x}, kBothHeads);
  Heads plain;
  plain.log_marginal = restated(*net, "marginal", x, 3, 3, 0.1).squeeze(1);
  plain.logits = restated(*net, "conditional", x, 3, 3, 0.1).view({9, 7, 3});

  CHECK(torch::allclose(heads.log_marginal.to(torch::kDouble), plain.log_marginal, 1e-5, 1e-5));
  CHECK(torch::allclose(heads.logits.to(torch::kDouble), plain.logits, 1e-5, 1e-5));
  const auto ours = gradients(*net, objective(heads)), theirs = gradients(*net, objective(plain));
  for (std::size_t i = 0; i < ours.size(); ++i)
    CHECK(relative(ours[i], theirs[i]) < 1e-5);
}

TEST_CASE("mlp computes the heads asked for and no others, and has only those it was built for") {
  NetworkContext context{StateSpace::uniform(4, 2)};
  const auto x = partial_states(context.space, 3);
  const auto both = mlp(context, R"("hidden": 8)");
  CHECK_FALSE(both->evaluate({x}, kLogMarginal).logits.defined());
  CHECK_FALSE(both->evaluate({x}, kLogits).log_marginal.defined());

  context.heads = kLogits;
  const auto one = mlp(context, R"("hidden": 8)");
  CHECK(one->heads() == (kLogits | kLogitsOfOne));
  for (const auto& parameter : one->named_parameters())
    CHECK(parameter.key().starts_with("conditional."));
  CHECK_THROWS_AS(one->evaluate({x}, kLogMarginal), Error);
}

TEST_CASE("gradients of mlp agree with finite differences") {
  const NetworkContext context{StateSpace::uniform(3, 2)};
  const auto net = mlp(context, R"("hidden": 5, "layers": 3)");
  set_precision(*net, {torch::kDouble, torch::kDouble});
  const auto x = partial_states(context.space, 6);
  const auto loss = [&] { return objective(net->evaluate({x}, kBothHeads)); };
  const auto gradient = gradients(*net, loss());
  const auto parameters = net->parameters();
  torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    auto p = parameters[i];
    const auto direction = torch::randn_like(p);
    const auto along = [&](double t) {
      p.add_(direction, t);
      const auto value = loss().item<double>();
      p.sub_(direction, t);
      return value;
    };
    const auto difference = (along(1e-6) - along(-1e-6)) / 2e-6;
    CHECK(difference ==
          doctest::Approx((gradient[i] * direction).sum().item<double>()).epsilon(1e-5));
  }
}

// bfloat16 keeps 8 bits: up to 0.4 % a rounding. A unit whose product rounds across zero changes
// its slope, hence the wider tolerance of gradients; a single row has nothing to average that over.
TEST_CASE("mlp in bfloat16 stays near float32, outputs and gradients, at any size") {
  const std::pair<const char*, std::int64_t> sizes[] = {{R"("hidden": 256)", 1},
                                                        {R"("hidden": 256)", 33},
                                                        {R"("hidden": 256)", 64},
                                                        {R"("hidden": 200)", 64}};
  for (const auto& [hidden, rows] : sizes) {
    CAPTURE(hidden);
    CAPTURE(rows);
    const NetworkContext context{StateSpace::uniform(30, 2)};
    const auto fine = mlp(context, hidden);
    const auto coarse = mlp(context, hidden, torch::kBFloat16);  // the same seed, the same weights
    const auto x = partial_states(context.space, rows);
    const auto a = coarse->evaluate({x}, kBothHeads), b = fine->evaluate({x}, kBothHeads);
    CHECK(a.logits.dtype() == b.logits.dtype());
    CHECK(relative(a.logits, b.logits) < 0.01);
    CHECK(relative(a.log_marginal, b.log_marginal) < 0.01);
    if (rows == 1) continue;
    const auto ours = gradients(*coarse, objective(a)), theirs = gradients(*fine, objective(b));
    for (std::size_t i = 0; i < ours.size(); ++i) {
      CAPTURE(coarse->named_parameters().keys()[i]);
      CHECK(cosine(ours[i], theirs[i]) > 0.999);
      CHECK(relative(ours[i], theirs[i]) < 0.04);
    }
  }
}

TEST_CASE("mlp in bfloat16 follows its weights when they are changed in place") {
  const NetworkContext context{StateSpace::uniform(6, 2)};
  const auto net = mlp(context, R"("hidden": 32)", torch::kBFloat16);
  const auto x = partial_states(context.space, 5);
  const auto before = net->evaluate({x}, kLogits).logits;
  {
    torch::NoGradGuard no_grad;
    net->named_parameters()["conditional.layer2.weight"].add_(0.1);
  }
  const auto after = net->evaluate({x}, kLogits).logits;
  CHECK(relative(after, before) > 0.01);
  CHECK(net->evaluate({x}, kLogits).logits.equal(after));
}

TEST_CASE("mlp starts from the energy's prior, and adds to it what it learns") {
  const auto energy = test::make<Energy>(R"({"type": "ising", "side": 3})");
  NetworkContext context{energy->space()};
  context.energy = energy.get();
  const auto x = partial_states(context.space, 4);
  const auto net = mlp(context, R"("hidden": 8, "prior": "local")");
  const auto start = net->evaluate({x}, kBothHeads);

  const auto l = energy->local()->logits(x);
  const auto unknown = (x == kUnknown).to(torch::kDouble);
  const auto log_marginal =
      energy->local()->known_part(x) + (l.logsumexp(2).to(torch::kDouble) * unknown).sum(1);
  CHECK(torch::allclose(start.logits, l, 1e-5, 1e-6));
  CHECK(torch::allclose(start.log_marginal.to(torch::kDouble), log_marginal, 1e-5, 1e-5));
  {
    torch::NoGradGuard no_grad;
    net->named_parameters()["conditional.output.bias"].add_(0.5);
    net->named_parameters()["marginal.output.bias"].add_(-2);
  }
  const auto moved = net->evaluate({x}, kBothHeads);
  CHECK(torch::allclose(moved.logits, l + 0.5, 1e-5, 1e-6));
  CHECK(torch::allclose(moved.log_marginal, start.log_marginal - 2, 1e-5, 1e-5));
  context.energy = nullptr;
  CHECK_THROWS_AS(mlp(context, R"("hidden": 8, "prior": "local")"), SpecError);
}

TEST_CASE("mlp gives no weight to values a variable cannot take") {
  const NetworkContext context{StateSpace{.cardinalities = {2, 4, 3}, .shape = {3}}};
  const auto net = mlp(context, R"("hidden": 8)");
  const auto logits = net->evaluate({partial_states(context.space, 5)}, kLogits).logits;
  const auto possible = context.space.possible().expand_as(logits);
  CHECK(logits.isfinite().equal(possible));
  CHECK(logits.softmax(2).masked_select(possible.logical_not()).sum().item<double>() == 0);
}

TEST_CASE("mlp's logits of one variable a row have the gradients that they have among all") {
  for (const std::string prior : {"none", "local"}) {
    CAPTURE(prior);
    const auto energy = test::make<Energy>(R"({"type": "ising", "side": 3, "coupling": 0.3})");
    const auto net = mlp({energy->space(), kLogits, energy.get()},
                         fmt::format(R"("hidden": 40, "layers": 2, "prior": "{}")", prior));
    test::shake(*net, 0.1);
    const auto x = partial_states(energy->space(), 21);
    const auto variable = torch::randint(9, {21}, torch::kLong);
    const auto weight = torch::randn({21, 2});
    const auto one =
        net->evaluate({.partial = x, .variable = variable}, kLogitsOfOne).logits_of_one;
    const auto all = net->evaluate({x}, kLogits).logits;
    const auto own = all.gather(1, variable.view({21, 1, 1}).expand({21, 1, 2})).squeeze(1);
    CHECK(relative(one, own) < 1e-5);
    const auto g = gradients(*net, (one * weight).sum());
    const auto expected = gradients(*net, (own * weight).sum());
    for (std::size_t n = 0; n < g.size(); ++n)
      CHECK(relative(g[n], expected[n]) < 1e-4);
  }
}
