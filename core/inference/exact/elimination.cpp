#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/elimination.h>

#include "elimination_plan.h"
#include "inverse_cdf.h"

namespace marginalia {

namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();
constexpr std::int64_t kGrain = 1 << 12;      // entries of a message that are worth a thread
constexpr double kMaxLightEntries = 1 << 20;  // entries of a plan that may run once on each thread
constexpr std::size_t kPlansKept = 256;

/// Walks the entries of a separator in order, and where each lies in every source.
class Walk {
 public:
  Walk(const PlanStep& step, std::vector<std::int64_t> offsets, std::int64_t entry)
      : step_(step), at_(std::move(offsets)), digits_(step.sizes.size()) {
    for (auto a = digits_.size(); a-- > 0; entry /= step.sizes[a]) {
      digits_[a] = entry % step.sizes[a];
      for (std::size_t j = 0; j < at_.size(); ++j)
        at_[j] += digits_[a] * step.sources[j].strides[a];
    }
  }
  std::int64_t offset(std::size_t source) const { return at_[source]; }
  void advance() {
    for (auto a = digits_.size(); a-- > 0;) {
      const bool wraps = ++digits_[a] == step_.sizes[a];
      const auto by = wraps ? 1 - step_.sizes[a] : 1;
      for (std::size_t j = 0; j < at_.size(); ++j)
        at_[j] += by * step_.sources[j].strides[a];
      if (!wraps) return;
      digits_[a] = 0;
    }
  }

 private:
  const PlanStep& step_;
  std::vector<std::int64_t> at_, digits_;
};

/// The messages of one query.
class Messages {
 public:
  /// values: [D], those that are known.
  Messages(const FactorModel& model, const EliminationPlan& plan,
           const std::vector<std::int64_t>& values)
      : model_(model), plan_(plan), values_(values), tables_(plan.steps.size()) {
    for (const auto& constant : plan.constants)
      log_z_ += model.factors[constant.index].log_values[std::size_t(base(constant))];
    for (std::size_t n = 0; n < plan.steps.size(); ++n) {
      const auto& step = plan.steps[n];
      tables_[n].resize(std::size_t(step.entries));
      send(step, tables_[n]);
      if (step.separator.empty()) log_z_ += tables_[n][0];
    }
  }

  double log_z() const { return log_z_; }

  /// p(x_i = k | known) of every unknown variable: calls put(i, k, p).
  template <class Put>
  void marginals(const Put& put) const {
    std::vector<std::vector<double>> probability(tables_.size());
    for (auto n = plan_.steps.size(); n-- > 0;) {
      const auto& step = plan_.steps[n];
      if (step.separator.empty()) probability[n] = {1.0};
      for (const auto child : step.children) {
        const auto index = step.sources[child].index;
        probability[index].resize(tables_[index].size());
      }
      for (std::int64_t k = 0; k < step.levels; ++k)
        put(step.variable, k, 0.0);
      pass_down(n, probability, put);
      std::vector<double>().swap(probability[n]);
    }
  }

  /// Completes `x` [D] by one draw: uniform() gives numbers in [0, 1).
  template <class Uniform>
  void sample(std::int64_t* x, const Uniform& uniform) const {
    std::vector<double> weight;
    for (auto n = plan_.steps.size(); n-- > 0;) {
      const auto& step = plan_.steps[n];
      auto entry = std::int64_t{0};
      for (std::size_t a = 0; a < step.separator.size(); ++a)
        entry = entry * step.sizes[a] + x[step.separator[a]];
      const Walk walk(step, bases(step), entry);
      weight.assign(std::size_t(step.levels), 0.0);
      double total = 0;
      for (std::int64_t k = 0; k < step.levels; ++k)
        total += weight[std::size_t(k)] =
            std::exp(sum(step, walk, k) - tables_[n][std::size_t(entry)]);
      x[step.variable] = inverse_cdf(weight.data(), step.levels, uniform() * total);
    }
  }

 private:
  std::int64_t base(const TableSource& source) const {
    std::int64_t offset = 0;
    for (const auto& [variable, stride] : source.known)
      offset += stride * values_[std::size_t(variable)];
    return offset;
  }

  std::vector<std::int64_t> bases(const PlanStep& step) const {
    std::vector<std::int64_t> offsets;
    for (const auto& source : step.sources)
      offsets.push_back(base(source));
    return offsets;
  }

  const double* table(const TableSource& source) const {
    return source.is_factor ? model_.factors[source.index].log_values.data()
                            : tables_[source.index].data();
  }

  /// sum_j t_j(S, k)
  double sum(const PlanStep& step, const Walk& walk, std::int64_t k) const {
    double total = 0;
    for (std::size_t j = 0; j < step.sources.size(); ++j)
      total += table(step.sources[j])[walk.offset(j) + k * step.sources[j].stride];
    return total;
  }

  void send(const PlanStep& step, std::vector<double>& message) const {
    const auto offsets = bases(step);
    at::parallel_for(0, step.entries, kGrain, [&](std::int64_t begin, std::int64_t end) {
      Walk walk(step, offsets, begin);
      std::vector<double> logs(std::size_t(step.levels));
      for (auto entry = begin; entry < end; ++entry, walk.advance()) {
        double highest = kImpossible;
        for (std::int64_t k = 0; k < step.levels; ++k) {
          logs[std::size_t(k)] = sum(step, walk, k);
          highest = std::max(highest, logs[std::size_t(k)]);
        }
        double total = 0;
        if (highest != kImpossible)
          for (const auto value : logs)
            total += std::exp(value - highest);
        message[std::size_t(entry)] =
            highest == kImpossible ? kImpossible : highest + std::log(total);
      }
    });
  }

  /// From p(S) to p(S, v), and from there to the separators of the steps that sent messages here.
  template <class Put>
  void pass_down(std::size_t n, std::vector<std::vector<double>>& probability,
                 const Put& put) const {
    const auto& step = plan_.steps[n];
    std::vector<double> marginal(std::size_t(step.levels));
    Walk walk(step, bases(step), 0);
    for (std::int64_t entry = 0; entry < step.entries; ++entry, walk.advance()) {
      const auto above = probability[n][std::size_t(entry)];
      if (above == 0) continue;
      for (std::int64_t k = 0; k < step.levels; ++k) {
        const auto p = above * std::exp(sum(step, walk, k) - tables_[n][std::size_t(entry)]);
        marginal[std::size_t(k)] += p;
        for (const auto child : step.children) {
          const auto& source = step.sources[child];
          probability[source.index][std::size_t(walk.offset(child) + k * source.stride)] += p;
        }
      }
    }
    for (std::int64_t k = 0; k < step.levels; ++k)
      put(step.variable, k, marginal[std::size_t(k)]);
  }

  const FactorModel& model_;
  const EliminationPlan& plan_;
  const std::vector<std::int64_t>& values_;
  std::vector<std::vector<double>> tables_;
  double log_z_ = 0;
};

std::vector<bool> mark_unknown(const std::vector<std::int64_t>& values) {
  std::vector<bool> unknown;
  for (const auto value : values)
    unknown.push_back(value == kUnknown);
  return unknown;
}

}  // namespace

/// The model over the values that its variables can have, and plans of how to sum it.
class Elimination::Impl {
 public:
  explicit Impl(const FactorModel& given)
      : left(supported_values(given)), model(restricted(given, left)) {}

  /// Values that each variable may have, ascending; `model` is over the indices into them.
  const std::vector<std::vector<std::int64_t>> left;
  const FactorModel model;

  /// [D]: 0 for a variable with one value left, kUnknown for the others.
  std::vector<std::int64_t> free_values() const {
    std::vector<std::int64_t> values;
    for (const auto& one : left)
      values.push_back(one.size() == 1 ? 0 : kUnknown);
    return values;
  }

  /// A row in terms of the values that are left; false where it has one that is not.
  bool translate(const std::int64_t* row, std::vector<std::int64_t>& values) const {
    values = free_values();
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (left[i].empty()) return false;
      if (row[i] == kUnknown) continue;
      const auto found = std::ranges::lower_bound(left[i], row[i]);
      if (found == left[i].end() || *found != row[i]) return false;
      values[i] = found - left[i].begin();
    }
    return true;
  }

  /// The plan for the unknown variables of `values`; kept for the next query like it.
  std::shared_ptr<const EliminationPlan> plan(const std::vector<std::int64_t>& values) {
    const auto unknown = mark_unknown(values);
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = plans_.find(unknown); found != plans_.end()) return found->second;
    }
    auto made = std::make_shared<const EliminationPlan>(elimination_plan(model, unknown));
    const std::lock_guard lock(mutex_);
    if (plans_.size() >= kPlansKept) plans_.clear();
    return plans_[unknown] = made;
  }

 private:
  std::mutex mutex_;
  std::map<std::vector<bool>, std::shared_ptr<const EliminationPlan>> plans_;
};

Elimination::Elimination(FactorModel model, StateSpace space)
    : space_(std::move(space)), impl_(std::make_unique<Impl>(model)) {}

Elimination::~Elimination() = default;

std::string Elimination::obstacle(double memory) const {
  constexpr double kGiB = 1 << 30;
  const auto cost = impl_->plan(impl_->free_values())->cost;
  // messages, and probabilities beside them
  const auto needed = 2 * sizeof(double) * cost.entries / kGiB;
  if (needed <= memory) return "";
  return fmt::format(
      "variable elimination has induced width {}{} here (min-fill order) and would need {:.3g} "
      "GiB{}, the limit is {:.3g} GiB",
      cost.complete ? "" : "at least ", cost.width, needed, cost.complete ? "" : " or more",
      memory);
}

Offer<Oracle> ByElimination::oracle(const FactorModel& model, const StateSpace& space) const {
  std::call_once(planned_, [&] {
    elimination_ = std::make_unique<Elimination>(model, space);
    obstacle_ = elimination_->obstacle(memory_);
  });
  if (!obstacle_.empty()) return Offer<Oracle>::none(obstacle_);
  return {elimination_.get()};
}

Tensor Elimination::compute_log_sum(const Tensor& partial) const {
  const auto rows = partial.contiguous();
  const auto B = rows.size(0), D = rows.size(1);
  auto result = torch::full({B}, kImpossible, torch::kDouble);
  const auto answer = [&](std::int64_t b, bool light_only) {
    std::vector<std::int64_t> values;
    if (!impl_->translate(rows.data_ptr<std::int64_t>() + b * D, values)) return true;
    const auto made = impl_->plan(values);
    if (light_only && made->cost.entries > kMaxLightEntries) return false;
    result.data_ptr<double>()[b] = Messages(impl_->model, *made, values).log_z();
    return true;
  };
  std::vector<char> done(std::size_t(B), B == 1 ? 0 : 1);
  if (B > 1)
    at::parallel_for(0, B, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto b = begin; b < end; ++b)
        done[std::size_t(b)] = answer(b, true);
    });
  for (std::int64_t b = 0; b < B; ++b)  // heavy ones: one at a time, on all threads
    if (!done[std::size_t(b)]) answer(b, false);
  return result;
}

Tensor Elimination::compute_single_marginals(const Tensor& partial) const {
  auto result = torch::zeros({space_.dimension(), space_.levels()}, torch::kDouble);
  const auto row = partial.contiguous();
  std::vector<std::int64_t> values;
  if (!impl_->translate(row.data_ptr<std::int64_t>(), values))
    throw Error(fmt::format("{}: has probability zero: a value of it is impossible", method()));
  auto p = result.accessor<double, 2>();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] != kUnknown) p[std::int64_t(i)][impl_->left[i][std::size_t(values[i])]] = 1.0;
  const auto made = impl_->plan(values);
  const Messages messages(impl_->model, *made, values);
  if (messages.log_z() == kImpossible)
    throw Error(fmt::format("{}: what is given has probability zero", method()));
  messages.marginals([&](std::int64_t i, std::int64_t k, double value) {
    p[i][impl_->left[std::size_t(i)][std::size_t(k)]] = value;
  });
  return result;
}

Tensor Elimination::compute_sample(const Tensor& partial, Stream& stream) const {
  auto x = partial.clone().contiguous();
  const auto B = x.size(0), D = x.size(1);
  const auto uniforms = torch::rand({B, D}, stream.generator(), torch::kDouble);
  std::map<std::vector<std::int64_t>, std::vector<std::int64_t>> rows_by_evidence;
  std::vector<std::int64_t> values;
  for (std::int64_t b = 0; b < B; ++b) {
    if (!impl_->translate(x.data_ptr<std::int64_t>() + b * D, values))
      throw Error(
          fmt::format("{}: row {} has probability zero: a value of it is impossible", method(), b));
    rows_by_evidence[values].push_back(b);
  }
  for (const auto& [known, rows] : rows_by_evidence) {
    const auto made = impl_->plan(known);
    const Messages messages(impl_->model, *made, known);
    if (messages.log_z() == kImpossible)
      throw Error(fmt::format("{}: row {} has probability zero", method(), rows[0]));
    at::parallel_for(0, std::int64_t(rows.size()), 16, [&](std::int64_t begin, std::int64_t end) {
      for (auto r = begin; r < end; ++r) {
        const auto b = rows[std::size_t(r)];
        auto* row = x.data_ptr<std::int64_t>() + b * D;
        std::ranges::copy(known, row);
        const auto* u = uniforms.data_ptr<double>() + b * D;
        messages.sample(row, [&] { return *u++; });
        for (std::int64_t i = 0; i < D; ++i)
          row[i] = impl_->left[std::size_t(i)][std::size_t(row[i])];
      }
    });
  }
  return x;
}

}  // namespace marginalia
