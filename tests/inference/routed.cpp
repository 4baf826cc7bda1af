// The estimator "routed": exact where evidence leaves narrow components, the network elsewhere.
#include "factors.h"
#include "leaning.h"

#include <algorithm>
#include <cmath>

#include <marginalia/inference/conditioning.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/routed.h>

using namespace marginalia;
using torch::Tensor;

namespace {

/// Knows log p of whole states, and is a nat wrong for every unknown variable.
struct Tied {
  EnumerationOracle truth;
  test::Leaning family;
  explicit Tied(const Energy& energy) : truth(energy), family(energy) {
    family.truth = &truth;
    family.offset = 1;
  }
};

/// An open grid of binary variables.
FactorModel square_grid(std::int64_t side) {
  FactorModel model{std::vector<std::int64_t>(std::size_t(side * side), 2), {}};
  for (std::int64_t i = 0; i < side * side; ++i) {
    const auto w = 0.2 + 0.03 * double(i);
    if (i % side + 1 < side) model.factors.push_back({{i, i + 1}, {w, -w, 0.1, w}});
    if (i + side < side * side) model.factors.push_back({{i + side, i}, {w, 0, -w, 0.3}});
    model.factors.push_back({{i}, {0, 0.1 * double(i % 3)}});
  }
  return model;
}

}  // namespace

TEST_CASE("what is narrow is exact, and what is not is asked of the network") {
  const test::Factored energy(square_grid(4));
  const Tied tied(energy);
  Streams streams(1);
  const Routed all(tied.family, energy), little(tied.family, energy, 1);
  auto partial = torch::randint(2, {40, 16}, torch::kLong)
                     .masked_fill(streams.at("mask").uniform({40, 16}) < 0.5, kUnknown);
  const auto exact = tied.truth.log_marginal(partial);
  const auto error = all.log_marginal(partial, {}, streams.at("a")).value - exact;
  CHECK(error.abs().max().item<double>() < 1e-10);
  // with trees alone, the error is that of the variables of wider components
  const auto rest = little.log_marginal(partial, {}, streams.at("a")).value - exact;
  bool some = false;
  for (std::int64_t b = 0; b < 40; ++b) {
    const auto left = conditioned(*energy.factors(), partial[b].data_ptr<std::int64_t>());
    const auto neighbours = find_neighbours(left.model);
    const auto component = find_components(neighbours);
    double wide = 0;
    const auto cut = cutset(left.model, neighbours, 1);
    for (const auto c : component)
      wide += std::ranges::any_of(cut, [&](auto i) { return component[std::size_t(i)] == c; });
    CHECK(rest[b].item<double>() == doctest::Approx(wide).epsilon(1e-9));
    some = some || (wide > 0 && wide < double(component.size()));
  }
  CHECK(some);  // of both kinds in one state
}

TEST_CASE("conditional questions are routed on both sides") {
  const test::Factored energy(square_grid(3));
  const Tied tied(energy);
  Streams streams(2);
  auto given = energy.space().empty().repeat({2, 1});
  given.select(1, 4).fill_(1);
  auto x = given.clone();
  x[0].index_put_({0}, 1);
  const auto answer = Routed(tied.family, energy).log_marginal(x, given, streams.at("a"));
  CHECK(answer.value[0].item<double>() ==
        doctest::Approx((tied.truth.log_sum(x) - tied.truth.log_sum(given))[0].item<double>())
            .epsilon(1e-9));
  CHECK(answer.value[1].item<double>() == 0);
  CHECK(answer.estimator == "routed");
}

TEST_CASE("what the factors forbid has probability zero, whatever the network says") {
  auto model = square_grid(3);
  model.factors.push_back({{0}, {0, -INFINITY}});
  model.factors.push_back({{7, 8}, {0, -INFINITY, -INFINITY, 0}});
  model.factors.push_back({{8}, {0, -INFINITY}});
  const test::Factored energy(model);
  const test::Leaning blind(energy);  // its marginal head says 0 of everything
  const Routed routed(blind, energy);
  Streams streams(3);
  auto x = energy.space().empty().repeat({3, 1});
  x[0][0] = 1;  // forbidden by a factor of known variables
  x[1][7] = 1;  // by a component of unknown ones
  const auto value = routed.log_marginal(x, {}, streams.at("a")).value;
  CHECK(value[0].item<double>() == -INFINITY);
  CHECK(value[1].item<double>() == -INFINITY);
  CHECK(std::isfinite(value[2].item<double>()));
  auto more = x.clone();
  more.select(1, 4).fill_(0);
  CHECK(test::refusal([&] { routed.log_marginal(more, x, streams.at("a")); }) ==
        "what is given has probability zero");
}

TEST_CASE("without an energy, factors or one pass there is no routed estimator, and it is said") {
  const test::Factored energy(square_grid(3));
  const test::Leaning family(energy);
  CHECK(Routed::obstacle(family, nullptr).find("there is none") != std::string::npos);
  class Opaque final : public Energy {
   public:
    const StateSpace& space() const override { return space_; }

   private:
    Tensor compute_log_density(const Tensor& x) const override { return x.sum(1); }
    StateSpace space_ = StateSpace::uniform(9, 2);
  };
  const Opaque opaque;
  CHECK(Routed::obstacle(family, &opaque) ==
        "\"routed\" sums over factors: of component: it is not made of factors");
  CHECK(Routed::obstacle(family, &energy).empty());
}
