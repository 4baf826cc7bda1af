#include "answers.h"

#include <algorithm>
#include <cmath>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>

#include "narrow.h"

namespace marginalia::planar {
namespace {

/// Clusters up to which planar sums are taken before elimination is thought of.
constexpr int kFewClusters = 4;
/// Spins that are drawn one by one, for each sample, to join clusters of evidence.
constexpr std::int64_t kMaxJoining = 64;

std::vector<char> mark_known(const Spins& s) {
  std::vector<char> known(s.size());
  std::ranges::transform(s, known.begin(), [](int spin) { return char(spin != 0); });
  return known;
}

bool all_unknown(const Spins& s) {
  return std::ranges::all_of(s, [](int spin) { return spin == 0; });
}
bool all_known(const Spins& s) {
  return std::ranges::count(s, 0) == 0;
}

std::vector<int> find_components_of(const Graph& graph) {
  Neighbours neighbours(std::size_t(graph.vertices()));
  for (const auto& bond : graph.bonds) {
    neighbours[std::size_t(bond.u)].push_back(bond.v);
    neighbours[std::size_t(bond.v)].push_back(bond.u);
  }
  const auto found = find_components(neighbours);
  return {found.begin(), found.end()};
}

}  // namespace

Rest::Rest(const FactorModel& model, const std::int64_t* x) : left(conditioned(model, x)) {
  if (!is_narrow(left.model)) return;
  const auto count = std::int64_t(left.variables.size());
  sums = std::make_unique<Elimination>(left.model, StateSpace{left.model.cardinalities, {count}});
}

Answers::Answers(FactorModel model, const Drawing& drawing, OtherAnswers other)
    : model_(std::move(model)),
      graph_(make_graph(model_, drawing)),
      component_(find_components_of(graph_)),
      other_(std::move(other)) {}

/// Of many variables elimination is not thought of: to find that it is too wide takes too long.
const Oracle* Answers::other() const {
  constexpr int kVariables = 4096;
  return other_ && graph_.vertices() <= kVariables ? other_().value : nullptr;
}

const Rounded& Answers::log_z() const {
  std::call_once(summed_, [this] { log_z_ = planar::log_z(graph_); });
  return log_z_;
}

double Answers::digits() const {
  const auto error = log_z().error;
  return std::isfinite(error) ? std::clamp(-std::log10(error), 0.0, 16.0) : 0.0;
}

Spins Answers::spins_of(const std::int64_t* x) const {
  Spins s(std::size_t(graph_.vertices()));
  std::transform(x, x + s.size(), s.begin(), [](std::int64_t value) {
    return value == kUnknown ? 0 : value == 1 ? 1 : -1;
  });
  return s;
}

Tensor Answers::row(const std::int64_t* x) const {
  return torch::tensor(std::vector<std::int64_t>(x, x + graph_.vertices())).unsqueeze(0);
}

/// log f of a full state.
double Answers::log_f(const Spins& s) const {
  auto sum = graph_.constant;
  for (const auto& bond : graph_.bonds)
    sum += bond.K * s[std::size_t(bond.u)] * s[std::size_t(bond.v)];
  return sum;
}

Way Answers::find_way(const std::int64_t* x, const Spins& s) const {
  Way way;
  auto clusters = find_clusters(graph_, mark_known(s));
  way.count = clusters.count;
  if (way.count > kFewClusters) {
    way.rest = std::make_unique<Rest>(model_, x);
    if (way.rest->sums) return way;
    way.rest.reset();
  }
  if (way.count <= kMaxClusters) way.clusters = std::move(clusters);
  return way;
}

void Answers::refuse(int clusters) const {
  throw SpecError(fmt::format(
      "planar: what is known falls into {} clusters; at most {} are summed (2^(clusters - 1) "
      "Pfaffians), and what is left is too wide for elimination by {:.2g} entries",
      clusters, kMaxClusters, kNarrowEntries));
}

double Answers::log_sum(const std::int64_t* x) const {
  const auto s = spins_of(x);
  if (all_known(s)) return log_f(s);
  if (all_unknown(s)) return log_z().value;
  const auto way = find_way(x, s);
  if (way.clusters) return planar::log_sum(*way.clusters, s);
  if (way.rest) return way.rest->left.constant + way.rest->sums->log_z();
  const auto* oracle = other();
  if (!oracle) refuse(way.count);
  return oracle->log_sum(row(x)).item<double>();
}

bool Answers::can_sum(const std::int64_t* x) const {
  const auto s = spins_of(x);
  if (all_known(s) || all_unknown(s)) return true;
  const auto way = find_way(x, s);
  return way.clusters || way.rest || other();
}

std::optional<std::vector<double>> Answers::single_marginals(const std::int64_t* x) const {
  const Rest rest(model_, x);
  if (!rest.sums) {
    const auto s = spins_of(x);
    const auto clusters = find_clusters(graph_, mark_known(s));
    if (clusters.count > kMaxClusters) return std::nullopt;
    return planar::single_marginals(clusters, s);
  }
  std::vector<double> p(x, x + graph_.vertices());
  const auto of_rest = rest.sums->single_marginals(rest.sums->space().empty()[0]);
  for (std::size_t i = 0; i < rest.left.variables.size(); ++i)
    p[std::size_t(rest.left.variables[i])] = of_rest[std::int64_t(i)][1].item<double>();
  return p;
}

/// The sampler of what evidence leaves that hangs together by bonds.
std::shared_ptr<const SpinSampler> Answers::sampler(const Spins& s) const {
  if (all_unknown(s)) {
    std::call_once(sampled_,
                   [this] { free_ = std::make_shared<SpinSampler>(graph_, own_weights(graph_)); });
    return free_;
  }
  const auto clusters = find_clusters(graph_, mark_known(s), false);
  return std::make_shared<SpinSampler>(graph_, pinned_weights(clusters, s));
}

/// Draws the spins on paths between clusters of evidence, one by one, until bonds join them.
void Answers::join(Spins& s, const Choice& choose) const {
  std::int64_t drawn = 0;
  const auto draw = [&](int& spin) {
    if (++drawn > kMaxJoining)
      throw SpecError(
          fmt::format("planar: no samples where more than {} spins would have to be drawn "
                      "to join what is known",
                      kMaxJoining));
    double log_p[2];
    for (const int up : {0, 1}) {
      spin = up ? 1 : -1;
      const auto clusters = find_clusters(graph_, mark_known(s));
      if (clusters.count > kMaxClusters) refuse(clusters.count);
      log_p[up] = planar::log_sum(clusters, s);
    }
    spin = choose(1 / (1 + std::exp(log_p[0] - log_p[1]))) ? 1 : -1;
  };
  while (true) {
    const auto clusters = find_clusters(graph_, mark_known(s), false);
    if (clusters.paths.empty()) return;
    for (const auto e : clusters.paths.front().bonds)
      for (const auto i : {graph_.bonds[std::size_t(e)].u, graph_.bonds[std::size_t(e)].v})
        if (auto& spin = s[std::size_t(i)]; spin == 0) draw(spin);
  }
}

/// One sample, each component turned over where that is what the evidence says.
void Answers::draw(const SpinSampler& sampler, const Spins& evidence, const Choice& choose,
                   std::int64_t* x) const {
  Spins s(evidence.size(), 0);
  sampler.draw(choose, s);
  std::vector<int> flip(s.size(), 1);  // of each component
  for (std::size_t i = 0; i < s.size(); ++i)
    if (evidence[i] != 0) flip[std::size_t(component_[i])] = evidence[i] * s[i];
  for (std::size_t i = 0; i < s.size(); ++i)
    x[i] = s[i] * flip[std::size_t(component_[i])] > 0;
}

Tensor Answers::sample(const std::int64_t* x, std::int64_t count, Stream& stream) const {
  const auto evidence = spins_of(x);
  const auto D = std::int64_t(evidence.size());
  auto result = row(x).repeat({count, 1});
  if (all_known(evidence)) return result;
  const bool joined = find_clusters(graph_, mark_known(evidence), false).paths.empty();
  if (!joined) {
    const Rest rest(model_, x);
    if (rest.sums) {
      const auto all = rest.sums->space().empty().expand({count, -1}).contiguous();
      result.index_copy_(1, torch::tensor(rest.left.variables), rest.sums->sample(all, stream));
      return result;
    }
    if (const auto way = find_way(x, evidence); !way.clusters) {
      const auto* oracle = other();
      if (!oracle) refuse(way.count);
      return oracle->sample(result, stream);
    }
  }
  const auto shared = joined ? sampler(evidence) : nullptr;
  const auto uniforms = torch::rand({count, D + kMaxJoining}, stream.generator(), torch::kDouble);
  at::parallel_for(0, count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto b = begin; b < end; ++b) {
      const auto* u = uniforms.data_ptr<double>() + b * uniforms.size(1);
      const Choice choose = [&](double p) { return *u++ < p; };
      auto known = evidence;
      if (!joined) join(known, choose);
      draw(joined ? *shared : *sampler(known), known, choose,
           result.data_ptr<std::int64_t>() + b * D);
    }
  });
  return result;
}

}  // namespace marginalia::planar
