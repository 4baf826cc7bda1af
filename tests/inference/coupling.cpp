// Coupling from the past: its samples have the law of the posterior, and its limits are said.
#include "inference/sampling/coupling.h"
#include "factors.h"
#include "inference/sampling/exact_posterior.h"

#include <cmath>

#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using torch::Tensor;

namespace {

/// Spins on a rows x columns torus with couplings `J(bond)` and some fields.
template <class Coupling>
FactorModel torus(std::int64_t rows, std::int64_t columns, const Coupling& J) {
  FactorModel model;
  model.cardinalities.assign(std::size_t(rows * columns), 2);
  int bond = 0;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      for (const auto& [i, j] : {std::pair{(r + 1) % rows, c}, {r, (c + 1) % columns}}) {
        const double w = J(bond++);
        model.factors.push_back({{r * columns + c, i * columns + j}, {w, -w, -w, w}});
      }
  for (std::int64_t i = 0; i < rows * columns; ++i)
    model.factors.push_back({{i}, {0.1, -0.15 + 0.1 * double(i % 3)}});
  return model;
}

/// Chi-square of the samples' states against enumeration, in standard deviations above its mean.
double chi_square(const Energy& energy, const Tensor& partial, std::int64_t count) {
  Streams streams(11);
  const MonotoneCoupling coupling(*energy.factors());
  const auto x = coupling.sample(partial.repeat({count, 1}), streams.at("cftp"));
  CHECK(torch::where(partial != kUnknown, partial, x).equal(x));  // evidence stays
  const auto all = all_states(energy.space());
  const auto fits = (all == partial).logical_or(partial == kUnknown).all(1);
  const auto p = torch::where(fits, energy.log_density(all), -INFINITY).softmax(0);
  const auto D = x.size(1);
  auto place = torch::zeros({count}, torch::kLong);
  for (std::int64_t i = 0; i < D; ++i)
    place = place * 2 + x.select(1, i);
  const auto seen = torch::bincount(place, {}, all.size(0)).to(torch::kDouble);
  CHECK(seen.masked_select(p == 0).sum().item<double>() == 0);
  const auto expected = p * double(count);
  const auto often = expected > 5;
  const auto rest = double(count) - expected.masked_select(often).sum().item<double>();
  const auto rest_seen = double(count) - seen.masked_select(often).sum().item<double>();
  auto sum = ((seen - expected).square() / expected).masked_select(often).sum().item<double>();
  if (rest > 1) sum += (rest_seen - rest) * (rest_seen - rest) / rest;
  const auto freedom = double(often.sum().item<std::int64_t>());
  return (sum - freedom) / std::sqrt(2 * freedom);
}

}  // namespace

TEST_CASE("samples of a ferromagnet have the law of enumeration, with evidence and without") {
  const test::Factored energy(torus(3, 3, [](int bond) { return 0.25 + 0.02 * (bond % 5); }));
  CHECK(std::abs(chi_square(energy, energy.space().empty(), 60000)) < 4);
  auto partial = energy.space().empty();
  partial[0][1] = 1;
  partial[0][6] = 0;
  CHECK(std::abs(chi_square(energy, partial, 60000)) < 4);
}

TEST_CASE("it does not matter how far in the past one begins: the numbers of a time stay") {
  const test::Factored energy(torus(3, 3, [](int) { return 0.3; }));
  const auto rows = energy.space().empty();
  const auto drawn_from = [&](std::int64_t first_sweeps) {
    Streams streams(6);
    const MonotoneCoupling coupling(*energy.factors(), 1 << 14, first_sweeps);
    std::vector<Tensor> each;
    for (int n = 0; n < 200; ++n)
      each.push_back(coupling.sample(rows, streams.at("a")));
    return torch::cat(each);
  };
  const auto x = drawn_from(1);
  CHECK(drawn_from(8).equal(x));
  CHECK(drawn_from(1024).equal(x));
}

TEST_CASE("so have those of a bipartite antiferromagnet, and of hard cores") {
  const test::Factored checkerboard(torus(4, 2, [](int) { return -0.3; }));
  CHECK(std::abs(chi_square(checkerboard, checkerboard.space().empty(), 60000)) < 4);
  FactorModel cores;  // independent sets of a path of five, with activities
  cores.cardinalities.assign(5, 2);
  for (std::int64_t i = 0; i < 4; ++i)
    cores.factors.push_back({{i, i + 1}, {0, 0, 0, -INFINITY}});
  for (std::int64_t i = 0; i < 5; ++i)
    cores.factors.push_back({{i}, {0, 0.3 * double(i)}});
  const test::Factored independent(cores);
  CHECK(std::abs(chi_square(independent, independent.space().empty(), 60000)) < 4);
}

TEST_CASE("frustration is refused, unless evidence takes it away") {
  const test::Factored triangle(torus(3, 3, [](int) { return -0.3; }));
  Streams streams(1);
  const MonotoneCoupling coupling(*triangle.factors());
  CHECK(test::refusal([&] { coupling.sample(triangle.space().empty(), streams.at("a")); }) ==
        "coupling from the past: the factors among the unknown variables are frustrated (no "
        "flipping of variables makes them all attract)");
  auto partial = triangle.space().empty();
  for (const auto i : {3, 4, 8})
    partial[0][i] = i % 2;
  const auto why = test::refusal([&] { coupling.sample(partial, streams.at("a")); });
  CHECK(why != "accepted");  // sites 0, 1, 2 are a triangle
  partial[0].index_put_({2}, 1);
  CHECK(std::abs(chi_square(triangle, partial, 20000)) < 4);
}

TEST_CASE("chains that do not meet are said, with the limit") {
  const test::Factored cold(torus(4, 4, [](int) { return 2.0; }));
  Streams streams(1);
  const MonotoneCoupling coupling(*cold.factors(), 64);
  CHECK(test::refusal([&] { coupling.sample(cold.space().empty(), streams.at("a")); }) ==
        "coupling from the past: the chains from all 0 and from all 1 have not met within 64 "
        "sweeps");
}

TEST_CASE("what is no pairwise binary density is refused with the reason") {
  CHECK(MonotoneCoupling::obstacle({{2, 3}, {}}) == "its variables are not binary");
  CHECK(MonotoneCoupling::obstacle({{2, 2, 2}, {{{0, 1, 2}, std::vector<double>(8)}}}) ==
        "a factor has more than two variables");
}

TEST_CASE("a variable of one value has it") {
  FactorModel model{{2, 1, 2}, {}};
  model.factors.push_back({{0, 1}, {0, 0.7}});
  model.factors.push_back({{0, 2}, {0.4, 0, 0, 0.4}});
  const test::Factored energy(model);
  Streams streams(4);
  const auto x =
      MonotoneCoupling(model).sample(energy.space().empty().repeat({200, 1}), streams.at("a"));
  energy.space().check(x, false, "samples");
  const auto p = EnumerationOracle(energy).single_marginals(energy.space().empty()[0]);
  CHECK(x.select(1, 0).to(torch::kDouble).mean().item<double>() ==
        doctest::Approx(p[0][1].item<double>()).epsilon(0.2));
}

TEST_CASE("a way that gave samples and gives no more is not replaced") {
  class Tired final : public PosteriorSampler {
   public:
    std::string method() const override { return "tired"; }
    Tensor sample(const Tensor& partial, Stream&) const override {
      if (calls_++ > 0) throw Error("too tired");
      return partial.masked_fill(partial == kUnknown, 0);
    }

   private:
    mutable int calls_ = 0;
  };
  class Own final : public test::Factored {
   public:
    using Factored::Factored;
    Offer<PosteriorSampler> posterior() const override { return {&tired_}; }

   private:
    Tired tired_;
  };
  const Own energy(torus(3, 3, [](int) { return 0.2; }));
  const ExactPosterior source(energy);
  auto draws = source.draws(energy.space().empty()[0]);
  Streams streams(6);
  CHECK(draws.sample(2, streams.at("a")).size(0) == 2);
  CHECK(test::refusal([&] { draws.sample(2, streams.at("a")); }).find("too tired") == 0);
  CHECK(draws.method() == "tired");
}

TEST_CASE("samples depend on the stream alone") {
  const test::Factored energy(torus(3, 4, [](int) { return 0.3; }));
  const MonotoneCoupling coupling(*energy.factors());
  const auto draw = [&](const char* name) {
    Streams streams(3);
    return coupling.sample(energy.space().empty().repeat({100, 1}), streams.at(name));
  };
  CHECK(draw("a").equal(draw("a")));
  CHECK_FALSE(draw("a").equal(draw("b")));
}

TEST_CASE("posteriors come from an energy's own sampler, else from coupling, else the oracle") {
  Streams streams(5);
  const test::Factored ferromagnet(torus(3, 3, [](int) { return 0.2; }));
  const ExactPosterior source(ferromagnet);
  auto draws = source.draws(ferromagnet.space().empty()[0]);
  CHECK(draws.sample(5, streams.at("a")).sizes() == at::IntArrayRef{5, 9});
  CHECK(draws.method() == "coupling from the past");

  const test::Factored frustrated(torus(3, 3, [](int) { return -0.2; }));
  const ExactPosterior other(frustrated);
  auto by_oracle = other.draws(frustrated.space().empty()[0]);
  CHECK(by_oracle.sample(5, streams.at("a")).size(0) == 5);
  CHECK(by_oracle.method() == "variable elimination");

  const test::Factored wide(torus(5, 5, [](int bond) { return bond % 3 ? 0.3 : -0.3; }), 1e-9);
  const ExactPosterior none(wide);
  auto neither = none.draws(wide.space().empty()[0]);
  const auto why = test::refusal([&] { neither.sample(5, streams.at("a")); });
  CHECK(why.find("frustrated") != why.npos);
  CHECK(why.find("no oracle: variable elimination has induced width") != why.npos);
}
