#include "marginalia_test.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/energy.h>
#include <marginalia/inference/enumeration.h>

#include "energies.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

/// Pairs of neighbours of a lattice with two axes, counted here independently: row by row, to the
/// next row, then to the next in the row.
std::vector<std::pair<int, int>> list_bonds(int rows, int columns, bool periodic) {
  std::vector<std::pair<int, int>> bonds;
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c) {
      if (r + 1 < rows || periodic)
        bonds.emplace_back(columns * r + c, columns * ((r + 1) % rows) + c);
      if (c + 1 < columns || periodic)
        bonds.emplace_back(columns * r + c, columns * r + (c + 1) % columns);
    }
  return bonds;
}

/// An Ising model with random couplings and fields, from files, and the matrices that define it.
struct Glass {
  std::shared_ptr<Energy> energy;
  torch::Tensor J, h;  // float64 [D, D], each bond once; [D]
};

Glass random_glass(int rows, int columns, bool periodic, double strength = 1) {
  const auto bonds = list_bonds(rows, columns, periodic);
  const int D = rows * columns;
  Glass glass{nullptr, torch::zeros({D, D}, torch::kDouble),
              strength * torch::randn({D}, torch::kDouble)};
  std::string couplings = "# i j J\n", fields;
  for (const auto& [i, j] : bonds) {
    const double value = strength * torch::randn({}, torch::kDouble).item<double>();
    glass.J[i][j] = value;
    couplings += i % 2 ? fmt::format("{} {} {:.17g}\n", i, j, value)
                       : fmt::format("{},{}\t{:.17g}  # turned round\n", j, i, value);
  }
  for (int i = 0; i < D; ++i)
    fields += fmt::format("{:.17g}{}", glass.h[i].item<double>(), i % columns ? " " : "\n");
  const test::TextFile bond_file(couplings), field_file(fields);
  glass.energy =
      test::make<Energy>(fmt::format(R"({{"type": "ising", "sides": [{}, {}], "boundary": "{}", )"
                                     R"("couplings": "{}", "fields": "{}"}})",
                                     rows, columns, periodic ? "periodic" : "open",
                                     bond_file.path.string(), field_file.path.string()));
  return glass;
}

torch::Tensor random_states(std::int64_t B, std::int64_t D) {
  return torch::randint(2, {B, D}, torch::kLong);
}

/// The completions of one partial state: [2^unknown, D].
torch::Tensor completions(const torch::Tensor& partial) {
  const auto unknown = (partial == kUnknown).nonzero().squeeze(1);
  if (unknown.numel() == 0) return partial.unsqueeze(0);
  auto rows = partial.unsqueeze(0).repeat({std::int64_t{1} << unknown.numel(), 1});
  rows.index_put_({torch::indexing::Slice(), unknown},
                  all_states(StateSpace::uniform(unknown.numel(), 2)));
  return rows;
}

double compute_log_z(const std::string& spec) {
  return test::make<Energy>(spec)->exact()->log_z();
}

std::string message_of_making(const std::string& spec) {
  return test::refusal([&] { test::make<Energy>(spec); });
}

}  // namespace

TEST_CASE("ising on a 3 x 3 torus equals the sum over its adjacency matrix") {
  const auto energy =
      test::make<Energy>(R"({"type": "ising", "side": 3, "coupling": 0.6, "field": -0.1})");
  const auto x = all_states(energy->space());  // [512, 9]

  auto adjacency = torch::zeros({9, 9}, torch::kDouble);
  for (const auto& [i, j] : list_bonds(3, 3, true)) {
    adjacency[i][j] += 1;
    adjacency[j][i] += 1;
  }
  const auto s = (2 * x - 1).to(torch::kDouble);
  const auto expected = 0.3 * (s.mm(adjacency) * s).sum(1) - 0.1 * s.sum(1);
  CHECK(torch::allclose(energy->log_density(x), expected, 0, 1e-12));
  CHECK(energy->exact()->log_z() == doctest::Approx(expected.logsumexp(0).item<double>()));
}

TEST_CASE("ising reads couplings and fields from files") {
  torch::manual_seed(1);
  for (const bool periodic : {true, false}) {
    const auto glass = random_glass(3, 4, periodic);
    const auto x = random_states(50, 12);
    const auto s = (2 * x - 1).to(torch::kDouble);
    const auto expected = (s.mm(glass.J) * s).sum(1) + s.mv(glass.h);
    CHECK(torch::allclose(glass.energy->log_density(x), expected, 0, 1e-12));
  }
}

TEST_CASE("ising takes one coupling a line in the order of the bonds") {
  const test::TextFile in_order("1\n2\n3\n4\n"), by_sites("2 3 4\n0 1 2\n1 3 3\n0 2 1\n");
  const auto spec = R"({{"type": "ising", "side": 2, "boundary": "open", "couplings": "{}"}})";
  const auto one = test::make<Energy>(fmt::format(fmt::runtime(spec), in_order.path.string()));
  const auto other = test::make<Energy>(fmt::format(fmt::runtime(spec), by_sites.path.string()));
  const auto x = all_states(one->space());
  CHECK(one->log_density(x).equal(other->log_density(x)));
  CHECK(one->log_density(x)[0].item<double>() == doctest::Approx(1 + 2 + 3 + 4 - 4 * 0.2));
}

TEST_CASE("ising's local logits are half the differences of log f, its known part the mean") {
  torch::manual_seed(2);
  const auto glass = random_glass(3, 3, true);
  const auto& local = *glass.energy->local();
  const auto partial = test::random_partial(40, 9);
  const auto logits = local.logits(partial);  // [40, 9, 2]
  CHECK(logits.is_floating_point());
  for (std::int64_t b = 0; b < 40; ++b) {
    // Averaged over the unknown spins, every factor with an unknown spin vanishes.
    const auto mean = glass.energy->log_density(completions(partial[b])).mean().item<double>();
    CHECK(local.known_part(partial)[b].item<double>() == doctest::Approx(mean));
    for (std::int64_t i = 0; i < 9; ++i) {
      auto down = partial[b].clone(), up = partial[b].clone();
      down[i] = 0;
      up[i] = 1;
      const auto difference = glass.energy->log_density(completions(up)).mean() -
                              glass.energy->log_density(completions(down)).mean();
      const auto half = 0.5 * difference.item<double>();
      CHECK(logits[b][i][1].item<double>() == doctest::Approx(half).epsilon(1e-5));
      CHECK(logits[b][i][0].item<double>() == doctest::Approx(-half).epsilon(1e-5));
    }
  }
}

TEST_CASE("ising's colours differ between neighbours and are as few as can be") {
  for (const auto& [rows, columns, periodic, count] : {std::tuple{4, 6, true, 2},
                                                       {5, 5, true, 3},
                                                       {3, 4, true, 3},
                                                       {3, 5, false, 2},
                                                       {1, 7, false, 2},
                                                       {1, 1, false, 1}}) {
    INFO(rows, " x ", columns, ", periodic ", periodic);
    const auto energy = test::make<Energy>(
        fmt::format(R"({{"type": "ising", "sides": [{}, {}], "boundary": "{}"}})", rows, columns,
                    periodic ? "periodic" : "open"));
    const auto colours = energy->local()->colours();
    CHECK(colours.sizes() == torch::IntArrayRef{rows * columns});
    CHECK(colours.min().item<std::int64_t>() == 0);
    CHECK(colours.max().item<std::int64_t>() == count - 1);
    for (const auto& [i, j] : list_bonds(rows, columns, periodic))
      CHECK(colours[i].item<std::int64_t>() != colours[j].item<std::int64_t>());
  }
}

TEST_CASE("ising's transfer matrix agrees with enumeration") {
  torch::manual_seed(3);
  for (const auto& [rows, columns, periodic, strength] : {std::tuple{3, 4, true, 1.0},
                                                          {4, 3, true, 1.0},
                                                          {3, 4, false, 1.0},
                                                          {4, 3, false, 0.3},
                                                          {3, 3, true, 3.0},
                                                          {5, 3, true, 0.5},
                                                          {1, 9, false, 1.0},
                                                          {9, 1, false, 1.0},
                                                          {17, 1, false, 1.0},
                                                          {3, 3, true, 100.0},
                                                          {3, 4, false, 300.0},
                                                          {1, 1, false, 1.0}}) {
    INFO(rows, " x ", columns, ", periodic ", periodic, ", strength ", strength);
    const auto glass = random_glass(rows, columns, periodic, strength);
    const auto& oracle = *glass.energy->exact();
    CHECK(oracle.method() == "transfer matrix");
    const EnumerationOracle enumeration(*glass.energy);
    const auto partial = test::random_partial(100, rows * columns);
    const auto expected = enumeration.log_sum(partial);
    CHECK(torch::allclose(oracle.log_sum(partial), expected, 1e-13, 1e-11));
    CHECK(oracle.log_z() == doctest::Approx(enumeration.log_z()).epsilon(1e-13));
  }
}

TEST_CASE("ising's transfer matrix keeps what strong fields and couplings leave") {
  // All spins up, and nothing else within the range of a double.
  CHECK(compute_log_z(R"({"type": "ising", "side": 6, "coupling": 0.2, "field": 400})") ==
        doctest::Approx(0.2 * 72 + 400 * 36).epsilon(1e-14));
  // All up and all down.
  CHECK(compute_log_z(R"({"type": "ising", "side": 6, "coupling": 400, "field": 0})") ==
        doctest::Approx(400 * 72 + std::log(2)).epsilon(1e-14));
}

TEST_CASE("ising in one and three dimensions is summed exactly") {
  const double J = 0.7, h = 0.3;  // the ring: log(a^n + b^n), a, b the eigenvalues of its matrix
  const auto root = std::sqrt(std::pow(std::sinh(h), 2) + std::exp(-4 * J));
  const auto a = std::exp(J) * (std::cosh(h) + root), b = std::exp(J) * (std::cosh(h) - root);
  for (const int n : {3, 8, 101})
    CHECK(compute_log_z(fmt::format(
              R"({{"type": "ising", "sides": [{}], "coupling": 0.7, "field": 0.3}})", n)) ==
          doctest::Approx(n * std::log(a) + std::log1p(std::pow(b / a, n))).epsilon(1e-13));
  // The open chain in no field: each of n - 1 bonds by itself.
  CHECK(
      compute_log_z(
          R"({"type": "ising", "sides": [30], "boundary": "open", "coupling": 0.7, "field": 0})") ==
      doctest::Approx(30 * std::log(2) + 29 * std::log(std::cosh(0.7))).epsilon(1e-13));

  const auto cube =
      test::make<Energy>(R"({"type": "ising", "sides": [2, 3, 3], "boundary": "open"})");
  CHECK(cube->exact()->method() == "enumeration");
  const auto ones = torch::ones({1, 18}, torch::kLong);  // 9 + 12 + 12 bonds
  CHECK(cube->log_density(ones).item<double>() == doctest::Approx(0.2 * 33 + 0.2 * 18));
}

// Exact values: METHODS of this project (field 0.2), Kaufman's closed form (field 0), to the digits
// given; sums over 2^30 to 2^100 states that no other test can reach.
TEST_CASE("ising agrees with published values of log Z") {
  const auto torus = [](int L, double J, double h) {
    return compute_log_z(fmt::format(
        R"({{"type": "ising", "side": {}, "coupling": {:.17g}, "field": {:.17g}}})", L, J, h));
  };
  CHECK(std::abs(torus(10, 0.2, 0.2) - 78.688056) < 1e-6);
  CHECK(std::abs(torus(10, 0.2, 0) - 73.453097803833) < 1e-11);
  CHECK(std::abs(torus(10, 0.4406867935097715, 0) - 93.6103005102221) < 1e-11);
  CHECK(std::abs(torus(5, 0.3, 0) - 19.8420897336196721598689163462) < 1e-12);
  // <log f> = d/db log Z(bJ, bh) at b = 1
  const auto slope = [&](double h) {
    return (torus(10, 0.2002, 1.001 * h) - torus(10, 0.1998, 0.999 * h)) / 0.002;
  };
  CHECK(std::abs(slope(0.2) - 24.392230) < 1e-5);
  CHECK(std::abs(slope(0) - 8.564791) < 1e-5);
}

TEST_CASE("ising's exact samples follow the posterior") {
  torch::manual_seed(4);
  constexpr std::int64_t kSamples = 20000;
  for (const auto& [rows, columns, periodic, strength] :
       {std::tuple{3, 4, true, 0.5}, {3, 4, false, 0.5}, {4, 3, true, 60.0}}) {
    INFO(rows, " x ", columns, ", periodic ", periodic, ", strength ", strength);
    const auto glass = random_glass(rows, columns, periodic, strength);
    auto given = torch::full({12}, kUnknown, torch::kLong);
    given[1] = 1;
    given[6] = 0;
    given[7] = 1;
    for (const auto& partial : {given, torch::full({12}, kUnknown, torch::kLong)}) {
      const auto states = completions(partial);
      const auto p = torch::softmax(glass.energy->log_density(states), 0);
      Stream stream(5, "samples");
      const auto x = glass.energy->exact()->sample(partial.expand({kSamples, 12}), stream);
      CHECK(((x == partial) | (partial == kUnknown)).all().item<bool>());

      const auto free = (partial == kUnknown).nonzero().squeeze(1);
      auto index = torch::zeros({kSamples}, torch::kLong);
      for (std::int64_t i = 0; i < free.numel(); ++i)
        index = 2 * index + x.select(1, free[i].item<std::int64_t>());
      const auto counts = torch::bincount(index, {}, p.numel()).to(torch::kDouble);
      const auto rare = p * kSamples < 5;  // one cell together
      const auto chi_square = [&](const torch::Tensor& n, const torch::Tensor& q) {
        return ((n - kSamples * q).square() / (kSamples * q).clamp_min(1e-9)).sum().item<double>();
      };
      double statistic = chi_square(counts.masked_select(~rare), p.masked_select(~rare));
      if (rare.any().item<bool>())
        statistic += std::pow((counts * rare).sum().item<double>() -
                                  kSamples * (p * rare).sum().item<double>(),
                              2) /
                     std::max(5.0, kSamples * (p * rare).sum().item<double>());
      const auto cells = double((~rare).sum().item<std::int64_t>());
      CHECK(statistic < cells + 5 * std::sqrt(2 * cells));  // five standard deviations
    }
  }
}

TEST_CASE("ising's exact samples do not depend on the number of threads") {
  const auto energy = test::make<Energy>(R"({"type": "ising", "side": 6})");
  const auto draw = [&](int threads) {
    const auto before = at::get_num_threads();
    at::set_num_threads(threads);
    Stream stream(6, "samples");
    const auto x = energy->exact()->sample(energy->space().empty().expand({20, 36}), stream);
    at::set_num_threads(before);
    return x;
  };
  CHECK(draw(1).equal(draw(3)));
}

TEST_CASE("ising says why it has no exact answers") {
  CHECK(
      test::make<Energy>(R"({"type": "ising", "sides": [13, 14]})")->exact().reason ==
      "the transfer matrix of a periodic lattice of sides 13 x 14 goes through 2^13 x 2^13 states "
      "(at most 2^12 x 2^12, and 2^25 in all rows together); planar: fields act on 182 of 182 "
      "variables, the first on 0");
  CHECK(
      test::make<Energy>(R"({"type": "ising", "sides": [4, 4, 4]})")->exact().reason ==
      "the transfer matrix is for chains and two-dimensional lattices, and enumeration would take "
      "2^64 states (at most 2^20); planar: a lattice of 3 axes is not planar");
  CHECK(
      test::make<Energy>(R"({"type": "ising", "side": 21, "boundary": "open"})")->exact().reason ==
      "the transfer matrix of an open lattice of sides 21 x 21 goes through 2^21 states (at most "
      "2^20, and 2^25 in all rows together); planar: fields act on 441 of 441 variables, the first "
      "on 0");
  CHECK(
      test::make<Energy>(R"({"type": "ising", "side": 6, "coupling": 1000})")->exact().reason ==
      "the couplings between two rows sum to 6000 nats, beyond the range of floating point numbers "
      "(at most 2750); planar: fields act on 36 of 36 variables, the first on 0");
}

TEST_CASE("ising refuses what is no lattice, and files that do not fit it") {
  const std::string where = "energy ising (plugin ising): ";
  CHECK(message_of_making(R"({"type": "ising", "side": 2})") ==
        where + "a periodic side of 2 would join a pair twice; take 3 or more, or \"boundary\": "
                "\"open\"");
  CHECK(message_of_making(R"({"type": "ising", "sides": [100000, 100000]})") ==
        where + "1e+10 sites are too many; take at most 16777216");

  const auto couplings = [&](const std::string& text) {
    const test::TextFile file(text);
    const auto message = message_of_making(
        fmt::format(R"({{"type": "ising", "side": 2, "boundary": "open", "couplings": "{}"}})",
                    file.path.string()));
    const auto at = message.find(file.path.string());
    return at == std::string::npos ? message : message.substr(at + file.path.string().size());
  };
  CHECK(couplings("1\n2\n3") ==
        ": 3 couplings, but an open lattice of sides 2 x 2 has 4 bonds, each counted once");
  CHECK(couplings("1\n# none\n2 x\n3\n4\n") ==
        ":3: a number is \"x\", which is not a finite number");
  CHECK(couplings("1\n2\n3 4\n5\n") ==
        ":3: 2 numbers; give one coupling a line on all lines, or \"i j J\" on all lines");
  CHECK(
      couplings("0 1 1\n0 2 1\n0 3 1\n1 3 1\n") ==
      ":3: sites 0 and 3 are not neighbours on an open lattice of sides 2 x 2; sites count from 0, "
      "row by row");
  CHECK(couplings("0 1 1\n0 2 1\n1 0 1\n1 3 1\n") ==
        ":3: the bond of sites 1 and 0 stands twice; give each bond once");

  const test::TextFile fields("0.1 0.2\n0.3\n");
  CHECK(message_of_making(
            fmt::format(R"({{"type": "ising", "side": 2, "boundary": "open", "fields": "{}"}})",
                        fields.path.string())) ==
        where + fields.path.string() +
            ": 3 fields, but an open lattice of sides 2 x 2 has 4 sites");
  CHECK(message_of_making(R"({"type": "ising", "fields": "/nowhere/h.txt"})") ==
        where +
            "/nowhere/h.txt: there is no such file, nor that with .gz or .zip; a file is looked "
            "for beside the spec, then in the data directory (--data, $MARGINALIA_DATA)");
}
