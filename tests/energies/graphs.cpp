// max_cut and max_independent_set; the files of graphs that they read are in graph_files.cpp.
#include "marginalia_test.h"

#include <cmath>
#include <fstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "datasets/folder.h"
#include "energies.h"

#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using test::graph_energy;

namespace {

struct WeightedEdge {
  int i, j;  // from 1
  double weight;
};

std::string listed(const std::vector<WeightedEdge>& edges) {
  std::vector<std::string> lines;
  for (const auto& [i, j, weight] : edges)
    lines.push_back(fmt::format(R"("{} {} {:.17g}")", i, j, weight));
  return fmt::format(R"("edges": [{}])", fmt::join(lines, ", "));
}

std::vector<WeightedEdge> random_graph(int vertices, double density) {
  std::vector<WeightedEdge> edges;
  for (int i = 1; i <= vertices; ++i)
    for (int j = i + 1; j <= vertices; ++j)
      if (j == i + 1 || torch::rand({}).item<double>() < density)
        edges.push_back({i % 2 ? i : j, i % 2 ? j : i, torch::randn({}).item<double>()});
  return edges;
}

const std::vector<WeightedEdge> kPetersen{{1, 2, 1}, {2, 3, 1},  {3, 4, 1},  {4, 5, 1}, {5, 1, 1},
                                          {1, 6, 1}, {2, 7, 1},  {3, 8, 1},  {4, 9, 1}, {5, 10, 1},
                                          {6, 8, 1}, {8, 10, 1}, {10, 7, 1}, {7, 9, 1}, {9, 6, 1}};

std::vector<WeightedEdge> cycle(int vertices) {
  std::vector<WeightedEdge> edges;
  for (int i = 1; i <= vertices; ++i)
    edges.push_back({i, i % vertices + 1, 1});
  return edges;
}

/// Sum over the edges of weight times `of(x_i, x_j)`, for each row of x.
template <class F>
torch::Tensor edge_sum(const torch::Tensor& x, const std::vector<WeightedEdge>& edges, F of) {
  auto sum = torch::zeros({x.size(0)}, torch::kDouble);
  for (const auto& [i, j, weight] : edges)
    sum += weight * of(x.select(1, i - 1), x.select(1, j - 1)).to(torch::kDouble);
  return sum;
}

torch::Tensor cut(const torch::Tensor& x, const std::vector<WeightedEdge>& edges) {
  return edge_sum(x, edges, [](const auto& a, const auto& b) { return a != b; });
}

double best(const Energy& energy) {
  const auto x = all_states(energy.space());
  const auto allowed = energy.log_density(x) > -INFINITY;
  return energy.readable()->raw_score(x).masked_select(allowed).max().item<double>();
}

}  // namespace

TEST_CASE("max_cut is the weight between the two sides of every state") {
  torch::manual_seed(1);
  for (const int vertices : {2, 7, 12, 16}) {
    const auto edges = random_graph(vertices, 0.4);
    const auto energy = graph_energy("max_cut", listed(edges) + R"(, "inverse_temperature": 0.7)");
    const auto x = all_states(energy->space());
    const auto expected = cut(x, edges);
    CHECK(torch::allclose(energy->log_density(x), 0.7 * expected, 0, 1e-12));
    CHECK(torch::allclose(energy->readable()->raw_score(x), expected, 0, 1e-12));
    CHECK(test::log_z(*energy) == doctest::Approx((0.7 * expected).logsumexp(0).item<double>()));
  }
}

TEST_CASE("max_cut finds the optima of graphs that are known") {
  CHECK(best(*graph_energy("max_cut", listed(kPetersen))) == 12);
  CHECK(best(*graph_energy("max_cut", listed(cycle(9)))) == 8);
  CHECK(best(*graph_energy("max_cut", listed(cycle(10)))) == 10);
  // A cycle is a chain of two-state factors: Z = (e^b + 1)^n + (1 - e^b)^n.
  const auto ring = graph_energy("max_cut", listed(cycle(10)) + R"(, "inverse_temperature": 0.5)");
  const auto up = std::exp(0.5);
  CHECK(test::log_z(*ring) ==
        doctest::Approx(std::log(std::pow(1 + up, 10) + std::pow(1 - up, 10))));
}

TEST_CASE("of an edge with an unknown end, max_cut's known part has the mean") {
  torch::manual_seed(2);
  const auto edges = random_graph(6, 0.5);
  const auto energy = graph_energy("max_cut", listed(edges) + R"(, "inverse_temperature": 1.5)");
  const auto x = all_states(energy->space());
  const auto log_f = energy->log_density(x);
  for (std::int64_t b = 0; b < 40; ++b) {
    const auto state = torch::randint(2, {6}, torch::kLong);
    const auto partial = state.masked_fill(torch::rand({6}) < 0.5, kUnknown);
    const auto fits = (partial == kUnknown).logical_or(x == partial).all(1);
    CHECK(energy->local()->known_part(partial.unsqueeze(0)).item<double>() ==
          doctest::Approx(log_f.masked_select(fits).mean().item<double>()));
  }
}

TEST_CASE("max_independent_set counts the sets of graphs that are known") {
  // With beta = 0 every independent set has f = 1. The cycle has the Lucas number of them, the
  // path a Fibonacci number.
  const auto count = [](const std::string& graph) {
    return std::exp(
        test::log_z(*graph_energy("max_independent_set", graph + R"(, "inverse_temperature": 0)")));
  };
  CHECK(count(listed(cycle(5))) == doctest::Approx(11));
  CHECK(count(listed(cycle(9))) == doctest::Approx(76));
  CHECK(count(R"("edges": ["1 2", "2 3", "3 4"])") == doctest::Approx(8));
  CHECK(count(R"("edges": ["1 2", "2 3", "3 4"], "vertices": 6)") == doctest::Approx(8 * 4));
  CHECK(count(listed(kPetersen)) == doctest::Approx(76));
  CHECK(best(*graph_energy("max_independent_set", listed(kPetersen))) == 4);
  CHECK(best(*graph_energy("max_independent_set", listed(cycle(9)))) == 4);
}

TEST_CASE("max_independent_set is the size less a penalty for each edge inside") {
  torch::manual_seed(3);
  auto edges = random_graph(9, 0.3);
  const auto soft = graph_energy("max_independent_set",
                                 listed(edges) + R"(, "inverse_temperature": 0.8, "penalty": 1.7)");
  const auto hard =
      graph_energy("max_independent_set", listed(edges) + R"(, "inverse_temperature": 0.8)");
  for (auto& edge : edges)
    edge.weight = 1;  // weights are not looked at
  const auto x = all_states(soft->space());
  const auto inside =
      edge_sum(x, edges, [](const auto& a, const auto& b) { return a.logical_and(b); });
  const auto size = x.sum(1).to(torch::kDouble);
  CHECK(torch::allclose(soft->log_density(x), 0.8 * size - 1.7 * inside, 0, 1e-12));
  const auto expected = (0.8 * size).masked_fill(inside > 0, -INFINITY);
  CHECK(torch::allclose(hard->log_density(x), expected, 0, 1e-12));
  CHECK(hard->readable()->raw_score(x).equal(size - inside));

  // Conditionals of the hard constraint: where others are known, they are those of log f.
  const auto logits = hard->local()->logits(x);
  for (const std::int64_t i : {0, 4, 8}) {
    const auto off = x.index_fill(1, torch::tensor({i}), 0);
    const auto allowed = hard->log_density(off) > -INFINITY;
    const auto gain =
        hard->log_density(x.index_fill(1, torch::tensor({i}), 1)) - hard->log_density(off);
    CHECK(
        torch::allclose(logits.select(1, i).select(1, 1).masked_select(allowed).to(torch::kDouble),
                        gain.masked_select(allowed), 0, 1e-6));
  }
  CHECK(soft->pairwise());
  CHECK(hard->pairwise().reason ==
        "sets with an edge inside are forbidden, which no finite factor says; a finite \"penalty\" "
        "has pairwise factors");
}

TEST_CASE("colours of a graph differ at the ends of every edge") {
  torch::manual_seed(4);
  for (const double density : {0.0, 0.2, 0.9}) {
    const auto edges = random_graph(40, density);
    const auto energy = graph_energy("max_cut", listed(edges));
    const auto& colours = energy->local()->colours();
    for (const auto& [i, j, weight] : edges)
      CHECK(colours[i - 1].item<std::int64_t>() != colours[j - 1].item<std::int64_t>());
    CHECK(colours.max().item<std::int64_t>() + 1 >= 2);
    if (density == 0) CHECK(colours.max().item<std::int64_t>() + 1 <= 3);  // a path
  }
  const auto star = graph_energy("max_cut", R"("edges": ["1 5", "2 5", "3 5", "4 5"])");
  CHECK(star->local()->colours().max().item<std::int64_t>() == 1);
}

TEST_CASE("a state of a graph is told with its score") {
  const auto x = torch::tensor({0, 1, 0, 1, 1}, torch::kLong);
  const std::string edges = R"("edges": ["1 2", "2 3", "3 4", "4 5 2.5", "5 1"])";
  CHECK(graph_energy("max_cut", edges)->readable()->to_text(x) == "cut 4: 01011");
  CHECK(graph_energy("max_cut", edges + R"(, "best_known": 5.5)")->readable()->to_text(x) ==
        "cut 4, best known 5.5: 01011");
  CHECK(
      graph_energy("max_independent_set", edges + R"(, "best_known": 2)")->readable()->to_text(x) ==
      "set of 3 with 1 edges inside, best known 2: 2 4 5");
  CHECK(graph_energy("max_independent_set", edges)
            ->readable()
            ->to_text(torch::zeros({5}, torch::kLong)) == "set of 0: ");
}

TEST_CASE("exact answers come by elimination where the graph is narrow, and agree with counting") {
  torch::manual_seed(8);
  const auto graph = listed(random_graph(10, 0.3));
  for (const auto& energy :
       {graph_energy("max_cut", graph), graph_energy("max_independent_set", graph),
        graph_energy("max_independent_set",
                     graph + R"(, "penalty": 0.7, "inverse_temperature": 2)")}) {
    const auto& oracle = *energy->exact();
    CHECK(oracle.method() == "variable elimination");
    const EnumerationOracle counted(*energy);
    CHECK(oracle.log_z() == doctest::Approx(counted.log_z()).epsilon(1e-12));
    const auto none = energy->space().empty()[0];
    CHECK(torch::allclose(oracle.single_marginals(none), counted.single_marginals(none), 0, 1e-12));
  }
  std::vector<WeightedEdge> all;  // of 60 vertices: a message to 59 at once
  for (int i = 1; i <= 60; ++i)
    for (int j = 1; j < i; ++j)
      all.push_back({i, j, 1});
  CHECK(graph_energy("max_cut", listed(all))
            ->exact()
            .reason.starts_with("variable elimination has induced width at least 59 here"));
  CHECK(graph_energy("max_cut", listed(all))
            ->exact()
            .reason.ends_with("planar: 1770 edges are too many for 60 vertices, at most 174"));
  CHECK(graph_energy("max_cut", graph + R"(, "memory": 1e-7)")
            ->exact()
            .reason.ends_with("the limit is 1e-07 GiB; planar: no \"positions\" say how the graph "
                              "is drawn"));
}

TEST_CASE("max_cut on a toroidal grid is an Ising model, and its optimum the published one" *
          doctest::test_suite("data/maxcut")) {
  const auto data = test::real_data("maxcut/biqmac/t2g10_5555.txt.gz");
  if (data.empty()) return;
  constexpr double kOptimum = 6049461;  // biqmac_optimal.csv
  const auto cuts = [&](double beta) {
    return graph_energy("max_cut",
                        fmt::format(R"("file": "maxcut/biqmac/t2g10_5555.txt", )"
                                    R"("inverse_temperature": {})",
                                    beta),
                        data);
  };
  // At this temperature nothing but the heaviest cut and its mirror image counts.
  CHECK(std::abs(cuts(1)->exact()->log_z() - kOptimum - std::log(2)) < 1e-6);

  // The same graph as a lattice: J = -beta w / 2, and log f the same up to a constant.
  const auto warm = cuts(4e-5);
  std::string couplings;
  double constant = 0;
  for (const auto& factor : warm->factors()->factors) {
    const auto half = factor.log_values[1] / 2;
    couplings += fmt::format("{} {} {:.17g}\n", factor.scope[0], factor.scope[1], -half);
    constant += half;
  }
  const test::TextFile file(couplings);
  const auto ising = test::make<Energy>(fmt::format(
      R"({{"type": "ising", "side": 10, "field": 0, "couplings": "{}"}})", file.path.string()));
  CHECK(warm->exact()->log_z() ==
        doctest::Approx(ising->exact()->log_z() + constant).epsilon(1e-12));
  Stream stream(6, "samples");
  const auto x = ising->exact()->sample(ising->space().empty().expand({2000, 100}), stream);
  CHECK(torch::allclose(warm->log_density(x), ising->log_density(x) + constant, 1e-12, 1e-10));
  CHECK(warm->readable()->raw_score(x).max().item<double>() == kOptimum);
}

TEST_CASE("max_cut scores the largest graph of Gset as a sum over its lines does" *
          doctest::test_suite("data/maxcut")) {
  const auto data = test::real_data("maxcut/gset/G81.txt.gz");
  if (data.empty()) return;
  const auto energy =
      graph_energy("max_cut", R"("file": "maxcut/gset/G81.txt", "best_known": 14060)", data);
  REQUIRE(energy->space().dimension() == 20000);
  std::vector<WeightedEdge> edges;
  const auto in = gzopen((data / "maxcut/gset/G81.txt.gz").c_str(), "rb");
  char line[64];
  gzgets(in, line, sizeof line);
  while (gzgets(in, line, sizeof line)) {
    WeightedEdge edge{};
    REQUIRE(std::sscanf(line, "%d %d %lf", &edge.i, &edge.j, &edge.weight) == 3);
    edges.push_back(edge);
  }
  gzclose(in);
  REQUIRE(edges.size() == 40000);
  torch::manual_seed(7);
  const auto x = torch::randint(2, {11, 20000}, torch::kLong);
  auto expected = torch::zeros({11}, torch::kDouble);
  for (std::int64_t b = 0; b < 11; ++b) {
    const auto* row = x[b].data_ptr<std::int64_t>();
    for (const auto& [i, j, weight] : edges)
      expected[b] += row[i - 1] != row[j - 1] ? weight : 0;
  }
  CHECK(energy->log_density(x).equal(expected));
  CHECK(energy->exact().reason.ends_with(
      " GiB or more, the limit is 8 GiB; planar: no \"positions\" say how the graph is drawn"));
}
