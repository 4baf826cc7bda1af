#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/random.h>
#include <marginalia/state_space.h>

#include "coupling.h"

namespace marginalia {
namespace {

constexpr std::int64_t kCoupledLanes = 64;  // samples that go through a sweep side by side
constexpr std::size_t kMaxLinks = 12;       // of a variable: its probabilities are tabled

/// w(a, b) of a table over (i, j), seen from either end.
struct Pair {
  std::int64_t i, j;
  double w[2][2];
};

/// p(x = 1) in units of 2^-32, so that a uniform 32-bit number below it means 1.
std::uint64_t threshold(double logit) {
  return std::uint64_t(std::llround(0x1p32 / (1 + std::exp(-logit))));
}

}  // namespace

/// One variable that is unknown: its probabilities by the values, flipped, of those linked to it.
struct MonotoneCoupling::Heat {
  struct Site {
    std::int64_t variable;
    bool flipped;
    std::vector<std::int32_t> neighbours;  // sites
    std::vector<std::uint64_t> table;      // [2^neighbours]
  };
  std::vector<Site> sites;
};

std::string MonotoneCoupling::obstacle(const FactorModel& model) {
  for (const auto K : model.cardinalities)
    if (K > 2) return "its variables are not binary";
  for (const auto& [scope, values] : model.factors) {
    if (scope.size() > 2) return "a factor has more than two variables";
    if (scope.size() == 2)
      for (std::size_t a = 0; a < 2 && values.size() == 4; ++a)
        if ((values[2 * a] == -INFINITY && values[2 * a + 1] == -INFINITY) ||
            (values[a] == -INFINITY && values[a + 2] == -INFINITY))
          return "a factor of two variables forbids a value of one of them";
  }
  return "";
}

MonotoneCoupling::MonotoneCoupling(const FactorModel& model, std::int64_t most_sweeps,
                                   std::int64_t first_sweeps)
    : most_sweeps_(most_sweeps),
      first_sweeps_(first_sweeps),
      field_(model.cardinalities.size()),
      links_(model.cardinalities.size()) {
  if (const auto why = obstacle(model); !why.empty())
    throw SpecError("no coupling from the past: " + why);
  for (std::size_t i = 0; i < field_.size(); ++i)
    if (model.cardinalities[i] == 1) fixed_.push_back(std::int64_t(i));
  std::map<std::pair<std::int64_t, std::int64_t>, Pair> pairs;
  for (const auto& [scope, values] : model.factors) {
    std::vector<std::int64_t> free;
    for (const auto i : scope)
      if (model.cardinalities[std::size_t(i)] == 2) free.push_back(i);
    if (free.size() == 1) field_[std::size_t(free[0])] += values[1] - values[0];
    if (free.size() != 2) continue;
    const auto [i, j] = std::minmax(free[0], free[1]);
    auto& pair = pairs.try_emplace({i, j}, Pair{i, j, {}}).first->second;
    for (std::size_t a = 0; a < 2; ++a)
      for (std::size_t b = 0; b < 2; ++b)
        pair.w[a][b] += i == free[0] ? values[2 * a + b] : values[2 * b + a];
  }
  for (const auto& [_, pair] : pairs) {
    const auto& w = pair.w;
    links_[std::size_t(pair.i)].push_back({pair.j, {w[1][0] - w[0][0], w[1][1] - w[0][1]}});
    links_[std::size_t(pair.j)].push_back({pair.i, {w[0][1] - w[0][0], w[1][1] - w[1][0]}});
  }
}

MonotoneCoupling::~MonotoneCoupling() = default;

/// Which of the unknown variables are flipped, so that every link among them rises: 0 or 1 [D].
std::vector<int> MonotoneCoupling::flips(const std::int64_t* values) const {
  std::vector<int> flip(field_.size(), -1);
  for (std::size_t first = 0; first < flip.size(); ++first) {
    if (values[first] != kUnknown || flip[first] >= 0) continue;
    std::vector<std::size_t> open{first};
    flip[first] = 0;
    while (!open.empty()) {
      const auto i = open.back();
      open.pop_back();
      for (const auto& [j, d] : links_[i]) {
        if (values[j] != kUnknown || d[0] == d[1]) continue;
        auto& other = flip[std::size_t(j)];
        const int wanted = flip[i] ^ int(d[1] < d[0]);
        if (other < 0) open.push_back(std::size_t(j));
        if (other >= 0 && other != wanted)
          throw Error(
              "coupling from the past: the factors among the unknown variables are frustrated "
              "(no flipping of variables makes them all attract)");
        other = wanted;
      }
    }
  }
  return flip;
}

MonotoneCoupling::Heat MonotoneCoupling::compute_heat(const std::int64_t* values) const {
  const auto flip = flips(values);
  Heat heat;
  std::vector<std::int32_t> site(flip.size(), -1);
  for (std::size_t i = 0; i < flip.size(); ++i)
    if (values[i] == kUnknown) {
      site[i] = std::int32_t(heat.sites.size());
      heat.sites.push_back({std::int64_t(i), flip[i] == 1, {}, {}});
    }
  for (auto& here : heat.sites) {
    auto base = field_[std::size_t(here.variable)];
    std::vector<std::array<double, 2>> rise;
    for (const auto& [j, d] : links_[std::size_t(here.variable)]) {
      if (values[j] != kUnknown) {
        base += d[std::size_t(values[j])];
      } else if (d[0] != d[1]) {
        const auto f = std::size_t(flip[std::size_t(j)]);
        rise.push_back({d[f], d[1 - f]});
        here.neighbours.push_back(site[std::size_t(j)]);
      } else {
        base += d[0];
      }
    }
    if (rise.size() > kMaxLinks)
      throw Error(fmt::format(
          "coupling from the past: variable {} has {} unknown neighbours; at most {} are tabled",
          here.variable, rise.size(), kMaxLinks));
    for (std::size_t state = 0; state < std::size_t{1} << rise.size(); ++state) {
      auto logit = base;
      for (std::size_t n = 0; n < rise.size(); ++n)
        logit += rise[n][state >> n & 1];
      if (std::isnan(logit))
        throw Error("coupling from the past: factors forbid both values of a variable");
      here.table.push_back(threshold(here.flipped ? -logit : logit));
    }
  }
  return heat;
}

namespace {

/// kCoupledLanes samples, one byte each: [sites][kCoupledLanes].
using Bytes = std::vector<std::array<std::uint8_t, kCoupledLanes>>;
using Uniforms = std::array<std::uint32_t, kCoupledLanes>;

/// The numbers that some samples draw for a variable at a time: always the same, by their name.
Uniforms uniforms(std::uint64_t key, std::int64_t name) {
  constexpr auto kStep = SplitMix64::kStep;
  Uniforms u;
  auto counter = key + kStep * std::uint64_t(name * (kCoupledLanes / 2));
  for (std::size_t l = 0; l < kCoupledLanes; l += 2, counter += kStep) {
    const auto bits = mixed_bits(counter);
    u[l] = std::uint32_t(bits);
    u[l + 1] = std::uint32_t(bits >> 32);
  }
  return u;
}

template <class Site>
void heat_bath(const Site& site, Bytes& state, std::size_t s, const Uniforms& u) {
  std::array<std::uint16_t, kCoupledLanes> at{};
  for (std::size_t m = 0; m < site.neighbours.size(); ++m) {
    const auto& other = state[std::size_t(site.neighbours[m])];
    for (std::size_t l = 0; l < kCoupledLanes; ++l)
      at[l] = std::uint16_t(at[l] | unsigned(other[l]) << m);
  }
  for (std::size_t l = 0; l < kCoupledLanes; ++l)
    state[s][l] = u[l] < site.table[at[l]];
}

/// The states of `used` of kCoupledLanes samples at time 0, flipped; empty where chains have not
/// met.
template <class Sites>
Bytes coupled(const Sites& sites, std::uint64_t key, std::int64_t first_sweeps,
              std::int64_t most_sweeps, std::size_t used) {
  const auto n = sites.size();
  Bytes low(n), high(n);
  for (auto past = first_sweeps; past <= most_sweeps; past *= 2) {
    for (std::size_t s = 0; s < n; ++s) {
      low[s].fill(0);
      high[s].fill(1);
    }
    for (auto time = past; time-- > 0;)
      for (std::size_t s = 0; s < n; ++s) {
        const auto u = uniforms(key, time * std::int64_t(n) + std::int64_t(s));
        heat_bath(sites[s], low, s, u);
        heat_bath(sites[s], high, s, u);
      }
    const bool met = std::ranges::equal(low, high, [&](const auto& a, const auto& b) {
      return std::equal(a.begin(), a.begin() + used, b.begin());
    });
    if (met) return low;
  }
  return {};
}

}  // namespace

Tensor MonotoneCoupling::sample(const Tensor& partial, Stream& stream) const {
  auto result = partial.clone().contiguous();
  const auto D = result.size(1);
  if (!fixed_.empty()) result.index_fill_(1, torch::tensor(fixed_), 0);
  auto* x = result.data_ptr<std::int64_t>();
  std::map<std::vector<std::int64_t>, std::vector<std::int64_t>> rows_by_evidence;
  for (std::int64_t b = 0; b < result.size(0); ++b)
    rows_by_evidence[{x + b * D, x + (b + 1) * D}].push_back(b);
  for (const auto& [values, rows] : rows_by_evidence) {
    const auto heat = compute_heat(values.data());
    if (heat.sites.empty()) continue;
    const auto groups = (std::int64_t(rows.size()) + kCoupledLanes - 1) / kCoupledLanes;
    std::vector<std::uint64_t> keys;
    for (std::int64_t group = 0; group < groups; ++group)
      keys.push_back(mixed_bits(stream.seed()));
    std::vector<Bytes> states(std::size_t(groups), Bytes{});
    at::parallel_for(0, groups, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto group = begin; group < end; ++group)
        states[std::size_t(group)] = coupled(
            heat.sites, keys[std::size_t(group)], first_sweeps_, most_sweeps_,
            std::min(std::size_t(kCoupledLanes), rows.size() - std::size_t(group * kCoupledLanes)));
    });
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const auto& lanes = states[r / kCoupledLanes];
      if (lanes.empty())
        throw Error(fmt::format(
            "coupling from the past: the chains from all 0 and from all 1 have not met within {} "
            "sweeps",
            most_sweeps_));
      for (std::size_t s = 0; s < lanes.size(); ++s)
        x[rows[r] * D + heat.sites[s].variable] =
            lanes[s][r % kCoupledLanes] ^ std::uint8_t(heat.sites[s].flipped);
    }
  }
  return result;
}

}  // namespace marginalia
