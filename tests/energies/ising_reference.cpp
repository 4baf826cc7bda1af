// ising against the exact values of the data directory.
#include "marginalia_test.h"

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include <fmt/format.h>

#include <marginalia/energy.h>

using namespace marginalia;

TEST_CASE("ising agrees with Kaufman's closed form on every torus of the reference" *
          doctest::test_suite("data/ising_potts")) {
  const auto folder = test::real_data("ising_potts") / "ising_potts";
  if (!exists(folder)) return;
  std::ifstream table(folder / "ising2d_torus_exact.csv");
  std::string line;
  std::getline(table, line);
  int compared = 0;
  while (std::getline(table, line)) {
    int L = 0;
    double beta = 0, expected = 0;
    REQUIRE(std::sscanf(line.c_str(), "%d,%lf,%lf", &L, &beta, &expected) == 3);
    if (L > 9) continue;
    INFO("L ", L, ", beta ", beta);
    CHECK(test::make<Energy>(
              fmt::format(R"({{"type": "ising", "side": {}, "coupling": {:.17g}, "field": 0}})", L,
                          beta))
              ->exact()
              ->log_z() == doctest::Approx(expected).epsilon(1e-13));
    ++compared;
  }
  CHECK(compared >= 60);
}

TEST_CASE("ising agrees with the exact values of spin glasses and random fields" *
          doctest::test_suite("data/ising_potts")) {
  const auto folder = test::real_data("ising_potts") / "ising_potts";
  if (!exists(folder)) return;
  std::map<std::string, double> expected;
  std::ifstream table(folder / "exact.csv");
  for (std::string line; std::getline(table, line);) {
    std::istringstream words(line);
    std::string name, word;
    std::getline(words, name, ',');
    for (int column = 0; column < 6; ++column)
      std::getline(words, word, ',');
    if (name != "name") expected[name] = std::stod(word);
  }
  for (const std::string name :
       {"ea_gauss_open12_0", "ea_gauss_open12_1", "ea_pm1_open12_0", "ea_pm1_open12_1",
        "ea_pm1_torus8_0", "ea_pm1_torus8_1", "rfim_open10_0", "rfim_open10_1"}) {
    CAPTURE(name);
    std::ifstream model(folder / (name + ".txt"));
    std::string comment, kind, couplings, fields;
    int n = 0, m = 0, q = 0;
    double beta = 0;
    std::getline(model, comment);
    REQUIRE(bool(model >> kind >> n >> m >> q >> beta));
    for (int bond = 0; bond < m; ++bond) {
      int i = 0, j = 0;
      double J = 0;
      REQUIRE(bool(model >> i >> j >> J));
      couplings += fmt::format("{} {} {:.17g}\n", i, j, beta * J);
    }
    for (double h = 0; model >> h;)
      fields += fmt::format("{:.17g}\n", beta * h);
    const test::TextFile bond_file(couplings), field_file(fields);
    const auto energy = test::make<Energy>(fmt::format(
        R"({{"type": "ising", "side": {}, "boundary": "{}", "couplings": "{}", "fields": "{}"}})",
        std::lround(std::sqrt(n)), name.find("open") == name.npos ? "periodic" : "open",
        bond_file.path.string(), field_file.path.string()));
    CHECK(energy->exact()->log_z() == doctest::Approx(expected.at(name)).epsilon(1e-13));

    const auto marginals = energy->exact()->single_marginals(energy->space().empty()[0]);
    std::ifstream reference(folder / (name + ".MAR"));
    std::string header;
    int count = 0, states = 0;
    REQUIRE(bool(reference >> header >> count));
    for (int i = 0; i < count; ++i) {
      double down = 0, up = 0;
      REQUIRE(bool(reference >> states >> down >> up));
      CHECK(std::abs(marginals[i][1].item<double>() - up) < 1e-10);
      CHECK(std::abs(marginals[i][0].item<double>() - down) < 1e-10);
    }
  }
}
