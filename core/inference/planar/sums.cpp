#include "sums.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

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

template <class Real>
Scaled<Real> sum_of(const std::vector<Scaled<Real>>& terms) {
  Scaled<Real> total{Real(0), terms.front().log};
  for (const auto& term : terms)
    total.log = std::max(total.log, term.log);
  for (const auto& term : terms)
    total.unit = total.unit + term.unit * Real(std::exp(term.log - total.log));
  return total;
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
  auto total = sum_of(terms);
  total *= root.E;
  return total;
}

/// S of the bonds of a path in order, and the Pfaffian of all others once they are glued.
template <class WeightOf>
std::pair<Skew<double>, Scaled<double>> close_but(const Piece<double>& root,
                                                  const WeightOf& weight_of,
                                                  const std::vector<int>& path) {
  std::vector<int> of_path;
  for (const auto e : path)
    of_path.insert(of_path.end(), {2 * e, 2 * e + 1});
  std::vector<int> order;
  for (const auto h : root.open)
    if (h % 2 == 0 && std::ranges::find(of_path, h) == of_path.end())
      order.insert(order.end(), {h, h + 1});
  const auto glued = order.size();
  order.insert(order.end(), of_path.begin(), of_path.end());
  std::vector<std::size_t> place;
  for (const auto h : order)
    place.push_back(std::size_t(std::ranges::find(root.open, h) - root.open.begin()));
  const auto factor = [&](std::size_t i) {
    return i < glued && i % 2 == 0 ? weight_of(order[i] / 2).q : 1.0;
  };
  Skew<double> Q(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    for (auto j = i + 1; j < order.size(); ++j)
      Q.row(i)[j] = factor(i) * factor(j) * root.S.at(place[i], place[j]);
  for (std::size_t i = 0; i < glued; i += 2)
    Q.row(i)[i + 1] += weight_of(order[i] / 2).p;
  const auto sum = eliminate(Q, glued);
  return {Q.tail(glued), sum};
}

/// Bonds of a path in order, not glued yet, that are glued one part after the other: with p and q
/// exchanged or as they are, until it is said of each which.
class PrefixSums {
 public:
  /// weights: of the path's bonds; signs: of what they are across the seams.
  PrefixSums(std::vector<Weight<double>> weights, std::vector<double> signs)
      : weights_(std::move(weights)), signs_(std::move(signs)), sums_(weights_.size() + 1) {}

  /// S: of the pairs of all bonds; E: of all else. -> of each length, none where it was lost: what
  /// was glued on the way came to next to nothing.
  std::vector<std::optional<Scaled<double>>> operator()(const Skew<double>& S,
                                                        const Scaled<double>& E) {
    split(S, E, 0, weights_.size());
    return sums_;
  }

 private:
  using Range = std::pair<std::size_t, std::size_t>;

  /// Lengths `first` to `last`. S: of the pairs of bonds first .. last - 1; E: of all else.
  void split(const Skew<double>& S, const Scaled<double>& E, std::size_t first, std::size_t last) {
    if (is_lost(S) || E.unit == 0) return;
    if (first == last) {
      sums_[first] = E;
      return;
    }
    const auto middle = (first + last) / 2;
    glue(S, E, {middle, last}, {first, middle}, middle);
    glue(S, E, {first, middle + 1}, {middle + 1, last}, middle + 1);
  }

  /// Glues the bonds of one range, those before `end` exchanged, and goes on with the other's.
  void glue(const Skew<double>& S, const Scaled<double>& E, Range glued, Range left,
            std::size_t end) {
    const auto begin = std::min(glued.first, left.first);
    std::vector<std::size_t> rows;
    for (const auto& [from, to] : {glued, left})
      for (auto row = 2 * (from - begin); row < 2 * (to - begin); ++row)
        rows.push_back(row);
    const auto count = 2 * (glued.second - glued.first);
    const auto weight = [&](std::size_t i) {
      const auto bond = begin + rows[i] / 2;
      auto [p, q] = weights_[bond];
      if (bond < end) std::swap(p, q);
      return Weight<double>{p, q * signs_[bond]};
    };
    const auto factor = [&](std::size_t i) { return i < count && i % 2 == 0 ? weight(i).q : 1; };
    Skew<double> Q(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i)
      for (auto j = i + 1; j < rows.size(); ++j)
        Q.row(i)[j] = factor(i) * factor(j) * S.at(rows[i], rows[j]);
    for (std::size_t i = 0; i < count; i += 2)
      Q.row(i)[i + 1] += weight(i).p;
    auto sum = eliminate(Q, count);
    sum *= E;
    split(Q.tail(count), sum, left.first, left.second);
  }

  /// Whether digits went: S is of correlations over one that is glued, which may vanish.
  static bool is_lost(const Skew<double>& S) {
    constexpr double kMost = 1e3;
    for (std::size_t i = 0; i < S.size(); ++i)
      for (auto j = i + 1; j < S.size(); ++j)
        if (!(std::fabs(S.row(i)[j]) < kMost)) return true;
    return false;
  }

  std::vector<Weight<double>> weights_;
  std::vector<double> signs_;
  std::vector<std::optional<Scaled<double>>> sums_;
};

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

std::vector<Scaled<double>> PartialSum::along(const std::vector<Weight<double>>& weights,
                                              const std::vector<int>& path) const {
  std::vector<std::vector<std::optional<Scaled<double>>>> terms;  // of each spin structure
  for (const auto& z : spin_structures(graph_)) {
    const auto sign = [&](int e) { return z.of(graph_.bonds[std::size_t(e)].seam); };
    const auto signed_weight = [&](int e) {
      const auto& [p, q] = weights[std::size_t(e)];
      return Weight<double>{p, q * sign(e)};
    };
    std::vector<Weight<double>> of_path;
    std::vector<double> signs;
    for (const auto e : path) {
      of_path.push_back(weights[std::size_t(e)]);
      signs.push_back(sign(e));
    }
    auto [S, E] = close_but(root_, signed_weight, path);
    E *= z.weight;
    terms.push_back(PrefixSums(of_path, signs)(S, E));
  }
  std::vector<Scaled<double>> result;
  auto exchanged = weights;
  for (std::size_t m = 0; m <= path.size(); ++m) {
    std::vector<Scaled<double>> of_length;
    for (const auto& of : terms)
      if (of[m]) of_length.push_back(*of[m]);
    if (of_length.size() == terms.size()) {
      result.push_back(sum_of(of_length));
      result.back() *= root_.E;
    } else {
      result.push_back((*this)(exchanged));
    }
    if (m < path.size())
      std::swap(exchanged[std::size_t(path[m])].p, exchanged[std::size_t(path[m])].q);
  }
  return result;
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
