// Where variables differ in their values: what the library itself holds every network and family
// to.
#include <cmath>

#include "marginalia_test.h"

#include <marginalia/family.h>
#include <marginalia/network.h>

using namespace marginalia;

namespace {

const StateSpace kMixed{{2, 3, 5}, {3}};

/// Says 0 of every value, as one that knows K alone does.
class Blind final : public Network {
 public:
  explicit Blind(const NetworkContext& context) : Network(context) {}
  HeadSet heads() const override { return kLogits | kExtensions | kCausalLogits; }

 private:
  Heads compute(const NetworkInput& input, HeadSet wanted) override {
    const auto zeros = torch::zeros({input.partial.size(0), 3, 5});
    Heads heads;
    if (wanted & kLogits) heads.logits = zeros;
    if (wanted & kExtensions) heads.extensions = zeros;
    if (wanted & kCausalLogits) heads.causal_logits = zeros;
    return heads;
  }
};

/// Answers what it is told to.
class Told final : public Family {
 public:
  Tensor conditionals, states;
  const StateSpace& space() const override { return kMixed; }
  std::vector<Capability> capabilities() const override {
    return {{QueryKind::kConditionals, "told", Status::kEstimate, "0"},
            {QueryKind::kSample, "told", Status::kEstimate, "0"}};
  }
  void step(Step&) override {}
  std::vector<ParameterGroup> parameters() override { return {}; }
  void visit(StateVisitor&) override {}
  void set_training(bool) override {}

 private:
  Answer compute_answer(const Query& query, Stream&) const override {
    const auto B = query.partial.size(0);
    if (query.kind == QueryKind::kConditionals) return {.value = conditionals.expand({B, 3, 5})};
    return {.value = torch::zeros({B}, torch::kDouble), .states = states};
  }
};

std::string refused(const Family& family, QueryKind kind, const Tensor& partial) {
  Stream stream(0, "test");
  return test::refusal([&] { family.answer({kind, partial}, stream); });
}

}  // namespace

TEST_CASE("every head of logits is -inf at values that a variable does not have") {
  Blind network(NetworkContext{kMixed});
  const auto possible = kMixed.possible();
  const auto expected = torch::zeros({3, 5}).masked_fill(possible.logical_not(), -INFINITY);
  const NetworkInput input{.partial = kMixed.empty().repeat({3, 1}),
                           .order = torch::arange(3).repeat({3, 1}),
                           .variable = torch::arange(3)};
  const auto heads = network.evaluate(input, kLogits | kExtensions | kCausalLogits | kLogitsOfOne);
  for (const auto& head : {heads.logits, heads.extensions, heads.causal_logits})
    for (std::int64_t b = 0; b < 3; ++b)
      CHECK(head[b].equal(expected));
  CHECK(heads.logits_of_one.equal(expected));  // row b: of variable b
}

TEST_CASE("a family's answers stay within the values that a variable has") {
  Told family;
  family.set_label("family told");
  const auto flat = torch::full({3, 5}, -std::log(5), torch::kDouble);
  const auto none = kMixed.empty();
  family.conditionals = flat;
  CHECK(refused(family, QueryKind::kConditionals, none) ==
        "family told: gives variable 0 a probability beyond its values 0 to 1");
  family.conditionals = flat.masked_fill(kMixed.possible().logical_not(), -INFINITY);
  CHECK(refused(family, QueryKind::kConditionals, none) == "accepted");
  family.conditionals[1][3] = -2;
  CHECK(refused(family, QueryKind::kConditionals, none) ==
        "family told: gives variable 1 a probability beyond its values 0 to 2");
  const auto known = torch::tensor({{kUnknown, std::int64_t{1}, kUnknown}});
  CHECK(refused(family, QueryKind::kConditionals, known) == "accepted");  // nothing is asked of it

  family.states = torch::tensor({{1, 2, 4}}, torch::kLong);
  CHECK(refused(family, QueryKind::kSample, none) == "accepted");
  family.states = torch::tensor({{1, 3, 4}}, torch::kLong);
  CHECK(refused(family, QueryKind::kSample, none) ==
        "family told: variable 1 must be 0 to 2, not 3");
}

TEST_CASE(
    "softmax over levels is softmax of the last axis, few levels or many, with its gradient") {
  torch::manual_seed(5);
  for (const std::int64_t K : {1, 2, 3, 7, 8, 20}) {
    CAPTURE(K);
    const auto logits = torch::randn({4, 3, K}, torch::kDouble);
    logits[0][0][0] = -INFINITY;  // an impossible level
    if (K == 1) logits[0][0][0] = 2;
    const auto gradient = torch::randn({4, 3, K}, torch::kDouble);
    const auto differs = [&](const auto& ours, const auto& torchs) {
      auto a = logits.clone().requires_grad_(), b = logits.clone().requires_grad_();
      const auto x = ours(a), y = torchs(b);
      CHECK(x.is_contiguous());
      const auto finite = y.isfinite();
      x.masked_fill(finite.logical_not(), 0).mul(gradient).sum().backward();
      y.masked_fill(finite.logical_not(), 0).mul(gradient).sum().backward();
      return !x.allclose(y, 1e-12, 1e-12) || !a.grad().allclose(b.grad(), 1e-12, 1e-12);
    };
    CHECK_FALSE(differs([](const Tensor& t) { return log_softmax_levels(t); },
                        [](const Tensor& t) { return t.log_softmax(-1); }));
    CHECK_FALSE(differs([](const Tensor& t) { return softmax_levels(t); },
                        [](const Tensor& t) { return t.softmax(-1); }));
  }
  const auto row = torch::randn({6});  // no axis before the levels
  CHECK(softmax_levels(row).allclose(row.softmax(0)));
}
