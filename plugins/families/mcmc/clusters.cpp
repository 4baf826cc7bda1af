#include "clusters.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <marginalia/error.h>

namespace marginalia::mcmc {

using marginalia::SpecError, marginalia::Tensor;

namespace {

constexpr double kSame = 1e-5;  // nats: tables are float32

/// A generator for each row, so that rows do not depend on the number of threads.
struct Uniform {
  std::mt19937_64 random;
  double operator()() { return double(random() >> 11) * 0x1p-53; }
  std::int64_t below(std::int64_t n) {
    return std::min(n - 1, std::int64_t((*this)() * double(n)));
  }
};

/// J of a table w(a, b) = c + J [a = b]; throws where it is none, or J < 0.
double read_coupling(const Tensor& table) {
  const auto K = table.size(0);
  const auto equal = torch::eye(K, torch::kBool);
  const auto on = table.masked_select(equal), off = table.masked_select(equal.logical_not());
  const auto spread = [](const Tensor& t) { return (t.max() - t.min()).item<double>(); };
  if (spread(on) > kSame || spread(off) > kSame)
    throw SpecError(
        "cluster moves need pairs that only ask whether two values are equal, as ising's and "
        "potts' do; take \"sampler\": \"gibbs\"");
  const auto J = (on[0] - off[0]).item<double>();
  if (J < 0)
    throw SpecError(
        "cluster moves need couplings that favour equal values; this energy has one that does "
        "not; take \"sampler\": \"gibbs\" or \"parallel_tempering\"");
  return J;
}

std::int64_t root(std::vector<std::int64_t>& parent, std::int64_t i) {
  while (parent[std::size_t(i)] != i)
    i = parent[std::size_t(i)] = parent[std::size_t(parent[std::size_t(i)])];
  return i;
}

}  // namespace

Clusters::Clusters(const marginalia::PairwiseFactors& factors, bool wolff)
    : dimension_(factors.unary.size(0)), levels_(factors.unary.size(1)), wolff_(wolff) {
  const auto unary = factors.unary.to(torch::kDouble).contiguous();
  fields_.assign(unary.data_ptr<double>(), unary.data_ptr<double>() + unary.numel());
  const auto lonely = (unary.amax(1) - unary.amin(1)).max().item<double>();
  if (wolff && lonely > kSame)
    throw SpecError("\"wolff\" is for energies without fields; \"swendsen_wang\" takes them");
  clusters_ = std::int64_t(std::ceil(std::sqrt(double(dimension_))));
  neighbours_.resize(std::size_t(dimension_));
  for (std::int64_t e = 0; e < factors.edges.size(0); ++e) {
    const auto i = factors.edges[e][0].item<std::int64_t>();
    const auto j = factors.edges[e][1].item<std::int64_t>();
    const auto closed = -std::expm1(-read_coupling(factors.pairs[e].to(torch::kDouble)));
    bonds_.push_back({i, j, closed});
    neighbours_[std::size_t(i)].push_back({j, closed});
    neighbours_[std::size_t(j)].push_back({i, closed});
  }
}

template <class U>
void Clusters::swendsen_wang(std::int64_t* x, U& uniform) const {
  std::vector<std::int64_t> parent(static_cast<std::size_t>(dimension_));
  std::iota(parent.begin(), parent.end(), 0);
  for (const auto& [i, j, closed] : bonds_)
    if (x[i] == x[j] && uniform() < closed) parent[std::size_t(root(parent, i))] = root(parent, j);
  auto sums = std::vector<double>(fields_.size());  // of each cluster, at its root
  for (std::int64_t i = 0; i < dimension_; ++i)
    for (std::int64_t k = 0; k < levels_; ++k)
      sums[std::size_t(root(parent, i) * levels_ + k)] += fields_[std::size_t(i * levels_ + k)];
  std::vector<std::int64_t> value(static_cast<std::size_t>(dimension_), -1);
  for (std::int64_t i = 0; i < dimension_; ++i) {
    const auto r = root(parent, i);
    auto& chosen = value[std::size_t(r)];
    if (chosen < 0) {
      const auto* weight = sums.data() + r * levels_;
      const auto highest = *std::max_element(weight, weight + levels_);
      double total = 0;
      for (std::int64_t k = 0; k < levels_; ++k)
        total += std::exp(weight[k] - highest);
      auto u = uniform() * total;
      for (chosen = 0; chosen + 1 < levels_; ++chosen)
        if ((u -= std::exp(weight[chosen] - highest)) < 0) break;
    }
    x[i] = chosen;
  }
}

template <class U>
void Clusters::wolff(std::int64_t* x, U& uniform) const {
  std::vector<std::int64_t> stack;
  for (std::int64_t cluster = 0; cluster < clusters_; ++cluster) {
    const auto seed = uniform.below(dimension_), old = x[seed];
    const auto fresh = (old + 1 + uniform.below(levels_ - 1)) % levels_;
    x[seed] = fresh;
    stack = {seed};
    while (!stack.empty()) {
      const auto i = stack.back();
      stack.pop_back();
      for (const auto& [j, closed] : neighbours_[std::size_t(i)])
        if (x[j] == old && uniform() < closed) {
          x[j] = fresh;
          stack.push_back(j);
        }
    }
  }
}

void Clusters::run(Tensor& x, std::int64_t sweeps, std::uint64_t seed) const {
  at::parallel_for(0, x.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto b = begin; b < end; ++b) {
      std::seed_seq words{seed & 0xffffffff, seed >> 32, std::uint64_t(b)};
      Uniform uniform{std::mt19937_64(words)};
      auto* row = x.data_ptr<std::int64_t>() + b * dimension_;
      for (std::int64_t sweep = 0; sweep < sweeps; ++sweep)
        wolff_ ? wolff(row, uniform) : swendsen_wang(row, uniform);
    }
  });
}

}  // namespace marginalia::mcmc
