// Answers of models whose sums are exact.
#include "marginalia_test.h"

#include <cmath>

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
