#include <marginalia/network.h>

#include "marginalia_test.h"
#include "seeded.h"

using namespace marginalia;

TEST_CASE("made follows its weights, its order and its precision when they change") {
  torch::NoGradGuard no_grad;
  const NetworkContext context{StateSpace::uniform(6, 2), kCausalLogits};
  const auto x = torch::randint(-1, 2, {5, 6}, torch::kLong);
  const auto forward = torch::arange(6).repeat({5, 1}), backward = forward.flip(1);
  const auto shaken = [&] {
    const auto net =
        test::seeded_network("made", R"("hidden": 16)", context, {torch::kBFloat16, torch::kFloat});
    test::shake(*net, 0.1);
    return net;
  };
  const auto logits = [&](Network& net, const Tensor& order, bool training) {
    net.train(training);
    return net.evaluate({x, order}, kCausalLogits).causal_logits;
  };
  // Each answer of one network is that of another which was never asked before.
  const auto net = shaken();
  for (const bool training : {false, true, false})
    for (const auto& order : {forward, backward, forward})
      CHECK(logits(*net, order, training).equal(logits(*shaken(), order, training)));

  const auto before = logits(*net, forward, false);
  const auto fresh = shaken();
  for (auto* each : {net.get(), fresh.get()})
    each->named_parameters()["layer2_weight"].add_(0.1);
  const auto after = logits(*net, forward, false);
  CHECK_FALSE(after.allclose(before, 0.01));
  CHECK(after.equal(logits(*fresh, forward, false)));
}
