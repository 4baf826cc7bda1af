#include "sums.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace marginalia::planar {
namespace {

/// Marks the open bonds and, on a torus, those across its seams.
std::vector<char> mark_open(const Graph& graph, const std::vector<int>& open) {
  std::vector<char> marked(graph.bonds.size(), 0);
  for (const auto e : open)
    marked[std::size_t(e)] = 1;
  for (std::size_t e = 0; graph.torus() && e < marked.size(); ++e)
    if (graph.bonds[e].seam != 0) marked[e] = 1;
  return marked;
}

template <class Real>
Piece<Real> glue_all(const Graph& graph, std::vector<Weight<Real>> weights,
                     const std::vector<char>& open, Cuts cuts) {
  const auto planar = spin_structures(graph).front();
  for (std::size_t e = 0; e < weights.size(); ++e)
    if (!open[e] && graph.bonds[e].seam != 0)
      weights[e].q = weights[e].q * Real(planar.of(graph.bonds[e].seam));
  const auto dissection = dissect(graph, all_vertices(graph), cuts);
  return std::move(
      glue_up<Real>(graph, dissection, weights, open, false, [](int) { return true; }).back());
}

/// sum_z c_z E_z.
template <class Real>
Scaled<Real> sum_structures(const Graph& graph, const Piece<Real>& root,
                            const std::vector<Weight<Real>>& weights) {
  std::vector<Scaled<Real>> terms;
  for (const auto& z : spin_structures(graph)) {
    const auto signed_weight = [&](int e) {
      auto weight = weights[std::size_t(e)];
      weight.q = weight.q * Real(z.of(graph.bonds[std::size_t(e)].seam));
      return weight;
    };
    terms.push_back(pfaffian(close<Real>(root, signed_weight)));
    terms.back() *= Real(z.weight);
  }
  Scaled<Real> total{Real(0), terms.front().log};
  for (const auto& term : terms)
    total.log = std::max(total.log, term.log);
  for (const auto& term : terms)
    total.unit = total.unit + term.unit * Real(std::exp(term.log - total.log));
  total *= root.E;
  return total;
}

/// constant + n log 2 + sum_e log cosh K_e: log Z but for log E.
double free_part(const Graph& graph) {
  auto sum = graph.constant + graph.vertices() * std::log(2.0);
  for (const auto& bond : graph.bonds)
    sum += log_cosh(bond.K);
  return sum;
}

}  // namespace

double log_cosh(double K) {
  const auto size = std::fabs(K);
  return size + std::log1p(std::exp(-2 * size)) - std::log(2.0);
}

std::vector<int> all_vertices(const Graph& graph) {
  std::vector<int> all(std::size_t(graph.vertices()));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

std::vector<Weight<double>> own_weights(const Graph& graph) {
  std::vector<Weight<double>> weights;
  for (const auto& bond : graph.bonds)
    weights.push_back({1, std::tanh(bond.K)});
  return weights;
}

PartialSum::PartialSum(const Graph& graph, std::vector<Weight<double>> weights,
                       const std::vector<int>& open, Cuts cuts)
    : graph_(graph),
      weights_(std::move(weights)),
      root_(glue_all<double>(graph, weights_, mark_open(graph, open), cuts)) {}

Scaled<double> PartialSum::operator()(const std::vector<Weight<double>>& weights) const {
  return sum_structures(graph_, root_, weights);
}

Rounded log_z(const Graph& graph) {
  constexpr auto kEpsilon = std::numeric_limits<double>::epsilon();
  const auto weights = own_weights(graph);
  std::vector<double> values;
  for (const auto cuts : {Cuts::kAcross, Cuts::kAlong, Cuts::kUneven}) {
    const auto E = PartialSum(graph, weights, {}, cuts)(weights);
    values.push_back(free_part(graph) + E.log + std::log(E.unit));
  }
  const auto [low, high] = std::ranges::minmax(values);
  const auto spread = high - low;
  const auto finite = std::ranges::all_of(values, [](double v) { return std::isfinite(v); });
  const auto least = kEpsilon * (4 * std::fabs(high) + graph.vertices());
  return {values[0], finite ? 10 * spread + least : std::numeric_limits<double>::infinity()};
}

LogDensityMoments moments(const Graph& graph) {
  std::vector<Weight<Jet>> weights;
  LogDensityMoments result{graph.constant, 0};
  for (const auto& bond : graph.bonds) {
    const auto K = bond.K, t = std::tanh(K), fall = 1 / (std::cosh(K) * std::cosh(K));
    weights.push_back({Jet(1), Jet(t, K * fall, -2 * K * K * t * fall)});
    result.mean += K * t;
    result.variance += K * K * fall;
  }
  const auto root = glue_all<Jet>(graph, weights, mark_open(graph, {}), Cuts::kAcross);
  const auto log_E = log(sum_structures(graph, root, weights).unit);
  return {result.mean + log_E.slope, result.variance + log_E.curvature};
}

}  // namespace marginalia::planar
