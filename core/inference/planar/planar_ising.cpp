#include <algorithm>
#include <cmath>
#include <map>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/inference/planar.h>

#include "answers.h"

namespace marginalia {
namespace {

constexpr double kDigitsAsked = 3;

double largest_coupling(const planar::Graph& graph) {
  double largest = 0;
  for (const auto& bond : graph.bonds)
    largest = std::max(largest, std::fabs(bond.K));
  return largest;
}

/// A set of `size` variables grown from `start`, each new one a neighbour of one in it.
std::vector<int> grow(const planar::Graph& graph, int start, std::int64_t size, Stream& stream) {
  std::vector<char> seen(std::size_t(graph.vertices()), 0);
  std::vector<int> set, rim{start};
  seen[std::size_t(start)] = 1;
  const auto uniforms = torch::rand({size}, stream.generator(), torch::kDouble);
  while (std::int64_t(set.size()) < size && !rim.empty()) {
    const auto u = uniforms.data_ptr<double>()[set.size()];
    std::swap(rim[std::min(std::size_t(u * double(rim.size())), rim.size() - 1)], rim.back());
    const auto i = rim.back();
    rim.pop_back();
    set.push_back(i);
    for (const auto h : graph.half_edges[std::size_t(i)]) {
      const auto& bond = graph.bonds[std::size_t(h / 2)];
      const auto j = h % 2 == 0 ? bond.v : bond.u;
      if (std::exchange(seen[std::size_t(j)], char(1)) == 0) rim.push_back(j);
    }
  }
  return set;
}

}  // namespace

PlanarIsing::PlanarIsing(const FactorModel& model, StateSpace space, const Drawing& drawing,
                         OtherAnswers other)
    : space_(std::move(space)),
      answers_(std::make_unique<planar::Answers>(model, drawing, std::move(other))) {}

PlanarIsing::~PlanarIsing() = default;

std::string PlanarIsing::obstacle(const FactorModel& model, const Drawing& drawing) {
  if (auto why = planar::obstacle_to_spins(model); !why.empty()) return why;
  if (std::int64_t(model.cardinalities.size()) > kMaxPlanarSpins)
    return fmt::format("{} spins are too many; at most {}", model.cardinalities.size(),
                       kMaxPlanarSpins);
  if (drawing.periods[0] > 0 || drawing.periods[1] > 0) return "";
  return planar::find_crossing(planar::make_graph(model, drawing));
}

std::string PlanarIsing::lost() const {
  const auto left = answers_->digits();
  if (left >= kDigitsAsked) return "";
  return fmt::format(
      "too cold for double precision: {:.0f} digits of Z would be left, {:.0f} are asked for (the "
      "largest coupling is {:.3g} nats)",
      std::floor(left), kDigitsAsked, largest_coupling(answers_->graph()));
}

std::optional<double> PlanarIsing::digits() const {
  return answers_->digits();
}

std::optional<LogDensityMoments> PlanarIsing::log_density_moments() const {
  return planar::moments(answers_->graph());
}

Tensor PlanarIsing::can_sum(const Tensor& partial) const {
  const auto rows = partial.contiguous();
  auto result = torch::empty({rows.size(0)}, torch::kBool);
  at::parallel_for(0, rows.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto b = begin; b < end; ++b)
      result.data_ptr<bool>()[b] =
          answers_->can_sum(rows.data_ptr<std::int64_t>() + b * rows.size(1));
  });
  return result;
}

Tensor PlanarIsing::nearest_sets(const Tensor& known, Stream& stream) const {
  const auto can = can_sum(torch::where(known, 0, kUnknown).to(torch::kLong));
  auto sets = known.clone();
  for (std::int64_t b = 0; b < known.size(0); ++b) {
    if (can[b].item<bool>()) continue;
    const auto members = known[b].nonzero().squeeze(1);
    const auto size = members.numel();
    const auto pick = torch::randint(size, {1}, stream.generator()).item<std::int64_t>();
    const auto set = grow(answers_->graph(), int(members[pick].item<std::int64_t>()), size, stream);
    sets[b].fill_(false);
    sets[b].index_fill_(0, torch::tensor(std::vector<std::int64_t>(set.begin(), set.end())), true);
  }
  return sets;
}

Tensor PlanarIsing::compute_log_sum(const Tensor& partial) const {
  const auto rows = partial.contiguous();
  auto result = torch::empty({rows.size(0)}, torch::kDouble);
  at::parallel_for(0, rows.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto b = begin; b < end; ++b)
      result.data_ptr<double>()[b] =
          answers_->log_sum(rows.data_ptr<std::int64_t>() + b * rows.size(1));
  });
  return result;
}

/// By symmetry one half each where nothing is known.
Tensor PlanarIsing::compute_single_marginals(const Tensor& partial) const {
  if ((partial == kUnknown).all().item<bool>())
    return torch::full({space_.dimension(), 2}, 0.5, torch::kDouble);
  const auto row = partial.contiguous();
  const auto p = answers_->single_marginals(row.data_ptr<std::int64_t>());
  if (!p) return Oracle::compute_single_marginals(partial);
  const auto up = torch::tensor(*p, torch::kDouble);
  return torch::stack({1 - up, up}, 1);
}

Tensor PlanarIsing::compute_sample(const Tensor& partial, Stream& stream) const {
  const auto rows = partial.contiguous();
  const auto D = rows.size(1);
  std::map<std::vector<std::int64_t>, std::vector<std::int64_t>> by_evidence;
  for (std::int64_t b = 0; b < rows.size(0); ++b) {
    const auto* x = rows.data_ptr<std::int64_t>() + b * D;
    by_evidence[{x, x + D}].push_back(b);
  }
  auto result = torch::empty_like(rows);
  for (const auto& [evidence, at] : by_evidence)
    result.index_copy_(0, torch::tensor(at),
                       answers_->sample(evidence.data(), std::int64_t(at.size()), stream));
  return result;
}

}  // namespace marginalia
