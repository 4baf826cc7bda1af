#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/elimination.h>

#include "elimination_messages.h"
#include "elimination_plan.h"

namespace marginalia {

namespace {

using elimination::Messages;

constexpr double kImpossible = -std::numeric_limits<double>::infinity();
constexpr double kMaxLightEntries = 1 << 20;  // entries of a plan that may run once on each thread
constexpr std::size_t kPlansKept = 256;

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
      : left(supported_values(given)), model(restricted(given, left)), tables(model) {}

  /// Values that each variable may have, ascending; `model` is over the indices into them.
  const std::vector<std::vector<std::int64_t>> left;
  const FactorModel model;
  const elimination::Tables tables;

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

  /// What no order of the free variables has less of.
  std::int64_t least_width() const {
    std::vector<std::vector<std::int64_t>> scopes;
    for (const auto& factor : model.factors)
      scopes.push_back(factor.scope);
    return marginalia::least_width(left.size(), scopes, mark_unknown(free_values()));
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

  /// The log sum that marginals were last divided by, so that who asks for both pays once.
  void keep_log_sum(const std::vector<std::int64_t>& values, double log_sum) {
    const std::lock_guard lock(mutex_);
    last_ = {values, log_sum};
  }
  std::optional<double> kept_log_sum(const std::vector<std::int64_t>& values) {
    const std::lock_guard lock(mutex_);
    return last_.first == values ? std::optional(last_.second) : std::nullopt;
  }

 private:
  std::mutex mutex_;
  std::pair<std::vector<std::int64_t>, double> last_;
  std::map<std::vector<bool>, std::shared_ptr<const EliminationPlan>> plans_;
};

Elimination::Elimination(FactorModel model, StateSpace space)
    : space_(std::move(space)), impl_(std::make_unique<Impl>(model)) {}

Elimination::~Elimination() = default;

std::string Elimination::obstacle(double memory) const {
  constexpr double kGiB = 1 << 30;
  const auto plan = impl_->plan(impl_->free_values());
  const auto& cost = plan->cost;
  const auto needed = sizeof(double) * (cost.entries + plan->beside) / kGiB;
  if (needed <= memory) return "";
  const auto least = impl_->least_width();
  return fmt::format("variable elimination has induced width {}{} here (min-fill order; no order "
                     "has less than {}) "
                     "and would need {:.3g} GiB{}, the limit is {:.3g} GiB",
                     cost.complete ? "" : "at least ",
                     cost.complete ? cost.width : std::max(cost.width, least), least, needed,
                     cost.complete ? "" : " or more", memory);
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
    if (const auto known = impl_->kept_log_sum(values)) {
      result.data_ptr<double>()[b] = *known;
      return true;
    }
    result.data_ptr<double>()[b] =
        Messages(impl_->tables, *made, values, Messages::Keep::kNone).log_z();
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
  Messages messages(impl_->tables, *made, values, Messages::Keep::kAll);
  if (messages.log_z() == kImpossible)
    throw Error(fmt::format("{}: what is given has probability zero", method()));
  impl_->keep_log_sum(values, messages.log_z());
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
    const Messages messages(impl_->tables, *made, known, Messages::Keep::kAll);
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
