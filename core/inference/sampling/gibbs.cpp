#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/gibbs.h>
#include <marginalia/kernel.h>
#include <marginalia/random.h>

#include "factor_gibbs.h"

namespace marginalia {

/// A binary pairwise density in half-log-odds: H_i = field_i + sum_j J_ij s_j.
struct SpinGraph {
  std::vector<float> field, weight;
  std::vector<std::int32_t> first, neighbour;  // of variable i: first[i] .. first[i + 1]
};

namespace {

constexpr std::int64_t kGibbsLanes = 16;  // rows that go through a sweep side by side

/// exp(x) for |x| < 87 to 2e-7 relative: 2^n (n the nearest integer) times a polynomial.
inline float fast_exp(float x) {
  const float t = x * 1.44269504f;
  const float shifted = t + 12582912.0f;  // 1.5 * 2^23: rounds to an integer
  const float f = (t - (shifted - 12582912.0f)) * 0.693147181f;
  const float p =
      1 +
      f * (1 + f * (0.5f + f * (0.166666667f +
                                f * (0.0416666667f + f * (0.00833333333f + f * 0.00138888889f)))));
  const auto bits = std::bit_cast<std::int32_t>(shifted) << 23;
  return std::bit_cast<float>(std::bit_cast<std::int32_t>(p) + bits);
}

/// xoshiro128+ (Blackman and Vigna 2021), one generator a lane.
struct Lanes {
  std::uint32_t a[kGibbsLanes], b[kGibbsLanes], c[kGibbsLanes], d[kGibbsLanes];

  Lanes(std::uint64_t seed, std::uint64_t group) {
    SplitMix64 random(seed, group);
    const auto next = [&random] { return static_cast<std::uint32_t>(random() >> 32); };
    for (std::int64_t l = 0; l < kGibbsLanes; ++l) {
      a[l] = next();
      b[l] = next();
      c[l] = next();
      d[l] = next() | 1;
    }
  }
};

/// Sweeps over one group of rows. s, sum: [D, kGibbsLanes]; free: the same, all bits set where
/// free.
MARGINALIA_KERNEL void sweep_group(const SpinGraph& graph, Lanes& r, float* s,
                                   const std::int32_t* free, float* sum, std::int64_t sweeps) {
  const auto D = static_cast<std::int64_t>(graph.field.size());
  for (std::int64_t sweep = 0; sweep < sweeps; ++sweep)
    for (std::int64_t i = 0; i < D; ++i) {
      float H[kGibbsLanes];
      for (std::int64_t l = 0; l < kGibbsLanes; ++l)
        H[l] = graph.field[std::size_t(i)];
      for (auto e = graph.first[std::size_t(i)]; e < graph.first[std::size_t(i) + 1]; ++e) {
        const float J = graph.weight[std::size_t(e)];
        const float* other = s + graph.neighbour[std::size_t(e)] * kGibbsLanes;
        for (std::int64_t l = 0; l < kGibbsLanes; ++l)
          H[l] += J * other[l];
      }
      float* here = s + i * kGibbsLanes;
      float* total = sum + i * kGibbsLanes;
      const std::int32_t* may = free + i * kGibbsLanes;
      for (std::int64_t l = 0; l < kGibbsLanes; ++l) {
        const auto bits = r.a[l] + r.d[l];
        const auto shifted = r.b[l] << 9;
        r.c[l] ^= r.a[l];
        r.d[l] ^= r.b[l];
        r.b[l] ^= r.c[l];
        r.a[l] ^= r.d[l];
        r.c[l] ^= shifted;
        r.d[l] = (r.d[l] << 11) | (r.d[l] >> 21);
        const float u = float(std::int32_t(bits >> 8)) * 0x1p-24f;
        const float x = H[l] < -40 ? 80.0f : (H[l] > 40 ? -80.0f : -2 * H[l]);
        const float p = 1 / (1 + fast_exp(x));  // p(x_i = 1 | others)
        total[l] += p;
        const float drawn = u < p ? 1.0f : -1.0f;
        here[l] = may[l] ? drawn : here[l];
      }
    }
}

}  // namespace

struct GibbsSampler::Kernel {
  SpinGraph graph, tempered;  // of f, and of f^b

  explicit Kernel(const PairwiseFactors& factors) {
    const auto D = factors.unary.size(0), E = factors.edges.size(0);
    const auto u = factors.unary.to(torch::kCPU, torch::kFloat).contiguous();
    const auto w = factors.pairs.to(torch::kCPU, torch::kFloat).contiguous();
    const auto edges = factors.edges.to(torch::kCPU).contiguous();
    const auto ua = u.accessor<float, 2>();
    const auto wa = w.accessor<float, 3>();
    const auto ea = edges.accessor<std::int64_t, 2>();
    std::vector<std::vector<std::pair<std::int32_t, float>>> neighbours(
        static_cast<std::size_t>(D));
    for (std::int64_t i = 0; i < D; ++i)
      graph.field.push_back((ua[i][1] - ua[i][0]) / 2);
    for (std::int64_t e = 0; e < E; ++e) {
      const auto i = ea[e][0], j = ea[e][1];
      const float J = (wa[e][1][1] - wa[e][0][1] - wa[e][1][0] + wa[e][0][0]) / 4;
      graph.field[std::size_t(i)] += (wa[e][1][1] + wa[e][1][0] - wa[e][0][1] - wa[e][0][0]) / 4;
      graph.field[std::size_t(j)] += (wa[e][1][1] + wa[e][0][1] - wa[e][1][0] - wa[e][0][0]) / 4;
      neighbours[std::size_t(i)].emplace_back(std::int32_t(j), J);
      neighbours[std::size_t(j)].emplace_back(std::int32_t(i), J);
    }
    graph.first.push_back(0);
    for (const auto& list : neighbours) {
      for (const auto& [j, J] : list) {
        graph.neighbour.push_back(j);
        graph.weight.push_back(J);
      }
      graph.first.push_back(static_cast<std::int32_t>(graph.neighbour.size()));
    }
    tempered = graph;
  }

  void set_inverse_temperature(double b) {
    tempered = graph;
    for (auto* values : {&tempered.field, &tempered.weight})
      for (auto& value : *values)
        value *= float(b);
  }

  Result run(const Tensor& given, const Tensor& free, std::int64_t sweeps, Stream& stream,
             bool want_mean) const {
    const auto x = given.contiguous().clone();
    const auto B = x.size(0), D = x.size(1);
    const auto may = free.defined() ? free.contiguous() : Tensor();
    const auto* may_data = may.defined() ? may.data_ptr<bool>() : nullptr;
    auto* data = x.data_ptr<std::int64_t>();
    auto mean = want_mean ? torch::empty({B, D, 2}, torch::kFloat) : Tensor();
    auto* out = want_mean ? mean.data_ptr<float>() : nullptr;
    const auto seed = stream.seed();
    const auto groups = (B + kGibbsLanes - 1) / kGibbsLanes;
    at::parallel_for(0, groups, 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> s(std::size_t(D * kGibbsLanes)), sum(s.size());
      std::vector<std::int32_t> allowed(s.size());
      for (auto group = begin; group < end; ++group) {
        const auto row = group * kGibbsLanes, rows = std::min(kGibbsLanes, B - row);
        for (std::int64_t i = 0; i < D; ++i)
          for (std::int64_t l = 0; l < kGibbsLanes; ++l) {
            const auto at = (row + std::min(l, rows - 1)) * D + i;  // spare lanes repeat the last
            s[std::size_t(i * kGibbsLanes + l)] = data[at] ? 1.0f : -1.0f;
            allowed[std::size_t(i * kGibbsLanes + l)] = !may_data || may_data[at] ? -1 : 0;
          }
        std::fill(sum.begin(), sum.end(), 0.0f);
        Lanes lanes(seed, static_cast<std::uint64_t>(group));
        sweep_group(tempered, lanes, s.data(), allowed.data(), sum.data(), sweeps);
        for (std::int64_t l = 0; l < rows; ++l)
          for (std::int64_t i = 0; i < D; ++i) {
            const auto at = (row + l) * D + i;
            data[at] = s[std::size_t(i * kGibbsLanes + l)] > 0;
            if (!out) continue;
            const float p = sum[std::size_t(i * kGibbsLanes + l)] / float(sweeps);
            out[2 * at] = 1 - p;
            out[2 * at + 1] = p;
          }
      }
    });
    return {x, mean};
  }
};

GibbsSampler::GibbsSampler(const Energy& energy) : energy_(energy) {
  const auto pairs = energy.pairwise();
  const auto factors = energy.factors();
  if (pairs && energy.space().levels() == 2) {
    kernel_ = std::make_unique<Kernel>(*pairs);
  } else if (factors) {
    factors_ = std::make_unique<FactorGibbs>(*factors, energy.space());
    ties_ = std::make_unique<TiedBlocks>(*factors, energy.space());
  } else if (const auto local = energy.local(); !local) {
    throw SpecError(fmt::format("{}: Gibbs sampling needs local conditionals, but {}",
                                energy.label(), local.reason));
  }
}

GibbsSampler::~GibbsSampler() = default;

void GibbsSampler::set_inverse_temperature(double b) {
  if (b == inverse_temperature_) return;
  inverse_temperature_ = b;
  if (kernel_) kernel_->set_inverse_temperature(b);
  if (ties_) ties_->set_inverse_temperature(b);
}

GibbsSampler::Result GibbsSampler::sweep(const Tensor& x, const Tensor& free, std::int64_t sweeps,
                                         Stream& stream, bool want_mean) const {
  if (kernel_ && x.is_cpu()) return kernel_->run(x, free, sweeps, stream, want_mean);
  if (factors_ && x.is_cpu()) return by_factors(x, free, sweeps, stream, want_mean);
  return by_colour(x, free, sweeps, stream, want_mean);
}

GibbsSampler::Result GibbsSampler::sweep(MeteredEnergy& energy, const Tensor& x, const Tensor& free,
                                         std::int64_t sweeps, Stream& stream, bool want_mean) {
  const auto moved = free.defined() ? free.sum().item<std::int64_t>() : x.numel();
  energy.count(moved * sweeps);
  set_inverse_temperature(energy.inverse_temperature());
  return sweep(x, free, sweeps, stream, want_mean);
}

GibbsSampler::Result GibbsSampler::by_factors(const Tensor& x, const Tensor& free,
                                              std::int64_t sweeps, Stream& stream,
                                              bool want_mean) const {
  const auto may = free.defined() ? free.contiguous() : free;
  const auto zeros = [&] { return torch::zeros({x.size(0), x.size(1), energy_.space().levels()}); };
  Result result{x.contiguous().clone(), {}};
  if (want_mean) result.mean = zeros();
  if (!ties_->any()) {
    factors_->run(result.states, may, {sweeps, stream.seed(), inverse_temperature_}, result.mean);
  } else {
    for (std::int64_t sweep = 0; sweep < sweeps; ++sweep) {
      auto mean = want_mean ? zeros() : Tensor();
      factors_->run(result.states, may, {1, stream.seed(), inverse_temperature_}, mean);
      result.states = ties_->redraw(result.states, may, stream, mean);
      if (want_mean) result.mean += mean;
    }
  }
  if (want_mean) result.mean /= double(sweeps);
  return result;
}

/// The value of each variable at which its running sum passes u.  below [B, D, K], u [B, D, 1].
static Tensor values_at(const Tensor& u, const Tensor& below, bool mixed) {
  if (!mixed) return (u >= below.slice(2, 0, -1)).sum(2);
  // By rounding a variable's last sum may be less than u, and another has values beyond its last.
  return (below <= u * below.slice(2, -1)).sum(2);
}

GibbsSampler::Result GibbsSampler::by_colour(Tensor x, const Tensor& free, std::int64_t sweeps,
                                             Stream& stream, bool want_mean) const {
  const auto local = energy_.local();
  const auto colours = local->colours().to(x.device());
  const auto count = colours.max().item<std::int64_t>() + 1;
  Tensor sum;
  for (std::int64_t sweep = 0; sweep < sweeps; ++sweep) {
    const auto u = stream.uniform({x.size(0), x.size(1), 1}).to(x.device());
    for (std::int64_t colour = 0; colour < count; ++colour) {
      auto here = (colours == colour).unsqueeze(0);                            // [1, D]
      const auto p = softmax_levels(inverse_temperature_ * local->logits(x));  // [B, D, K]
      if (want_mean) sum = (sum.defined() ? sum : torch::zeros_like(p)) + p * here.unsqueeze(2);
      if (free.defined()) here = here.logical_and(free);
      const auto drawn = values_at(u, p.cumsum(2), energy_.space().mixed());
      x = torch::where(here, drawn, x);
    }
  }
  return {x, want_mean ? sum / double(sweeps) : Tensor()};
}

}  // namespace marginalia
