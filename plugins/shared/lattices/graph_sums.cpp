#include "graph_sums.h"

#include <algorithm>
#include <numeric>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <marginalia/kernel.h>
#include <marginalia/state_space.h>

namespace marginalia::graphs {

using marginalia::kUnknown;

namespace {

constexpr std::int64_t kLanes = 8;  // rows that are summed side by side: a cache line of doubles

using Neighbours = std::vector<std::vector<std::pair<std::int32_t, double>>>;

/// The neighbours of each vertex, in ascending order.
Neighbours find_neighbours(const Graph& graph) {
  Neighbours of(static_cast<std::size_t>(graph.vertices));
  for (const auto& [i, j, weight] : graph.edges) {
    of[std::size_t(i)].emplace_back(static_cast<std::int32_t>(j), weight);
    of[std::size_t(j)].emplace_back(static_cast<std::int32_t>(i), weight);
  }
  for (auto& list : of)
    std::ranges::sort(list);
  return of;
}

/// field[l] += sum of w v[j, l] over the neighbours begin .. end.  v: [D, kLanes].
inline void add_neighbours(const std::int32_t* neighbour, const double* weight, const double* v,
                           std::int64_t begin, std::int64_t end, double* field) {
  for (auto e = begin; e < end; ++e) {
    const auto* other = v + std::int64_t{neighbour[e]} * kLanes;
    for (std::int64_t l = 0; l < kLanes; ++l)
      field[l] += weight[e] * other[l];
  }
}

/// total[l] = sum_ij w_ij v[i, l] v[j, l], each edge once.
MARGINALIA_KERNEL void total_of_group(std::int64_t D, const std::int64_t* above,
                                      const std::int64_t* first, const std::int32_t* neighbour,
                                      const double* weight, const double* v, double* total) {
  for (std::int64_t i = 0; i < D; ++i) {
    double field[kLanes] = {};
    add_neighbours(neighbour, weight, v, above[i], first[i + 1], field);
    for (std::int64_t l = 0; l < kLanes; ++l)
      total[l] += field[l] * v[i * kLanes + l];
  }
}

/// out[i, l] = sum_j w_ij v[j, l].
MARGINALIA_KERNEL void field_of_group(std::int64_t D, const std::int64_t* first,
                                      const std::int32_t* neighbour, const double* weight,
                                      const double* v, double* out) {
  for (std::int64_t i = 0; i < D; ++i) {
    double field[kLanes] = {};
    add_neighbours(neighbour, weight, v, first[i], first[i + 1], field);
    for (std::int64_t l = 0; l < kLanes; ++l)
      out[i * kLanes + l] = field[l];
  }
}

}  // namespace

EdgeSums::EdgeSums(const Graph& graph, double at_0, double at_1)
    : vertices_(graph.vertices), at_{at_0, at_1} {
  first_.push_back(0);
  const auto lists = find_neighbours(graph);
  for (std::int64_t i = 0; i < vertices_; ++i) {
    const auto& list = lists[std::size_t(i)];
    const auto below = std::ranges::count_if(list, [i](const auto& n) { return n.first < i; });
    above_.push_back(first_.back() + below);
    for (const auto& [j, weight] : list) {
      neighbour_.push_back(j);
      weight_.push_back(weight);
    }
    first_.push_back(static_cast<std::int64_t>(neighbour_.size()));
  }
  const auto row = torch::arange(vertices_).repeat_interleave(torch::tensor(first_).diff());
  const auto places = torch::stack({row, torch::tensor(neighbour_).to(torch::kLong)});
  const auto weights = torch::tensor(weight_, torch::kDouble);
  matrix_ = torch::sparse_coo_tensor(places, weights, {vertices_, vertices_});
}

/// Calls f(v, row, rows) with the values v [D, kLanes] of `rows` rows from `row` on, on several
/// threads; lanes without a row are 0.
template <class F>
void EdgeSums::for_groups(const Tensor& partial, F f) const {
  const auto contiguous = partial.contiguous();
  const auto* x = contiguous.data_ptr<std::int64_t>();
  const auto B = partial.size(0), D = vertices_;
  const auto work = kLanes * (D + static_cast<std::int64_t>(neighbour_.size()));  // of a group
  const auto value = [this](std::int64_t state) { return state == kUnknown ? 0 : at_[state]; };
  at::parallel_for(
      0, (B + kLanes - 1) / kLanes, 1 + (1 << 15) / work,
      [&](std::int64_t begin, std::int64_t end) {
        std::vector<double> v(static_cast<std::size_t>(D * kLanes));
        for (auto row = begin * kLanes; row < std::min(B, end * kLanes); row += kLanes) {
          const auto rows = std::min(kLanes, B - row);
          for (std::int64_t i = 0; i < D; ++i)
            for (std::int64_t l = 0; l < kLanes; ++l)
              v[std::size_t(i * kLanes + l)] = l < rows ? value(x[(row + l) * D + i]) : 0;
          f(v.data(), row, rows);
        }
      });
}

Tensor EdgeSums::total(const Tensor& partial) const {
  if (!partial.is_cpu())  // each edge acts at both its ends: half
    return 0.5 * (values(partial) * field(partial)).sum(1);
  auto result = torch::empty({partial.size(0)}, torch::kDouble);
  auto* out = result.data_ptr<double>();
  for_groups(partial, [&](const double* v, std::int64_t row, std::int64_t rows) {
    double total[kLanes] = {};
    total_of_group(vertices_, above_.data(), first_.data(), neighbour_.data(), weight_.data(), v,
                   total);
    std::copy(total, total + rows, out + row);
  });
  return result;
}

Tensor EdgeSums::logits(const Tensor& partial, std::array<double, 2> constant,
                        std::array<double, 2> slope) const {
  if (!partial.is_cpu()) {
    const auto h = field(partial);
    const auto at = [&](std::size_t k) {
      return torch::where(h == 0, constant[k], constant[k] + slope[k] * h).to(torch::kFloat);
    };
    return torch::stack({at(0), at(1)}, 2);
  }
  const auto D = vertices_;
  auto result = torch::empty({partial.size(0), D, 2}, torch::kFloat);
  auto* out = result.data_ptr<float>();
  for_groups(partial, [&](const double* v, std::int64_t row, std::int64_t rows) {
    std::vector<double> field(static_cast<std::size_t>(D * kLanes));
    field_of_group(D, first_.data(), neighbour_.data(), weight_.data(), v, field.data());
    for (std::int64_t l = 0; l < rows; ++l)
      for (std::int64_t i = 0; i < D; ++i) {
        const auto h = field[std::size_t(i * kLanes + l)];
        auto* pair = out + 2 * ((row + l) * D + i);
        pair[0] = static_cast<float>(h == 0 ? constant[0] : constant[0] + slope[0] * h);
        pair[1] = static_cast<float>(h == 0 ? constant[1] : constant[1] + slope[1] * h);
      }
  });
  return result;
}

Tensor EdgeSums::values(const Tensor& partial) const {
  const auto v = torch::where(partial == 1, at_[1], at_[0]);
  return torch::where(partial == kUnknown, 0.0, v).to(torch::kDouble);
}

/// field: int64 [B, D]  ->  float64 [B, D].
Tensor EdgeSums::field(const Tensor& partial) const {
  return matrix_.to(partial.device()).mm(values(partial).t().contiguous()).t();
}

Tensor colouring(const Graph& graph) {
  const auto neighbours = find_neighbours(graph);
  std::vector<std::size_t> order(neighbours.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(
      order, [&](auto a, auto b) { return neighbours[a].size() > neighbours[b].size(); });
  std::vector<std::int64_t> colours(order.size(), -1);
  std::vector<std::size_t> taken_by;  // of each colour, the last vertex that has it beside it
  for (const auto i : order) {
    for (const auto& [j, weight] : neighbours[i])
      if (const auto colour = colours[std::size_t(j)]; colour >= 0)
        taken_by[std::size_t(colour)] = i + 1;
    const auto free = std::ranges::find_if(taken_by, [i](auto last) { return last != i + 1; });
    colours[i] = free - taken_by.begin();
    if (free == taken_by.end()) taken_by.push_back(0);
  }
  return torch::tensor(colours);
}

Tensor list_ends(const Graph& graph) {
  std::vector<std::int64_t> ends;
  for (const auto& [i, j, weight] : graph.edges)
    ends.insert(ends.end(), {i, j});
  return torch::tensor(ends, torch::kLong).view({-1, 2});
}

marginalia::FactorModel to_factors(const Graph& graph, std::array<double, 4> pair) {
  marginalia::FactorModel model;
  model.cardinalities.assign(std::size_t(graph.vertices), 2);
  for (const auto& [i, j, weight] : graph.edges) {
    auto& factor = model.factors.emplace_back();
    factor.scope = {i, j};
    for (const auto value : pair)
      factor.log_values.push_back(value == 0 ? 0 : value * weight);
  }
  return model;
}

}  // namespace marginalia::graphs
