// Answers of models whose sums are exact.
#include "marginalia_test.h"

#include <cmath>

#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/exact_model.h>
#include <marginalia/inference/tree.h>

using namespace marginalia;
using torch::Tensor;

namespace {

/// Two bits: x0 is 1 with probability 0.3, x1 its copy.
ExactModel copied_bit() {
  trees::Tree tree{torch::tensor({-1, 0}, torch::kLong), torch::arange(2),
                   torch::zeros({2, 2, 2}, torch::kDouble)};
  tree.p[0] = torch::tensor({0.7, 0.3}, torch::kDouble).expand({2, 2});
  tree.p[1] = torch::eye(2, torch::kDouble);
  return {[=](const Evidence& x) { return trees::log_marginal(tree, x); },
          [=](const Evidence& x) { return trees::log_conditionals(tree, x); },
          [=](const Evidence& x, Stream& stream) { return trees::sample(tree, x, stream); },
          [](const Tensor& x) { return x.clamp_min(0); }};
}

}  // namespace

TEST_CASE("an exact model refuses the row that is conditioned on what it gives no probability") {
  const auto model = copied_bit();
  Stream stream(1, "test");
  const auto x = torch::tensor({{0, -1}, {1, 0}, {0, 1}}, torch::kLong);
  for (const auto kind : {QueryKind::kConditionals, QueryKind::kSample, QueryKind::kMaxProbable}) {
    CAPTURE(to_string(kind));
    std::int64_t refused = -1;
    try {
      answer_exactly(model, {.kind = kind, .partial = x}, stream);
    } catch (const ImpossibleGiven& e) {
      refused = e.row();
    }
    CHECK(refused == 1);
    CHECK_NOTHROW(answer_exactly(model, {.kind = kind, .partial = x.slice(0, 0, 1)}, stream));
  }
  const auto log_p = answer_exactly(model, {.partial = x}, stream).value;
  CHECK(log_p[0].item<double>() == doctest::Approx(std::log(0.7)));
  CHECK(log_p[1].item<double>() == -INFINITY);  // log p itself is what it is
  CHECK(test::refusal([&] { answer_exactly(model, {.partial = x, .given = x}, stream); }) ==
        "what is given has probability zero");
}

namespace {

/// A law over D bits by a table: what is most probable starts as badly as can be, and the bound is
/// the sum over all completions.
class TableLaw {
 public:
  explicit TableLaw(const Tensor& log_f)
      : log_p_(log_f.log_softmax(0)),
        states_(all_states(StateSpace::uniform(bits(log_f.numel()), 2))) {}

  ExactModel model() const {
    const auto sums = [this](const Tensor& x) { return log_marginal(x); };
    return {.log_marginal = [=](const Evidence& e) { return sums(e.partial); },
            .log_conditionals = [this](const Evidence& e) { return log_conditionals(e.partial); },
            .sample = {},
            .most_probable = [this](const Tensor& x) { return least(x); },
            .max_bound = sums};
  }
  /// Of the completions of rows: [B].
  Tensor greatest(const Tensor& x) const { return std::get<0>(of(x, -INFINITY).max(1)); }

 private:
  static std::int64_t bits(std::int64_t count) {
    return std::int64_t(std::lround(std::log2(double(count))));
  }
  /// log p of the states that agree with each row, `other` elsewhere: [B, 2^D].
  Tensor of(const Tensor& x, double other) const {
    const auto row = x.unsqueeze(1);
    const auto agrees = (row == kUnknown).logical_or(row == states_.unsqueeze(0)).all(2);
    return log_p_.unsqueeze(0).masked_fill(agrees.logical_not(), other);
  }
  Tensor log_marginal(const Tensor& x) const { return of(x, -INFINITY).logsumexp(1); }
  Tensor log_conditionals(const Tensor& x) const {
    const auto up = of(x, -INFINITY).softmax(1).mm(states_.to(torch::kDouble));
    return torch::stack({1 - up, up}, 2).clamp_min(0).log();
  }
  Tensor least(const Tensor& x) const { return states_.index_select(0, of(x, INFINITY).argmin(1)); }

  Tensor log_p_, states_;
};

}  // namespace

TEST_CASE("branch and bound proves the most probable completion, whatever it starts from") {
  torch::manual_seed(2);
  Stream stream(1, "test");
  for (int seed = 0; seed < 10; ++seed) {
    CAPTURE(seed);
    const TableLaw law(4 * torch::randn({256}, torch::kDouble));  // many states no flip improves
    const auto x = torch::randint(2, {20, 8}).masked_fill(torch::rand({20, 8}) < 0.8, kUnknown);
    const auto model = law.model();
    const auto answer = answer_exactly(
        model, {.kind = QueryKind::kMaxProbable, .partial = x, .estimator = "branch_and_bound"},
        stream);
    CHECK((answer.status == Status::kExact));
    CHECK((answer.value + model.log_marginal(x) - law.greatest(x)).abs().max().item<double>() <
          1e-12);
  }
}

TEST_CASE("branch and bound that ends before a proof answers with a lower bound") {
  torch::manual_seed(3);
  Stream stream(1, "test");
  const TableLaw law(0.1 * torch::randn({1 << 13}, torch::kDouble));  // all states alike
  const auto empty = torch::full({1, 13}, kUnknown, torch::kLong);
  const auto answer = answer_exactly(
      law.model(),
      {.kind = QueryKind::kMaxProbable, .partial = empty, .estimator = "branch_and_bound"}, stream);
  CHECK((answer.status == Status::kLower));
  CHECK(answer.value.item<double>() <= law.greatest(empty).item<double>());
}

TEST_CASE("branch and bound answers with whole states that are possible") {
  // 110, 101 and 011, each a third: every bit by itself is most probably 1, and 111 cannot be.
  Stream stream(1, "test");
  const double no = -INFINITY;
  const TableLaw law(torch::tensor({no, no, no, 0.0, no, 0.0, 0.0, no}, torch::kDouble));
  const auto x = torch::tensor({{-1, -1, -1}, {1, -1, -1}, {-1, -1, 0}});
  for (const bool start : {false, true}) {  // none, or one that is impossible
    CAPTURE(start);
    auto model = law.model();
    if (!start) model.most_probable = {};
    const auto answer = answer_exactly(
        model, {.kind = QueryKind::kMaxProbable, .partial = x, .estimator = "branch_and_bound"},
        stream);
    CHECK((answer.states != kUnknown).all().item<bool>());
    CHECK((answer.states.sum(1) == 2).all().item<bool>());
    CHECK((answer.value + model.log_marginal(x) - law.greatest(x)).abs().max().item<double>() <
          1e-12);
  }
}
