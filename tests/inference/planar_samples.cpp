// Exact samples of planar models: their whole law, pushed through every state.
#include "planar.h"

#include <cmath>
#include <cstdlib>
#include <ctime>

#include <fmt/format.h>

#include <marginalia/inference/enumeration.h>

#include "inference/planar/sampler.h"

using namespace marginalia;
using test::CouplingLaw;

namespace {

/// The sum over all states of |q(x) - p(x)|, and how many were reached. q is what the sampler says
/// along the choices that lead to x.
double distance(const test::Drawn& drawn) {
  const auto graph = planar::make_graph(drawn.model, drawn.drawing);
  const planar::SpinSampler sampler(graph, planar::own_weights(graph));
  const test::Factored energy(drawn.model);
  const auto D = energy.space().dimension();
  const auto log_p = energy.log_density(all_states(energy.space())).log_softmax(0);
  std::vector<char> reached(std::size_t(1) << D, 0);
  double apart = 0;
  for (std::size_t choices = 0; choices < reached.size(); ++choices) {
    double q = 1;
    int k = 0;
    std::vector<int> s(std::size_t(D), 0);
    sampler.draw(
        [&](double p) {
          const bool yes = choices >> k++ & 1;
          q *= yes ? p : 1 - p;
          return yes;
        },
        s);
    CHECK(k == D);
    std::size_t state = 0;
    for (const auto spin : s)
      state = 2 * state + (spin > 0);
    CHECK(std::exchange(reached[state], char(1)) == 0);
    apart += std::fabs(q - std::exp(log_p[std::int64_t(state)].item<double>()));
  }
  return apart;
}

}  // namespace

TEST_CASE("the law of planar samples is that of the model on every surface") {
  for (const auto& surface : test::kSurfaces)
    for (const auto law : {CouplingLaw::kGaussian, CouplingLaw::kSigns}) {
      INFO(surface.name, ", ", int(law));
      CHECK(distance(test::lattice(3, 3, surface.around, surface.up, 0.8, law, 4)) < 1e-10);
    }
  CHECK(distance(test::lattice(2, 5, false, false, 0.8, CouplingLaw::kGaussian, 4)) < 1e-10);
  CHECK(distance(test::lattice(3, 4, true, false, 0.8, CouplingLaw::kGaussian, 4)) < 1e-10);
  CHECK(distance(test::triangles(3, 3, 2)) < 1e-10);
}

TEST_CASE("at the critical coupling of a torus, where one Pfaffian vanishes, samples are exact") {
  const auto critical = 0.5 * std::log(1 + std::sqrt(2.0));
  CHECK(distance(test::lattice(3, 3, true, true, critical, CouplingLaw::kEqual, 0)) < 1e-10);
}

TEST_CASE("planar samples complete evidence as the conditional law does") {
  torch::manual_seed(1);
  Stream stream(3, "planar");
  for (const auto& surface : test::kSurfaces) {
    CAPTURE(surface.name);
    const auto drawn =
        test::lattice(4, 4, surface.around, surface.up, 0.5, CouplingLaw::kGaussian, 6);
    const test::Factored energy(drawn.model);
    const PlanarIsing planar(drawn.model, drawn.space(), drawn.drawing);
    const EnumerationOracle truth(energy);
    // joined by bonds; across a face; far apart
    for (const auto& known :
         std::vector<std::vector<std::int64_t>>{{}, {5, 6}, {5, 10}, {0, 7, 9}}) {
      auto row = torch::full({16}, kUnknown, torch::kLong);
      for (const auto i : known)
        row[i] = i % 2;
      const std::int64_t N = 4000;
      const auto x = planar.sample(row.repeat({N, 1}), stream);
      CHECK(torch::where(row != kUnknown, row, x).equal(x));
      const auto p = truth.single_marginals(row).select(1, 1);
      const auto error = (x.to(torch::kDouble).mean(0) - p).abs().max().item<double>();
      CHECK(error < 4.5 * 0.5 / std::sqrt(double(N)));
      const auto mean = energy.log_density(x).mean().item<double>();
      const auto all = all_states(drawn.space());
      const auto fits = (all == row).logical_or(row == kUnknown).all(1);
      const auto log_f = energy.log_density(all);
      const auto weight = log_f.masked_fill(~fits, -INFINITY).softmax(0);
      const auto expected = (weight * log_f).sum();
      const auto spread = (weight * (log_f - expected).square()).sum().sqrt().item<double>();
      CHECK(std::fabs(mean - expected.item<double>()) < 4.5 * spread / std::sqrt(double(N)));
    }
  }
}

TEST_CASE("1,000 samples of a glass of 64 x 64 have its energy" *
          doctest::skip(std::getenv("MARGINALIA_SLOW") == nullptr)) {
  constexpr std::int64_t kSide = 64, kSamples = 1000;
  const auto drawn = test::lattice(kSide, kSide, false, false, 1, CouplingLaw::kSigns, 1);
  const PlanarIsing planar(drawn.model, drawn.space(), drawn.drawing);
  Streams streams(1);
  const auto empty = drawn.space().empty().expand({kSamples, kSide * kSide}).contiguous();
  const auto begin = std::clock();
  const auto x = planar.sample(empty, streams.at("test"));
  MESSAGE(fmt::format("{:.1f} processor seconds", double(std::clock() - begin) / CLOCKS_PER_SEC));
  const auto moments = *planar.log_density_moments();
  const auto log_f = test::Factored(drawn.model).log_density(x);
  const auto spread = std::sqrt(moments.variance / double(kSamples));
  CHECK(std::fabs(log_f.mean().item<double>() - moments.mean) < 5 * spread);
  CHECK(log_f.var().item<double>() == doctest::Approx(moments.variance).epsilon(0.25));
}
