// Planar answers against enumeration and elimination, and what they refuse.
#include "planar.h"

#include <cmath>

#include <fmt/format.h>

#include <marginalia/inference/elimination.h>
#include <marginalia/inference/enumeration.h>

#include "inference/planar/clusters.h"

using namespace marginalia;
using test::CouplingLaw;
using torch::Tensor;

namespace {

void check_moments(const PlanarIsing& planar, const test::Factored& energy) {
  const auto log_f = energy.log_density(all_states(energy.space()));
  const auto p = log_f.softmax(0);
  const auto mean = (p * log_f).sum(), variance = (p * (log_f - mean).square()).sum();
  const auto moments = *planar.log_density_moments();
  CHECK(moments.mean == doctest::Approx(mean.item<double>()).epsilon(1e-11));
  CHECK(moments.variance == doctest::Approx(variance.item<double>()).epsilon(1e-10));
}

/// Rows with `count` known spins of random signs.
Tensor random_rows(std::int64_t D, std::int64_t rows, std::int64_t count) {
  const auto known = torch::rand({rows, D}).argsort(std::int64_t{1}) < count;
  return torch::where(known, torch::randint(2, {rows, D}), kUnknown);
}

double largest_gap(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>();
}

}  // namespace

TEST_CASE("planar log Z, energy and heat capacity are those of enumeration on every surface") {
  for (const auto& surface : test::kSurfaces)
    for (const auto& [rows, columns] : {std::pair{3, 3}, {3, 4}, {4, 3}, {4, 4}, {3, 5}})
      for (const auto law : {CouplingLaw::kGaussian, CouplingLaw::kSigns, CouplingLaw::kEqual}) {
        INFO(surface.name, ", ", rows, ", ", columns, ", ", int(law));
        const auto drawn = test::lattice(rows, columns, surface.around, surface.up, 0.7, law, 1);
        const test::Factored energy(drawn.model);
        const EnumerationOracle truth(energy);
        const PlanarIsing planar(drawn.model, drawn.space(), drawn.drawing);
        CHECK(planar.lost().empty());
        CHECK(std::fabs(planar.log_z() - truth.log_z()) < 1e-12 * std::fabs(truth.log_z()));
        check_moments(planar, energy);
      }
}

TEST_CASE("planar log Z of graphs given with positions is that of enumeration") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    const auto drawn = test::triangles(3, 4, seed);
    REQUIRE(PlanarIsing::obstacle(drawn.model, drawn.drawing).empty());
    const test::Factored energy(drawn.model);
    const EnumerationOracle truth(energy);
    const PlanarIsing planar(drawn.model, drawn.space(), drawn.drawing);
    CHECK(std::fabs(planar.log_z() - truth.log_z()) < 1e-12 * truth.log_z());
    const auto rows = random_rows(12, 20, std::int64_t(seed % 8) + 1);
    CHECK(largest_gap(planar.log_marginal(rows), truth.log_marginal(rows)) < 1e-11);
  }
}

TEST_CASE("planar sums of 2 to 8 sites, with signs, are those of enumeration") {
  torch::manual_seed(3);
  for (const auto& surface : test::kSurfaces)
    for (const auto law : {CouplingLaw::kGaussian, CouplingLaw::kSigns}) {
      INFO(surface.name, ", ", int(law));
      const auto drawn = test::lattice(4, 4, surface.around, surface.up, 0.6, law, 5);
      const test::Factored energy(drawn.model);
      const EnumerationOracle truth(energy);
      const PlanarIsing planar(drawn.model, drawn.space(), drawn.drawing);
      for (std::int64_t count = 2; count <= 8; ++count) {
        const auto rows = random_rows(16, 24, count);
        CHECK(planar.can_sum(rows).all().item<bool>());
        CHECK(largest_gap(planar.log_sum(rows), truth.log_sum(rows)) <
              1e-12 * truth.log_z() + 1e-12);
      }
      // <s_u s_v> of every pair, with its sign
      const auto states = all_states(drawn.space());
      const auto p = energy.log_density(states).softmax(0);
      const auto s = (2 * states - 1).to(torch::kDouble);
      for (std::int64_t i = 1; i < 16; ++i) {
        auto pair = torch::full({2, 16}, kUnknown, torch::kLong);
        pair.select(1, 0).fill_(1);
        pair[0][i] = 1;
        pair[1][i] = 0;
        const auto both = planar.log_marginal(pair).exp();
        const auto correlation = 2 * (both[0] - both[1]);
        const auto expected = (p * s.select(1, 0) * s.select(1, i)).sum();
        CHECK(std::fabs((correlation - expected).item<double>()) < 1e-12);
      }
    }
}

TEST_CASE("planar single marginals under evidence are those of enumeration") {
  torch::manual_seed(5);
  for (const auto& surface : test::kSurfaces)
    for (const auto law : {CouplingLaw::kGaussian, CouplingLaw::kSigns}) {
      INFO(surface.name, ", ", int(law));
      const auto drawn = test::lattice(4, 4, surface.around, surface.up, 0.6, law, 8);
      const test::Factored energy(drawn.model);
      const EnumerationOracle truth(energy);
      const auto graph = planar::make_graph(drawn.model, drawn.drawing);
      for (std::int64_t count = 1; count <= 6; ++count) {
        const auto row = random_rows(16, 1, count)[0];
        std::vector<int> s;
        std::vector<char> known;
        for (std::int64_t i = 0; i < 16; ++i) {
          const auto x = row[i].item<std::int64_t>();
          s.push_back(x == kUnknown ? 0 : x == 1 ? 1 : -1);
          known.push_back(x != kUnknown);
        }
        const auto p = planar::single_marginals(planar::find_clusters(graph, known), s);
        const auto up = truth.single_marginals(row).select(1, 1);
        CHECK(largest_gap(torch::tensor(p, torch::kDouble), up) < 1e-12);
      }
    }
}

TEST_CASE("planar sums over paths that cancel are refused, not guessed") {
  // Couplings of 20: spins of two corners that disagree have a probability of e^-80 or less.
  const auto drawn = test::lattice(4, 4, false, false, 20, CouplingLaw::kEqual, 1);
  const auto graph = planar::make_graph(drawn.model, drawn.drawing);
  const auto sums_of = [&](int corner, int other) {
    std::vector<int> s(16, 0);
    s[0] = 1;
    s[15] = corner;
    s[3] = other;
    std::vector<char> known(16, 0);
    for (const auto i : {0, 3, 15})
      known[i] = s[i] != 0;
    const auto clusters = planar::find_clusters(graph, known);
    return std::pair(planar::log_sum(clusters, s), planar::single_marginals(clusters, s));
  };
  const auto [log_sum, p] = sums_of(1, 1);
  CHECK(log_sum == doctest::Approx(24 * 20.0));  // all 24 bonds agree, and nothing beside them
  for (const auto up : p)
    CHECK(up == doctest::Approx(1));
  const std::string why =
      "planar: what is known is so improbable that the signed sums over paths between its "
      "clusters cancel, and fewer than 6 digits are left; ask for clusters that agree more";
  CHECK(test::refusal([&] { sums_of(-1, 1); }) == why);
  CHECK(test::refusal([&] { sums_of(1, -1); }) == why);
}

TEST_CASE("planar single marginals of a wide lattice are ratios of its sums") {
  const auto drawn = test::lattice(26, 26, true, true, 0.7, CouplingLaw::kSigns, 3);
  const PlanarIsing planar(drawn.model, drawn.space(), drawn.drawing);
  auto row = torch::full({676}, kUnknown, torch::kLong);
  row[0] = 1;
  row[1] = 0;
  row[300] = 1;
  const auto p = planar.single_marginals(row);
  const auto given = planar.log_sum(row.unsqueeze(0));
  for (const std::int64_t i : {2, 27, 299, 338, 675}) {
    auto more = row.clone();
    more[i] = 1;
    CHECK(std::fabs(((planar.log_sum(more.unsqueeze(0)) - given).exp() - p[i][1]).item<double>()) <
          1e-10);
  }
}

TEST_CASE("planar sums of a checkerboard hang together across faces") {
  const auto drawn = test::lattice(4, 4, false, false, 0.8, CouplingLaw::kSigns, 7);
  const test::Factored energy(drawn.model);
  const EnumerationOracle truth(energy);
  const PlanarIsing planar(drawn.model, drawn.space(), drawn.drawing);
  auto rows = random_rows(16, 30, 16);
  for (std::int64_t i = 0; i < 16; ++i)
    if ((i / 4 + i) % 2 == 0) rows.select(1, i).fill_(kUnknown);
  CHECK(largest_gap(planar.log_sum(rows), truth.log_sum(rows)) < 1e-12 * truth.log_z());
}

TEST_CASE("planar log Z of random signs on tori is that of elimination, to the digits it reports") {
  for (const double beta : {1.0, 3.0}) {
    int refused = 0;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      INFO(beta, ", ", seed);
      const auto side = 6 + int(seed % 2);
      const auto drawn = test::lattice(side, side, true, true, beta, CouplingLaw::kSigns, seed);
      const PlanarIsing planar(drawn.model, drawn.space(), drawn.drawing);
      if (!planar.lost().empty()) {
        ++refused;
        continue;
      }
      const auto truth = Elimination(drawn.model, drawn.space()).log_z();
      REQUIRE(std::isfinite(planar.log_z()));
      const auto error = std::fabs(planar.log_z() - truth);
      CHECK(error <= std::pow(10.0, -*planar.digits()) + 1e-13 * truth);
      if (beta == 1) CHECK(error < 1e-9 * truth);
    }
    CHECK(refused == 0);
  }
}

TEST_CASE("digits left are right from hot to cold, and too few are refused") {
  double last = 17;
  for (const double beta : {0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0}) {
    double least = 17;
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      INFO(beta, ", ", seed);
      const auto drawn = test::lattice(8, 8, seed % 2, seed % 2, beta, CouplingLaw::kSigns, seed);
      const PlanarIsing planar(drawn.model, drawn.space(), drawn.drawing);
      least = std::min(least, *planar.digits());
      CHECK(planar.lost().empty() == (*planar.digits() >= 3));
      if (!planar.lost().empty()) continue;
      const auto truth = Elimination(drawn.model, drawn.space()).log_z();
      CHECK(std::fabs(planar.log_z() - truth) <= std::pow(10.0, -*planar.digits()) + 1e-13 * truth);
    }
    CHECK(least <= last);
    last = least;
  }
  CHECK(last < 5);
  const auto frozen = test::lattice(8, 8, true, true, 50, CouplingLaw::kSigns, 1);
  CHECK(PlanarIsing(frozen.model, frozen.space(), frozen.drawing).lost() ==
        "too cold for double precision: 0 digits of Z would be left, 3 are asked for (the largest "
        "coupling is 50 nats)");
}

TEST_CASE("what is not planar or not without fields is refused by name") {
  auto drawn = test::lattice(2, 2, false, false, 1, CouplingLaw::kEqual, 0);
  CHECK(PlanarIsing::obstacle(drawn.model, drawn.drawing).empty());
  auto crossed = drawn;
  crossed.add_bond(0, 3, 1);
  CHECK(PlanarIsing::obstacle(crossed.model, crossed.drawing).empty());
  crossed.add_bond(1, 2, 1);
  CHECK(PlanarIsing::obstacle(crossed.model, crossed.drawing) ==
        "the bonds 0-3 and 1-2 cross or touch");
  auto field = drawn;
  field.model.factors.push_back({{2}, {-0.1, 0.1}});
  CHECK(PlanarIsing::obstacle(field.model, field.drawing) ==
        "fields act on 1 of 4 variables, the first on 2");
  auto triple = drawn;
  triple.model.factors.push_back({{0, 1, 2}, {0, 0, 0, 0, 0, 0, 0, 1}});
  CHECK(PlanarIsing::obstacle(triple.model, triple.drawing) ==
        "a factor has 3 variables, bonds have 2");
  auto forbidden = drawn;
  forbidden.model.factors[0].log_values[0] = -INFINITY;
  CHECK(PlanarIsing::obstacle(forbidden.model, forbidden.drawing) ==
        "a factor forbids some of its states");
  auto through = drawn;  // vertex 3 on the bond 0-2
  through.drawing.positions[3] = {0, 0.5};
  CHECK(!PlanarIsing::obstacle(through.model, through.drawing).empty());
  auto twice = drawn;
  twice.drawing.positions[3] = twice.drawing.positions[1];
  CHECK(PlanarIsing::obstacle(twice.model, twice.drawing) == "vertices 1 and 3 have one position");
  auto three = drawn;
  three.model.cardinalities[1] = 3;
  CHECK(PlanarIsing::obstacle(three.model, three.drawing) ==
        "variable 1 has 3 values, spins have 2");
}

TEST_CASE("scattered evidence is refused with figures, and nearest sets can be summed") {
  torch::manual_seed(1);
  const auto drawn = test::lattice(24, 24, true, true, 0.5, CouplingLaw::kSigns, 2);
  const PlanarIsing planar(drawn.model, drawn.space(), drawn.drawing);
  auto scattered = torch::full({1, 576}, kUnknown, torch::kLong);
  for (std::int64_t r = 0; r < 24; r += 4)
    for (std::int64_t c = 0; c < 24; c += 4)
      scattered[0][r * 24 + c] = 1;
  CHECK_FALSE(planar.can_sum(scattered).item<bool>());
  CHECK(test::refusal([&] { planar.log_sum(scattered); }) ==
        "planar: what is known falls into 36 clusters; at most 10 are summed (2^(clusters - 1) "
        "Pfaffians), and what is left is too wide for elimination by 4.2e+06 entries");
  Stream stream(1, "sets");
  const auto sets = planar.nearest_sets(scattered != kUnknown, stream);
  CHECK(sets.sum().item<std::int64_t>() == 36);
  CHECK(planar.can_sum(torch::where(sets, 1, kUnknown).to(torch::kLong)).item<bool>());

  // what leaves little unknown is eliminated
  auto full = torch::randint(2, {1, 576});
  auto islands = full.masked_fill(torch::rand({1, 576}) < 0.3, kUnknown);
  const Elimination truth(drawn.model, drawn.space());
  CHECK(std::fabs((planar.log_sum(islands) - truth.log_sum(islands)).item<double>()) < 1e-9);
  CHECK(largest_gap(planar.single_marginals(islands[0]), truth.single_marginals(islands[0])) <
        1e-9);
}
