// potts, spin_glass, and ising on graphs and on tori of any size.
#include "marginalia_test.h"

#include <cmath>
#include <fstream>

#include <fmt/format.h>

#include <marginalia/energy.h>
#include <marginalia/inference/enumeration.h>

#include "energies/ising/torus.h"

using namespace marginalia;
using torch::Tensor;

namespace {

/// log Z by listing all states, whatever the energy offers.
double enumerated(const Energy& energy) {
  return energy.log_density(all_states(energy.space())).logsumexp(0).item<double>();
}

Tensor neighbours_equal(const Tensor& grid, std::int64_t axis) {
  return (grid == grid.roll(1, axis)).to(torch::kDouble).sum({1, 2});
}

}  // namespace

TEST_CASE("potts counts the bonds between equal spins") {
  const auto energy = test::make<Energy>(
      R"({"type": "potts", "states": 3, "sides": [3, 4], "coupling": 0.7, "field": -0.2})");
  torch::manual_seed(1);
  const auto x = torch::randint(3, {50, 12}, torch::kLong), grid = x.view({50, 3, 4});
  const auto expected = 0.7 * (neighbours_equal(grid, 1) + neighbours_equal(grid, 2)) -
                        0.2 * (x == 0).to(torch::kDouble).sum(1);
  CHECK((energy->log_density(x) - expected).abs().max().item<double>() < 1e-12);
  CHECK(energy->exact()->log_z() == doctest::Approx(enumerated(*energy)).epsilon(1e-12));
}

TEST_CASE("two states of potts are ising at twice the coupling") {
  const auto potts =
      test::make<Energy>(R"({"type": "potts", "states": 2, "side": 4, "coupling": 0.6})");
  const auto ising =
      test::make<Energy>(R"({"type": "ising", "side": 4, "coupling": 0.3, "field": 0})");
  CHECK(potts->exact()->log_z() ==
        doctest::Approx(ising->exact()->log_z() + 32 * 0.3).epsilon(1e-12));
}

TEST_CASE("potts and ising take their bonds from a graph") {
  const test::TextFile triangle("3 3\n1 2 1\n2 3 -2\n1 3 0.5\n");
  const auto graph = triangle.path.string();
  const auto potts = test::make<Energy>(
      fmt::format(R"({{"type": "potts", "states": 4, "coupling": 0.5, "graph": "{}"}})", graph));
  CHECK(potts->log_density(torch::tensor({{2, 2, 2}})).item<double>() == doctest::Approx(-0.25));
  CHECK(potts->log_density(torch::tensor({{1, 3, 1}})).item<double>() == doctest::Approx(0.25));
  const auto ising = test::make<Energy>(
      fmt::format(R"({{"type": "ising", "coupling": 0.5, "field": 0.1, "graph": "{}"}})", graph));
  CHECK(ising->log_density(torch::tensor({{1, 1, 0}})).item<double>() ==
        doctest::Approx(0.5 * (1 + 2 - 0.5) + 0.1));
  CHECK(ising->exact()->log_z() == doctest::Approx(enumerated(*ising)).epsilon(1e-12));
  CHECK(bool(ising->pairwise()));
  CHECK(test::refusal([&] {
          test::make<Energy>(
              fmt::format(R"({{"type": "ising", "graph": "{}", "sides": [3, 3]}})", graph));
        }).find("\"graph\" stands in place of \"sides\"") != std::string::npos);
}

TEST_CASE("a spin glass is its seed's, and its ground state is the best of all states") {
  for (const std::string model :
       {R"("model": "sherrington_kirkpatrick", "spins": 9, "couplings": "gaussian")",
        R"("sides": [3, 3], "field": 0.3)"}) {
    CAPTURE(model);
    const auto glass = [&](int seed, double beta) {
      return test::make<Energy>(
          fmt::format(R"({{"type": "spin_glass", {}, "instance": {}, "inverse_temperature": {}}})",
                      model, seed, beta));
    };
    const auto one = glass(1, 1), again = glass(1, 1), hot = glass(1, 0.5), other = glass(2, 1);
    const auto x = all_states(one->space());
    CHECK(one->log_density(x).equal(again->log_density(x)));
    CHECK((one->log_density(x) - 2 * hot->log_density(x)).abs().max().item<double>() < 1e-12);
    CHECK_FALSE(one->log_density(x).equal(other->log_density(x)));
    CHECK(one->exact()->log_z() == doctest::Approx(enumerated(*one)).epsilon(1e-12));
    const auto score = hot->readable()->raw_score(x);
    CHECK((score - one->log_density(x)).abs().max().item<double>() < 1e-12);
  }
  // every sum of couplings of +-1 over the 18 bonds of a torus is even, and at most 18
  const auto pm1 = test::make<Energy>(R"({"type": "spin_glass", "side": 3})");
  const auto score = pm1->readable()->raw_score(all_states(pm1->space()));
  CHECK((score.remainder(2).abs() < 1e-9).all().item<bool>());
  CHECK(score.max().item<double>() <= 18);
}

TEST_CASE("couplings of a large instance have the moments of their law") {
  for (const std::string law : {"pm1", "gaussian"}) {
    const auto glass = test::make<Energy>(fmt::format(
        R"({{"type": "spin_glass", "side": 60, "couplings": "{}", "instance": 5}})", law));
    const auto J = glass->pairwise()->pairs.select(1, 0).select(1, 0).to(torch::kDouble);
    CHECK(std::abs(J.mean().item<double>()) < 4 / std::sqrt(7200.0));
    CHECK(std::abs(J.square().mean().item<double>() - 1) < 4 * std::sqrt(2 / 7200.0));
    if (law == "gaussian")
      CHECK(std::abs(J.pow(4).mean().item<double>() - 3) < 4 * std::sqrt(96 / 7200.0));
  }
}

TEST_CASE("Kaufman's closed form is the sum over states, and its energy the slope") {
  for (const double J : {0.1, 0.44068679350977147, 0.9}) {
    const auto energy = test::make<Energy>(
        fmt::format(R"({{"type": "ising", "sides": [4, 5], "coupling": {:.17g}, "field": 0}})", J));
    const auto torus = ising::torus(5, 4, J);
    CHECK(torus.log_z == doctest::Approx(energy->exact()->log_z()).epsilon(1e-13));
    const auto h = 1e-5;
    const auto slope =
        (ising::torus(5, 4, J + h).log_z - ising::torus(5, 4, J - h).log_z) / (2 * h);
    CHECK(torus.energy == doctest::Approx(-J * slope).epsilon(1e-8));
    CHECK(torus.entropy == doctest::Approx(torus.log_z + torus.energy));
  }
}

TEST_CASE("Kaufman's closed form equals its reference values at every size" *
          doctest::test_suite("data/ising_potts")) {
  const auto folder = test::real_data("ising_potts/ising2d_torus_exact.csv") / "ising_potts";
  if (!exists(folder)) return;
  std::ifstream table(folder / "ising2d_torus_exact.csv");
  std::string line;
  std::getline(table, line);
  int compared = 0;
  for (; std::getline(table, line); ++compared) {
    int L = 0;
    double J = 0, log_z = 0, per_site = 0, energy = 0;
    REQUIRE(std::sscanf(line.c_str(), "%d,%lf,%lf,%lf,%lf", &L, &J, &log_z, &per_site, &energy) ==
            5);
    CHECK(ising::torus(L, L, J).log_z == doctest::Approx(log_z).epsilon(1e-14));
    CHECK(ising::torus(L, L, J).energy / (J * L * L) == doctest::Approx(energy).epsilon(1e-12));
  }
  CHECK(compared == 204);
}

TEST_CASE("of a torus too wide to be summed, log Z is known all the same") {
  const auto at = [](const char* rest) {
    return test::make<Energy>(fmt::format(R"({{"type": "ising", "side": 30, {}}})", rest))
        ->known_log_z();
  };
  const auto free = at(R"("coupling": 0.4, "field": 0)");
  REQUIRE(free.has_value());
  CHECK(free->error == 0);
  CHECK(free->value == ising::torus(30, 30, 0.4).log_z);
  const auto field = at(R"("coupling": 0.2, "field": 0.2)");
  REQUIRE(field.has_value());
  CHECK(field->value == doctest::Approx(708.1925).epsilon(1e-6));
  CHECK(field->error > 0);
  CHECK(field->error < 1e-3);
  CHECK_FALSE(at(R"("boundary": "open")").has_value());
}
