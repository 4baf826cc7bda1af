// Energies that answer by Pfaffians: Kaufman's tori, glasses, cylinders, graphs with positions.
#include "energies.h"

#include <cmath>
#include <fstream>

#include <fmt/format.h>

#include <marginalia/inference/elimination.h>
#include <marginalia/inference/planar.h>

#include "energies/ising/torus.h"

using namespace marginalia;

namespace {

/// A function of the coupling in extended precision: value and two derivatives.
struct Series {
  long double f, d, c;
};
Series operator+(Series a, Series b) {
  return {a.f + b.f, a.d + b.d, a.c + b.c};
}
Series operator*(Series a, Series b) {
  return {a.f * b.f, a.f * b.d + a.d * b.f, a.f * b.c + 2 * a.d * b.d + a.c * b.f};
}
Series along(Series x, long double f, long double slope, long double curvature) {
  return {f, slope * x.d, slope * x.c + curvature * x.d * x.d};
}
Series log_of(Series x) {
  return along(x, std::log(x.f), 1 / x.f, -1 / (x.f * x.f));
}

/// Kaufman (1949) by the energies e_q of the modes, cosh e_q = cosh 2J coth 2J - cos q: the free
/// energy, its slope and its curvature.  -> log Z and its two derivatives by J
Series kaufman(int L, long double J) {
  const auto pi = std::acos(-1.0L);
  const auto exponent = [&](int r) -> Series {
    if (r == 0) {  // 2J + log tanh J
      const auto s = std::sinh(2 * J), k = std::cosh(2 * J);
      return {2 * J + std::log(std::tanh(J)), 2 + 2 / s, -4 * k / (s * s)};
    }
    const auto k = std::cosh(2 * J), s = std::sinh(2 * J);
    const Series cosh{k, 2 * s, 4 * k};
    const Series inverse = along({s, 2 * k, 4 * s}, 1 / s, -1 / (s * s), 2 / (s * s * s));
    auto q = cosh * cosh * inverse;
    q.f -= std::cos(pi * r / L);
    const auto root = std::sqrt(q.f * q.f - 1);
    return along(q, std::acosh(q.f), 1 / root, -q.f / (root * root * root));
  };
  // products of 2 cosh and 2 sinh (L e / 2) as logarithms, but for a factor that may vanish
  Series terms[4] = {}, factors[4] = {{1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}};
  for (int term = 0; term < 4; ++term)
    for (int r = 0; r < L; ++r) {
      const auto mode = 2 * r + (term < 2 ? 1 : 0);
      const auto x = exponent(mode) * Series{L / 2.0L, 0, 0};
      const auto t = std::tanh(x.f);
      if (term % 2 == 0)
        terms[term] = terms[term] + along(x, std::log(2 * std::cosh(x.f)), t, 1 - t * t);
      else if (mode == 0)
        factors[term] = along(x, 2 * std::sinh(x.f), 2 * std::cosh(x.f), 2 * std::sinh(x.f));
      else
        terms[term] = terms[term] + along(x, std::log(2 * std::sinh(x.f)), 1 / t, 1 - 1 / (t * t));
    }
  Series sum{};
  for (int term = 0; term < 4; ++term) {
    auto x = terms[term];
    x.f -= terms[0].f;
    const auto e = std::exp(x.f);
    sum = sum + along(x, e, e, e) * factors[term];
  }
  const Series sinh{2 * std::sinh(2 * J), 4 * std::cosh(2 * J), 8 * std::sinh(2 * J)};
  auto result = log_of(sinh) * Series{L * L / 2.0L, 0, 0} + log_of(sum);
  result.f += terms[0].f - std::log(2.0L);
  return result;
}

std::shared_ptr<Energy> glass(const std::string& rest) {
  return test::make<Energy>(R"({"type": "spin_glass", )" + rest + "}");
}

std::shared_ptr<Energy> on_graph(const char* type, const std::string& edges,
                                 const std::string& positions, const std::string& rest = "") {
  const test::TempDir folder;
  std::ofstream(folder / "graph.coo") << edges;
  std::ofstream(folder / "positions.txt") << positions;
  return test::make<Energy>(
      fmt::format(R"({{"type": "{}", "{}": "{}", "format": "coo", "positions": "{}"{}}})", type,
                  std::string(type) == "ising" ? "graph" : "file", (folder / "graph.coo").string(),
                  (folder / "positions.txt").string(), rest));
}

/// A square grid with one diagonal a cell, larger than elimination does in no time.
struct Grid {
  std::string edges, positions;
  explicit Grid(int side) {
    for (int r = 0; r < side; ++r)
      for (int c = 0; c < side; ++c) {
        const auto i = r * side + c;
        positions += fmt::format("{} {}\n", c, 1.5 * r + 0.1 * c);
        const auto weight = [&](int kind) { return (i * 7 + kind * 3) % 5 - 2.1; };
        if (c + 1 < side) edges += fmt::format("{} {} {}\n", i, i + 1, weight(0));
        if (r + 1 < side) edges += fmt::format("{} {} {}\n", i, i + side, weight(1));
        if (c + 1 < side && r + 1 < side)
          edges += fmt::format("{} {} {}\n", i, i + side + 1, weight(2));
      }
  }
};

}  // namespace

TEST_CASE("planar tori have Kaufman's log Z, energy and heat capacity up to 128 x 128") {
  const auto critical = 0.5 * std::log(1 + std::sqrt(2.0));
  for (const int L : {16, 32, 64, 128})
    for (const double J : {0.3, critical, 0.6}) {
      INFO("L ", L, ", J ", J);
      const auto energy = test::make<Energy>(
          fmt::format(R"({{"type": "ising", "side": {}, "coupling": {:.17g}, "field": 0}})", L, J));
      const auto oracle = energy->exact();
      REQUIRE(bool(oracle));
      CHECK(oracle->method() == "planar");
      const auto truth = kaufman(L, J);
      CHECK(ising::torus(L, L, J).log_z == doctest::Approx(double(truth.f)).epsilon(1e-14));
      CHECK(std::fabs(oracle->log_z() / double(truth.f) - 1) < 1e-10);
      const auto moments = *oracle->log_density_moments();
      CHECK(std::fabs(moments.mean / double(J * truth.d) - 1) < 1e-10);
      CHECK(std::fabs(moments.variance / double(J * J * truth.c) - 1) < 1e-10);
    }
}

TEST_CASE("the planar answers of the four 12 x 12 glasses are those of the reference" *
          doctest::test_suite("data/ising_potts")) {
  const auto folder = test::real_data("ising_potts") / "ising_potts";
  if (!exists(folder)) return;
  std::ifstream table(folder / "exact.csv");
  int compared = 0;
  for (std::string line; std::getline(table, line);) {
    const auto name = line.substr(0, line.find(','));
    if (name.find("open12") == name.npos) continue;
    INFO(name);
    std::istringstream words(line);
    std::string word;
    for (int column = 0; column < 7; ++column)
      std::getline(words, word, ',');
    const auto model = test::make<Energy>(fmt::format(R"({{"type": "factor_graph", "file": "{}"}})",
                                                      (folder / (name + ".uai.gz")).string()));
    Drawing drawing;
    for (int i = 0; i < 144; ++i)
      drawing.positions.push_back({double(i % 12), double(i / 12)});
    const PlanarIsing planar(*model->factors(), model->space(), drawing);
    CHECK(std::fabs(planar.log_z() - std::stod(word)) < 1e-10);
    ++compared;
  }
  CHECK(compared == 4);
}

TEST_CASE("a wide glass answers exactly, and says by what and how well") {
  const auto torus = glass(R"("side": 32)");
  const auto oracle = torus->exact();
  REQUIRE(bool(oracle));
  CHECK(oracle->method() == "planar");
  CHECK(*oracle->digits() > 9);
  CHECK(torus->known_log_z()->value == oracle->log_z());
  CHECK(torus->known_log_z()->method.starts_with("planar, "));
  REQUIRE(bool(torus->posterior()));
  CHECK(torus->posterior()->method() == "planar");
  Stream stream(1, "glass");
  const auto x =
      torus->posterior()->sample(torus->space().empty().expand({8, -1}).contiguous(), stream);
  const auto moments = *oracle->log_density_moments();
  const auto spread = std::sqrt(moments.variance / 8);
  CHECK(std::fabs(torus->log_density(x).mean().item<double>() - moments.mean) < 5 * spread);
  // a narrow one is eliminated, which answers any evidence
  CHECK(glass(R"("side": 8, "boundary": "open")")->exact()->method() == "variable elimination");
}

TEST_CASE("a side of its own boundary each makes a cylinder") {
  for (const auto* boundary : {R"(["open", "periodic"])", R"(["periodic", "open"])"}) {
    INFO(boundary);
    const auto rest = fmt::format(R"("sides": [5, 4], "boundary": {})", boundary);
    const auto energy = glass(rest);
    const auto bonds = std::string(boundary).starts_with("[\"o") ? 5 * 4 + 4 * 4 : 5 * 4 + 5 * 3;
    CHECK(energy->factors()->factors.size() == std::size_t(bonds));
    const auto known = energy->known_log_z();
    REQUIRE(known.has_value());
    CHECK(known->value == doctest::Approx(energy->exact()->log_z()).epsilon(1e-12));
    const auto ising = test::make<Energy>(
        fmt::format(R"({{"type": "ising", "field": 0, "coupling": 0.7, {}}})", rest));
    CHECK(ising->known_log_z()->value ==
          doctest::Approx(EnumerationOracle(*ising).log_z()).epsilon(1e-12));
  }
  CHECK(
      test::refusal([] { glass(R"("sides": [5, 4, 3], "boundary": ["open", "periodic"])"); }) ==
      "energy spin_glass (plugin spin_glass): \"boundary\" has 2 values for 3 sides; give one, or "
      "one a side");
  CHECK(test::refusal([] {
          glass(R"("side": 4, "boundary": ["open", "twisted"])");
        }).find("\"boundary\" must be one of periodic, open, not \"twisted\"") !=
        std::string::npos);
}

TEST_CASE("a graph with positions answers exactly; one whose edges cross is refused by name") {
  const Grid small(4), large(40);
  for (const auto* type : {"ising", "max_cut"}) {
    INFO(type);
    const auto rest = std::string(type) == "ising" ? R"(, "field": 0, "coupling": 0.3)" : "";
    const auto energy = on_graph(type, small.edges, small.positions, rest);
    CHECK(energy->known_log_z()->value ==
          doctest::Approx(EnumerationOracle(*energy).log_z()).epsilon(1e-12));
    const auto wide_energy = on_graph(type, large.edges, large.positions, rest);
    const auto wide = wide_energy->exact();
    REQUIRE(bool(wide));
    CHECK(wide->method() == "planar");
    const auto crossed = large.edges + "1 40 1\n";
    CHECK(on_graph(type, crossed, large.positions, rest)
              ->exact()
              .reason.ends_with("; planar: the bonds 0-41 and 1-40 cross or touch"));
  }
  CHECK(test::refusal([&] {
          on_graph("max_cut", small.edges, "0 0\n1 1 1\n");
        }).ends_with("positions.txt:2: 3 numbers; a vertex has two, x y"));
  CHECK(test::refusal([&] {
          on_graph("max_cut", small.edges, "0 0\n1 1\n");
        }).ends_with("positions.txt: 2 positions, but the graph has 16 vertices"));
}

TEST_CASE("what planar answers cannot do is said with figures") {
  CHECK(glass(R"("side": 128, "field": 0.5)")->exact().reason ==
        "variable elimination has induced width at least 128 on this lattice, and would need more "
        "than 2^101 GiB; planar: fields act on 16384 of 16384 variables, the first on 0");
  CHECK(glass(R"("side": 64, "field": 0.5)")
            ->exact()
            .reason.ends_with("; planar: fields act on 4096 of 4096 variables, the first on 0"));
  CHECK(glass(R"("side": 64, "inverse_temperature": 50)")
            ->exact()
            .reason.ends_with("; planar: too cold for double precision: 0 digits of Z would be "
                              "left, 3 are asked for (the "
                              "largest coupling is 50 nats)"));
  CHECK(glass(R"("sides": [8, 8, 8])")
            ->exact()
            .reason.ends_with("; planar: a lattice of 3 axes is not planar"));
  CHECK(glass(R"("model": "sherrington_kirkpatrick", "spins": 60)")
            ->exact()
            .reason.ends_with("; planar: a complete graph is not planar"));
}
