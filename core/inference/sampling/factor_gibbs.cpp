#include "factor_gibbs.h"
#include "inference/exact/inverse_cdf.h"

#include <algorithm>
#include <cmath>

#include <ATen/Parallel.h>

#include <marginalia/random.h>

namespace marginalia {
FactorGibbs::FactorGibbs(const FactorModel& model, const StateSpace& space)
    : cardinalities_(model.cardinalities), levels_(space.levels()), first_view_{0} {
  std::vector<std::vector<View>> views(cardinalities_.size());
  for (const auto& [scope, values] : model.factors)
    tables_.emplace_back(values.begin(), values.end());
  for (std::size_t a = 0; a < model.factors.size(); ++a) {
    const auto& scope = model.factors[a].scope;
    std::vector<std::int32_t> strides(scope.size());
    std::int32_t stride = 1;
    for (auto s = scope.size(); s-- > 0;
         stride *= std::int32_t(cardinalities_[std::size_t(scope[s])]))
      strides[s] = stride;
    for (std::size_t s = 0; s < scope.size(); ++s) {
      View view{tables_[a].data(), strides[s], std::int32_t(others_.size()), 0};
      for (std::size_t t = 0; t < scope.size(); ++t)
        if (t != s) others_.push_back({std::int32_t(scope[t]), strides[t]});
      view.last = std::int32_t(others_.size());
      views[std::size_t(scope[s])].push_back(view);
    }
  }
  for (const auto& own : views) {
    views_.insert(views_.end(), own.begin(), own.end());
    first_view_.push_back(views_.size());
  }
}

void FactorGibbs::run(at::Tensor& x, const at::Tensor& free, const Sweeps& sweeps,
                      at::Tensor& mean) const {
  const auto B = x.size(0), D = x.size(1), K = levels_;
  const auto beta = static_cast<float>(sweeps.inverse_temperature);
  auto* states = x.data_ptr<std::int64_t>();
  const auto* may = free.defined() ? free.data_ptr<bool>() : nullptr;
  auto* sums = mean.defined() ? mean.data_ptr<float>() : nullptr;
  at::parallel_for(0, B, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> p(static_cast<std::size_t>(K));
    for (auto b = begin; b < end; ++b) {
      auto* row = states + b * D;
      SplitMix64 random(sweeps.seed, std::uint64_t(b));
      random();
      for (std::int64_t update = 0; update < sweeps.count * D; ++update) {
        const auto i = update % D, levels = cardinalities_[std::size_t(i)];
        if (may && !may[b * D + i]) continue;
        std::fill_n(p.begin(), levels, 0.0F);
        for (auto v = first_view_[std::size_t(i)]; v < first_view_[std::size_t(i) + 1]; ++v) {
          const auto& view = views_[v];
          const auto* value = view.table;
          for (auto o = view.first; o < view.last; ++o)
            value += others_[std::size_t(o)].stride * row[others_[std::size_t(o)].variable];
          for (std::int64_t k = 0; k < levels; ++k)
            p[std::size_t(k)] += value[k * view.stride];
        }
        auto highest = *std::max_element(p.begin(), p.begin() + levels);
        if (highest == -INFINITY) {  // every value is forbidden: any may lead out of it
          std::fill_n(p.begin(), levels, 0.0F);
          highest = 0;
        }
        float total = 0;
        for (std::int64_t k = 0; k < levels; ++k)
          total += p[std::size_t(k)] = std::exp(beta * (p[std::size_t(k)] - highest));
        for (std::int64_t k = 0; k < levels; ++k)
          p[std::size_t(k)] /= total;
        row[i] = inverse_cdf(p.data(), levels, random.uniform());
        if (sums)
          for (std::int64_t k = 0; k < levels; ++k)
            sums[(b * D + i) * K + k] += p[std::size_t(k)];
      }
    }
  });
}

}  // namespace marginalia
