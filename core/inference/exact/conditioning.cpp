#include <algorithm>
#include <cmath>
#include <set>

#include <marginalia/inference/conditioning.h>
#include <marginalia/state_space.h>

namespace marginalia {
namespace {

/// A factor with what is known put in: over the places of U, strides as in the full table.
void reduce(const Factor& factor, const std::vector<std::int64_t>& cardinalities,
            const std::int64_t* values, const std::vector<std::int64_t>& place,
            Conditioned& result) {
  std::vector<std::int64_t> sizes, strides;
  Factor left;
  std::int64_t stride = 1, base = 0, entries = 1;
  for (auto s = factor.scope.size(); s-- > 0;) {
    const auto i = factor.scope[s];
    const auto K = cardinalities[std::size_t(i)];
    if (values[i] == kUnknown) {
      left.scope.insert(left.scope.begin(), place[std::size_t(i)]);
      sizes.insert(sizes.begin(), K);
      strides.insert(strides.begin(), stride);
      entries *= K;
    } else {
      base += stride * values[i];
    }
    stride *= K;
  }
  if (left.scope.empty()) {
    result.constant += factor.log_values[std::size_t(base)];
    return;
  }
  for (std::int64_t entry = 0; entry < entries; ++entry) {
    auto rest = entry, at = base;
    for (auto s = sizes.size(); s-- > 0; rest /= sizes[s])
      at += rest % sizes[s] * strides[s];
    left.log_values.push_back(factor.log_values[std::size_t(at)]);
  }
  result.model.factors.push_back(std::move(left));
}

/// Eliminates greedily, and takes out what stands in the way.
class Cutter {
 public:
  Cutter(const FactorModel& model, const Neighbours& neighbours, double bits)
      : bits_(bits), weight_(neighbours.size()), around_(neighbours.size()), size_(around_.size()) {
    for (std::size_t i = 0; i < neighbours.size(); ++i) {
      weight_[i] = std::log2(double(model.cardinalities[i]));
      around_[i] = {neighbours[i].begin(), neighbours[i].end()};
    }
    for (std::size_t i = 0; i < neighbours.size(); ++i)
      enqueue(std::int64_t(i));
  }

  std::vector<std::int64_t> cut() {
    std::vector<std::int64_t> taken;
    while (!queue_.empty()) {
      const auto [size, i] = *queue_.begin();
      if (size <= bits_ + 1e-9) {
        eliminate(i);
      } else {
        const auto worst = queue_.rbegin()->second;
        taken.push_back(worst);
        remove(worst);
      }
    }
    std::ranges::sort(taken);
    return taken;
  }

 private:
  void enqueue(std::int64_t i) {
    double size = 0;
    for (const auto j : around_[std::size_t(i)])
      size += weight_[std::size_t(j)];
    size_[std::size_t(i)] = size;
    queue_.emplace(size, i);
  }
  void requeue(std::int64_t i) {
    queue_.erase({size_[std::size_t(i)], i});
    enqueue(i);
  }
  void remove(std::int64_t i) {
    queue_.erase({size_[std::size_t(i)], i});
    for (const auto j : around_[std::size_t(i)]) {
      around_[std::size_t(j)].erase(i);
      requeue(j);
    }
  }
  void eliminate(std::int64_t i) {
    const auto& neighbours = around_[std::size_t(i)];
    for (const auto j : neighbours)
      for (const auto k : neighbours)
        if (j != k) around_[std::size_t(j)].insert(k);
    remove(i);
  }

  double bits_;
  std::vector<double> weight_;  // log2 K_i
  std::vector<std::set<std::int64_t>> around_;
  std::vector<double> size_;  // log2 of the entries of i's message
  std::set<std::pair<double, std::int64_t>> queue_;
};

}  // namespace

Conditioned conditioned(const FactorModel& model, const std::int64_t* values) {
  Conditioned result;
  std::vector<std::int64_t> place(model.cardinalities.size(), -1);
  for (std::size_t i = 0; i < place.size(); ++i) {
    if (values[i] != kUnknown) continue;
    place[i] = std::int64_t(result.variables.size());
    result.variables.push_back(std::int64_t(i));
    result.model.cardinalities.push_back(model.cardinalities[i]);
  }
  for (const auto& factor : model.factors)
    reduce(factor, model.cardinalities, values, place, result);
  return result;
}

Neighbours find_neighbours(const FactorModel& model) {
  Neighbours neighbours(model.cardinalities.size());
  for (const auto& factor : model.factors)
    for (const auto i : factor.scope)
      for (const auto j : factor.scope)
        if (i != j) neighbours[std::size_t(i)].push_back(j);
  for (auto& list : neighbours) {
    std::ranges::sort(list);
    list.erase(std::ranges::unique(list).begin(), list.end());
  }
  return neighbours;
}

std::vector<std::int64_t> find_components(const Neighbours& neighbours) {
  std::vector<std::int64_t> component(neighbours.size(), -1);
  std::int64_t count = 0;
  for (std::size_t first = 0; first < neighbours.size(); ++first) {
    if (component[first] >= 0) continue;
    std::vector<std::size_t> open{first};
    component[first] = count;
    while (!open.empty()) {
      const auto i = open.back();
      open.pop_back();
      for (const auto j : neighbours[i])
        if (component[std::size_t(j)] < 0) {
          component[std::size_t(j)] = count;
          open.push_back(std::size_t(j));
        }
    }
    ++count;
  }
  return component;
}

std::vector<std::int64_t> cutset(const FactorModel& model, const Neighbours& neighbours,
                                 double bits) {
  return Cutter(model, neighbours, bits).cut();
}

Conditioned narrow_part(const Conditioned& left, double bits) {
  const auto neighbours = find_neighbours(left.model);
  const auto component = find_components(neighbours);
  std::vector<bool> wide(component.size());
  for (const auto place : cutset(left.model, neighbours, bits))
    wide[std::size_t(component[std::size_t(place)])] = true;
  Conditioned narrow;
  std::vector<std::int64_t> place(component.size(), -1);
  for (std::size_t i = 0; i < component.size(); ++i) {
    if (wide[std::size_t(component[i])]) continue;
    place[i] = std::int64_t(narrow.variables.size());
    narrow.variables.push_back(left.variables[i]);
    narrow.model.cardinalities.push_back(left.model.cardinalities[i]);
  }
  for (const auto& factor : left.model.factors) {
    if (place[std::size_t(factor.scope[0])] < 0) continue;
    auto& kept = narrow.model.factors.emplace_back(factor);
    for (auto& i : kept.scope)
      i = place[std::size_t(i)];
  }
  return narrow;
}

std::vector<std::int64_t> spaced_passes(const Neighbours& neighbours,
                                        const std::vector<std::int64_t>& variables,
                                        std::int64_t spacing) {
  std::vector<std::int64_t> pass(neighbours.size(), -1);
  std::vector<std::int64_t> result;
  std::vector<std::int64_t> seen(neighbours.size(), -1);  // by the number of the search
  for (std::size_t n = 0; n < variables.size(); ++n) {
    if (spacing <= 0) {
      result.push_back(std::int64_t(n));
      continue;
    }
    std::set<std::int64_t> taken;
    std::vector<std::int64_t> shell{variables[n]};
    seen[std::size_t(variables[n])] = std::int64_t(n);
    for (std::int64_t away = 1; away < spacing && !shell.empty(); ++away) {
      std::vector<std::int64_t> next;
      for (const auto i : shell)
        for (const auto j : neighbours[std::size_t(i)])
          if (seen[std::size_t(j)] != std::int64_t(n)) {
            seen[std::size_t(j)] = std::int64_t(n);
            if (pass[std::size_t(j)] >= 0) taken.insert(pass[std::size_t(j)]);
            next.push_back(j);
          }
      shell = std::move(next);
    }
    std::int64_t free = 0;
    while (taken.contains(free))
      ++free;
    pass[std::size_t(variables[n])] = free;
    result.push_back(free);
  }
  return result;
}

}  // namespace marginalia
