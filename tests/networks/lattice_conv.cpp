#include <marginalia/inference/any_order.h>
#include <marginalia/network.h>

#include "marginalia_test.h"
#include "seeded.h"

using namespace marginalia;

namespace {

/// A network with weights away from their initial zeros.
std::shared_ptr<Network> lattice_conv(const Energy& energy, const std::string& parameters) {
  auto net = test::seeded_network("lattice_conv", R"("channels": 8, )" + parameters,
                                  {energy.space(), test::kBothHeads, &energy});
  test::shake(*net, 0.2);
  net->eval();
  return net;
}

/// What bounds the sight of a site: the network's parameters, and the number of colours expected.
struct Case {
  std::string energy, network;
  std::int64_t colours;
};
const Case kCases[] = {
    // sight 3, 12 = 3 stretches of 4 sites
    {R"({"type": "ising", "side": 12, "coupling": 0.3, "field": 0.2})",
     R"("depth": 1, "means": false)", 16},
    // sight 4: 2 stretches of 6
    {R"({"type": "ising", "side": 12, "coupling": 0.3, "field": 0.2})",
     R"("depth": 1, "means": false, "prior": "local")", 36},
    // sight 1 + 2: 13 = 4 + 4 + 5 sites, 12 = 3 stretches of 4
    {R"({"type": "ising", "sides": [13, 12], "coupling": 0.3})",
     R"("depth": 0, "means": false, "prior": "belief_propagation", "rounds": 2)", 20},
    {R"({"type": "ising", "side": 12, "boundary": "open", "coupling": 0.3})",
     R"("depth": 0, "means": false, "boundary": "open", "prior": "belief_propagation", "rounds": 2)",
     16},
    {R"({"type": "potts", "side": 9, "states": 3, "coupling": 0.4})",
     R"("depth": 0, "means": false, "prior": "belief_propagation", "rounds": 1)", 9},
};

}  // namespace

TEST_CASE("no site's logits depend on another of its colour, and some do on their neighbour's") {
  for (const auto& c : kCases) {
    CAPTURE(c.energy);
    CAPTURE(c.network);
    const auto energy = test::make<Energy>(c.energy);
    const auto net = lattice_conv(*energy, c.network);
    const auto colours = net->colours();
    REQUIRE(colours.defined());
    CHECK(colours.max().item<std::int64_t>() + 1 == c.colours);
    const auto D = energy->space().dimension(), K = energy->space().levels();
    const auto model = make_conditionals(*net, torch::kCPU);
    torch::manual_seed(3);
    std::int64_t others = 0;  // that moved
    for (int repeat = 0; repeat < 40; ++repeat) {
      const auto j = torch::randint(D, {1}).item<std::int64_t>();
      // one row a value of variable j, unknown among them
      auto rows = torch::randint(-1, K, {D}, torch::kLong).expand({K + 1, D}).contiguous();
      rows.select(1, j).copy_(torch::arange(-1, K));
      const auto log_p = model(rows);  // [K + 1, D, K]
      const auto moved = (log_p != log_p.slice(0, 0, 1)).any(2).any(0);
      auto same = colours == colours[j];
      same[j] = false;
      CHECK(moved.logical_and(same).sum().item<std::int64_t>() == 0);
      others += moved.sum().item<std::int64_t>() - 1;
    }
    CHECK(others > 40);
  }
}

TEST_CASE("a network that sees means, or whose energy reaches everywhere, has no two of a colour") {
  const auto ising = test::make<Energy>(R"({"type": "ising", "side": 12, "coupling": 0.3})");
  CHECK_FALSE(lattice_conv(*ising, R"("depth": 0)")->colours().defined());
  CHECK_FALSE(lattice_conv(*ising, R"("depth": 0, "means": false, "global": true)")  //
                  ->colours()
                  .defined());
  const auto narrow = lattice_conv(*ising, R"("depth": 3, "means": false)");  // sight 7
  CHECK(narrow->colours().max().item<std::int64_t>() + 1 == 144);
}

TEST_CASE("sites of one colour revealed together are what they are one after the other") {
  for (const auto& c : kCases) {
    CAPTURE(c.network);
    const auto energy = test::make<Energy>(c.energy);
    const auto net = lattice_conv(*energy, c.network);
    const auto model = make_conditionals(*net, torch::kCPU);
    const auto D = energy->space().dimension();
    auto partial = energy->space().empty().expand({6, D}).clone();
    partial.slice(0, 0, 3).slice(1, 0, 17).fill_(1);  // half of the rows with evidence
    Stream orders(5, "orders");
    const auto time = draw_times(net->colours(), 6, orders);
    const auto one_by_one = to_ranks((time * D + torch::arange(D)).argsort(std::int64_t{1}));

    Stream first(7, "samples"), second(7, "samples");
    const auto together = sample_in_passes(model, partial, time, first);
    const auto apart = sample_in_passes(model, partial, one_by_one, second);
    CHECK(together.states.equal(apart.states));
    CHECK(together.log_prob.equal(apart.log_prob));
    CHECK(together.passes <= double(c.colours));
    CHECK(apart.passes == doctest::Approx(double(D) - 17 / 2.0));

    const auto chain =
        score_chain(model, together.states, partial, one_by_one.argsort(std::int64_t{1}));
    const auto score = score_in_passes(model, together.states, partial, time);
    CHECK((score.log_prob - together.log_prob).abs().max().item<double>() < 1e-10);
    CHECK((score.log_prob - chain.log_prob).abs().max().item<double>() < 1e-3);  // other batches
    CHECK(score.passes == together.passes);
  }
}
