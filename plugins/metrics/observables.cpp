/// \file
/// What is measured of spins and of other values that are only equal or not: the model's samples
/// against states of the truth.
///
///   m_k = (K n_k / D - 1) / (K - 1),  n_k the variables at value k; of spins m_1 = mean s = -m_0
///   magnetisation           mean over k of |E_q m_k - E_p m_k|
///   absolute_magnetisation  |E_q m - E_p m|,  m = max_k m_k; of spins |mean s|
///   energy                  |E_q e - E_p e|,  e = -log f / D
///   two_point               mean over r of |E_q c(r) - E_p c(r)|,  c(r) the mean over pairs of
///                           (K [x_i = x_j] - 1) / (K - 1), of spins s_i s_j
/// c(r) is over the sites r apart along an axis of the lattice, r up to half its side; where the
/// pairs of the energy are not those of a lattice there is one c, over these pairs. Standard errors
/// are those of independent samples of q and of chains of p, whose draws remember each other.
/// Chance alone makes a mean of absolute values positive: "by_chance" is what it would be were q =
/// p. "weighted" is the same with samples weighed by f / q: self-normalised importance sampling.
/// "model" and "reference" are the two means themselves; "exact" is E_p e where it can be computed.
/// Source: Wu (1982), doi:10.1103/RevModPhys.54.235 (m); Nicoli et al. (2020),
/// doi:10.1103/PhysRevE.101.023304 (weights).
#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <optional>

#include <torch/types.h>

#include <marginalia/chains.h>
#include <marginalia/energy.h>
#include <marginalia/plugin.h>

#include "exact_energy.h"
#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

/// Sites in rows, the last axis fastest, and which axes close on themselves.
struct Lattice {
  std::vector<std::int64_t> sides;
  std::vector<bool> periodic;
};

/// The lattice whose nearest neighbours the energy's pairs are; none where they are others.
std::optional<Lattice> find_lattice(const Energy& energy) {
  const auto pairs = energy.pairwise();
  if (!pairs || pairs->edges.size(0) == 0) return {};
  Lattice lattice{energy.space().shape, std::vector<bool>(energy.space().shape.size())};
  const auto edges = pairs->edges.cpu().contiguous();
  for (std::int64_t e = 0; e < edges.size(0); ++e) {
    auto i = edges.data_ptr<std::int64_t>()[2 * e], j = edges.data_ptr<std::int64_t>()[2 * e + 1];
    std::int64_t axes = 0;
    for (auto axis = lattice.sides.size(); axis-- > 0;) {
      const auto L = lattice.sides[axis], apart = std::abs(i % L - j % L);
      i /= L;
      j /= L;
      if (apart == 0) continue;
      ++axes;
      if (apart == 1) continue;
      if (apart != L - 1) return {};
      lattice.periodic[axis] = true;
    }
    if (axes != 1) return {};
  }
  return lattice;
}

/// (K share - 1) / (K - 1): 1 where all are equal, 0 on average where values are drawn uniformly.
Tensor of_share(const Tensor& share, std::int64_t K) {
  return (double(K) * share - 1) / double(K - 1);
}

/// m_k of each state.  x: int64 [N, D]  ->  float64 [N, K].
Tensor magnetisation(const Tensor& x, std::int64_t K) {
  std::vector<Tensor> counts;
  for (std::int64_t k = 0; k < K; ++k)
    counts.push_back((x == k).sum(1));
  return of_share(torch::stack(counts, 1).to(torch::kDouble) / double(x.size(1)), K);
}

/// c(r) of each state.  x: int64 [N, D]  ->  float64 [N].
Tensor correlation(const Tensor& x, const Lattice& lattice, std::int64_t r, std::int64_t K) {
  std::vector<std::int64_t> shape{x.size(0)};
  shape.insert(shape.end(), lattice.sides.begin(), lattice.sides.end());
  const auto grid = x.view(shape);
  auto equal = torch::zeros({x.size(0)}, torch::kLong);
  double pairs = 0;
  for (std::size_t axis = 0; axis < lattice.sides.size(); ++axis) {
    const auto L = lattice.sides[axis], dim = std::int64_t(axis) + 1;
    if (2 * r > L) continue;
    const auto here = lattice.periodic[axis] ? grid : grid.slice(dim, 0, L - r);
    const auto there = lattice.periodic[axis] ? grid.roll(-r, dim) : grid.slice(dim, r);
    const auto same = (here == there).flatten(1);
    equal += same.sum(1);
    pairs += double(same.size(1));
  }
  return of_share(equal.to(torch::kDouble) / pairs, K);
}

constexpr const char *kPerSite = "per site", *kNatsPerSite = "nats per site",
                     *kPerPair = "per pair", *kEnergy = "energy";

constexpr MeasurementInfo declare_error(const char* observable, const char* meaning,
                                        const char* unit) {
  return {
      .estimator = observable, .label = "error of observables", .meaning = meaning, .unit = unit};
}

/// Numbers of a state, M of them, and how they are called.
struct Observable {
  std::string name, unit;
  std::function<Tensor(const Tensor& x)> of;  ///< int64 [N, D]  ->  float64 [N, M]
  std::vector<std::int64_t> distances = {};   ///< r of each, where they have one
};

Observable two_point(const Energy& energy, std::int64_t K) {
  Observable result{"two_point", kPerPair, {}};
  if (const auto lattice = find_lattice(energy)) {
    for (std::int64_t r = 1; r <= std::ranges::max(lattice->sides) / 2; ++r)
      result.distances.push_back(r);
    result.of = [lattice = *lattice, distances = result.distances, K](const Tensor& x) {
      std::vector<Tensor> columns;
      for (const auto r : distances)
        columns.push_back(correlation(x, lattice, r, K));
      return torch::stack(columns, 1);
    };
    return result;
  }
  const auto edges = energy.pairwise()->edges;
  result.of = [edges, K](const Tensor& x) {
    const auto equal =
        x.index_select(1, edges.select(1, 0)) == x.index_select(1, edges.select(1, 1));
    return of_share(equal.sum(1, true).to(torch::kDouble) / double(edges.size(0)), K);
  };
  return result;
}

std::vector<Observable> list_observables(const Evaluation& evaluation) {
  const auto K = evaluation.space().levels(), D = evaluation.space().dimension();
  std::vector<Observable> all{
      {"magnetisation", kPerSite, [K](const Tensor& x) { return magnetisation(x, K); }},
      {"absolute_magnetisation", kPerSite,
       [K](const Tensor& x) { return magnetisation(x, K).amax(1, true); }}};
  const auto* energy = evaluation.energy();
  if (!energy) return all;
  all.push_back({kEnergy, kNatsPerSite, [energy, D](const Tensor& x) {
                   return (energy->log_density(x) / double(-D)).unsqueeze(1);
                 }});
  const auto pairs = energy->pairwise();
  if (pairs && pairs->edges.size(0) > 0) all.push_back(two_point(*energy, K));
  return all;
}

/// What a set of states says of an observable: M numbers of each state.
struct Samples {
  Tensor values;  ///< float64 [N, M]
  Tensor weight;  ///< float64 [N], of sum 1
  /// sum_n w_n v_n, what has no weight left out: [M].
  Tensor mean() const { return weighed(values).sum(0); }
  /// The standard error of the mean of one number a state, [N]; with equal weights sd / sqrt(N).
  double error(const Tensor& y) const {
    const auto N = double(y.numel());
    const auto column = y.unsqueeze(1);
    const auto spread = weighed(column - weighed(column).sum());
    return std::sqrt(spread.square().sum().item<double>() * N / std::max(N - 1, 1.0));
  }

 private:
  Tensor weighed(const Tensor& v) const {
    const auto w = weight.unsqueeze(1);
    return torch::where(w > 0, w * v, torch::zeros_like(v));
  }
};

/// The same of the truth, whose states come in chains: float64 [C, n, M].
struct Chains {
  Tensor values;
  Tensor mean() const { return values.flatten(0, 1).mean(0); }
};

Json plain(const Tensor& values) {
  if (values.numel() == 1) return json_number(values.item<double>());
  auto all = Json::array();
  for (std::int64_t n = 0; n < values.numel(); ++n)
    all.push_back(json_number(values[n].item<double>()));
  return all;
}

/// The mean of |E_q o - E_p o| over some of the M numbers. With the signs of the gaps fixed it is
/// the mean of one number a state, whose standard errors add.
struct Deviation {
  double value, error, time;
};
Deviation gap_between(const Samples& q, const Chains& p, const Tensor& columns) {
  const auto gap = (q.mean() - p.mean()).index({columns});
  const auto sign = torch::where(gap < 0, -1.0, 1.0).to(torch::kDouble) / double(gap.numel());
  const auto direction =
      torch::zeros({p.values.size(2)}, torch::kDouble).index_put_({columns}, sign);
  const auto truth = chain_mean((p.values * direction).sum(2));
  const auto of_q = q.error((q.values * direction).sum(1));
  return {gap.abs().mean().item<double>(), std::hypot(of_q, truth.error), truth.time};
}

/// The gap of each of the M numbers.
std::vector<Deviation> gaps_between(const Samples& q, const Chains& p) {
  std::vector<Deviation> gaps;
  for (std::int64_t n = 0; n < q.values.size(1); ++n)
    gaps.push_back(gap_between(q, p, torch::tensor({n})));
  return gaps;
}

/// The mean of |gap| to expect where q = p, and gaps are Gaussian: that of chance alone.
double by_chance(const std::vector<Deviation>& gaps) {
  double sum = 0;
  for (const auto& gap : gaps)
    sum += gap.error;
  return std::sqrt(2 / std::numbers::pi) * sum / double(gaps.size());
}

Json by_distance(const Observable& observable, const Samples& q, const Chains& p,
                 const std::vector<Deviation>& gaps) {
  const auto of_q = q.mean(), of_p = p.mean();
  auto rows = Json::array();
  for (std::size_t n = 0; n < observable.distances.size(); ++n)
    rows.push_back({{"distance", observable.distances[n]},
                    {"model", json_number(of_q[std::int64_t(n)].item<double>())},
                    {"reference", json_number(of_p[std::int64_t(n)].item<double>())},
                    {"error", json_number(gaps[n].value)},
                    {"stderr", json_number(gaps[n].error)}});
  return rows;
}

/// weight: f / q of the samples, [N], or undefined.
Measurement compare(const Observable& observable, const Samples& q, const Chains& p,
                    const Tensor& weight) {
  const auto every = torch::arange(q.values.size(1));
  const auto gap = gap_between(q, p, every);
  const auto gaps = gaps_between(q, p);
  Measurement measurement{.estimator = observable.name,
                          .value = gap.value,
                          .unit = observable.unit,
                          .samples = q.values.size(0),
                          .more = {{"by_chance", json_number(by_chance(gaps))},
                                   {"model", plain(q.mean())},
                                   {"reference", plain(p.mean())},
                                   {"reference_samples", p.values.size(0) * p.values.size(1)},
                                   {"autocorrelation_time", json_number(gap.time)}}};
  if (std::isfinite(gap.error)) measurement.stderr_ = gap.error;
  if (weight.defined()) {
    const auto weighed = gap_between({q.values, weight}, p, every);
    measurement.more["weighted"] = {{"value", json_number(weighed.value)},
                                    {"stderr", json_number(weighed.error)}};
  }
  if (!observable.distances.empty())
    measurement.more["by_distance"] = by_distance(observable, q, p, gaps);
  return measurement;
}

class Observables final : public Metric {
 public:
  static constexpr const char* kName = "observables";
  static constexpr const char* kSummary =
      "errors of magnetisation, energy and two-point correlation of the model's samples";
  static constexpr const char* kFormula = "|E_q o(x) - E_p o(x)|";
  static constexpr const char* kSource = "Wu (1982), doi:10.1103/RevModPhys.54.235";
  static constexpr MeasurementInfo kMeasurements[] = {
      declare_error("magnetisation", "mean over k of |E_q m_k - E_p m_k|", kPerSite),
      declare_error("absolute_magnetisation", "|E_q m - E_p m|, m = max_k m_k", kPerSite),
      declare_error(kEnergy, "|E_q e - E_p e|, e = -log f / D", kNatsPerSite),
      declare_error("two_point", "mean over r of |E_q c(r) - E_p c(r)|", kPerPair)};
  struct Params {
    void visit(ParamVisitor&) {}
  };
  explicit Observables(const Params&) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto& space = evaluation.space();
    if (space.mixed() || space.levels() < 2)
      throw Unavailable("needs variables with the same two values or more");
    if (offered(evaluation.family(), QueryKind::kSample).empty())
      throw Unavailable("needs samples of the model, and the family does not sample");
    const auto& truth = evaluation.true_chains();
    if (truth.of_model)
      throw Unavailable("needs states of the truth: no dataset, no chains, and no exact samples (" +
                        evaluation.oracle().reason + ")");
    const auto& model = evaluation.model_samples();
    const auto N = model.states.size(0), C = truth.states.size(0), n = truth.states.size(1);
    const auto equal = torch::full({N}, 1 / double(N), torch::kDouble);
    const auto weight = compute_weights(model);
    std::vector<Measurement> measurements;
    for (const auto& observable : list_observables(evaluation)) {
      const Chains p{observable.of(truth.states.flatten(0, 1)).view({C, n, -1})};
      measurements.push_back(compare(observable, {observable.of(model.states), equal}, p, weight));
      measurements.back().more["source"] = truth.source;
      if (observable.name == kEnergy)
        if (const auto exact = exact_mean_log_density(evaluation))
          measurements.back().more["exact"] = *exact / double(-space.dimension());
    }
    return measurements;
  }

 private:
  /// f / q of the model's samples, of sum 1; undefined where q is not known, or f is 0 at all.
  static Tensor compute_weights(const ModelSamples& model) {
    if (!model.log_density.defined() || !model.log_prob.defined()) return {};
    const auto log_weight = model.log_density - model.log_prob;
    const auto total = log_weight.logsumexp(0);
    if (!total.isfinite().item<bool>()) return {};
    return (log_weight - total).exp();
  }
};

}  // namespace
MARGINALIA_PART(observables, Observables);
