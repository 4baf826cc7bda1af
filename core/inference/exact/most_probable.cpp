#include <algorithm>
#include <cmath>
#include <ctime>
#include <limits>
#include <utility>

#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/conditioning.h>
#include <marginalia/inference/most_probable.h>
#include <marginalia/state_space.h>

#include "elimination_max.h"
#include "state_search.h"

namespace marginalia {
namespace {

using elimination::SearchedState;

constexpr double kLight = 1 << 22;   // entries of messages that need no better order, and no search
constexpr double kTooHeavy = 1e12;   // entries of a quick order past which no other is looked for
constexpr double kOfProduct = 4e-9;  // seconds of elimination, about

double processor_seconds() {
  return double(std::clock()) / CLOCKS_PER_SEC;
}

/// What is left of a density once known variables, and those with one possible value, are put in.
class Reduced {
 public:
  /// values: [D], kUnknown for what is open. Throws ImpossibleGiven(0).
  Reduced(const FactorModel& model, const std::int64_t* values)
      : known_(conditioned(model, values)) {
    const auto any_empty = [](const auto& list) {
      return std::ranges::any_of(list, [](const auto& of) { return of.empty(); });
    };
    possible_ = supported_values(known_.model);
    if (known_.constant == -INFINITY || any_empty(possible_)) throw ImpossibleGiven(0);
    std::vector<std::int64_t> single;
    for (const auto& of : possible_)
      single.push_back(of.size() == 1 ? 0 : kUnknown);
    open_ = conditioned(restricted(known_.model, possible_), single.data());
  }

  const FactorModel& model() const { return open_.model; }
  double constant() const { return known_.constant + open_.constant; }  ///< nats, beside `model`
  /// Puts a state of `model` into a whole state [D], and what had one value alone.
  void complete(const std::vector<std::int64_t>& of, std::int64_t* x) const {
    std::vector<std::int64_t> place(possible_.size(), 0);
    for (std::size_t j = 0; j < of.size(); ++j)
      place[std::size_t(open_.variables[j])] = of[j];
    for (std::size_t i = 0; i < place.size(); ++i)
      x[known_.variables[i]] = possible_[i][std::size_t(place[i])];
  }

 private:
  Conditioned known_, open_;
  std::vector<std::vector<std::int64_t>> possible_;
};

/// A connected component by itself, and which variables of the whole it has.
struct Part {
  std::vector<std::int64_t> variables;
  FactorModel model;
};

std::vector<Part> split(const FactorModel& model) {
  const auto component = find_components(find_neighbours(model));
  std::vector<Part> parts;
  std::vector<std::int64_t> place(component.size());
  for (std::size_t i = 0; i < component.size(); ++i) {
    const auto c = std::size_t(component[i]);
    if (c >= parts.size()) parts.resize(c + 1);
    place[i] = std::int64_t(parts[c].variables.size());
    parts[c].variables.push_back(std::int64_t(i));
    parts[c].model.cardinalities.push_back(model.cardinalities[i]);
  }
  for (auto factor : model.factors) {
    if (factor.scope.empty()) continue;
    auto& part = parts[std::size_t(component[std::size_t(factor.scope[0])])];
    for (auto& i : factor.scope)
      i = place[std::size_t(i)];
    part.model.factors.push_back(std::move(factor));
  }
  return parts;
}

/// What elimination by a quick order costs; not complete past `most` entries.
EliminationCost quick_cost(const FactorModel& model, double most) {
  std::vector<std::vector<std::int64_t>> scopes;
  for (const auto& factor : model.factors)
    scopes.push_back(factor.scope);
  return greedy_cost(model.cardinalities, scopes, most);
}

/// Of a search before elimination of this cost: a share of what that takes, and no end where it is
/// out of the question.
double search_seconds(const EliminationCost& cost) {
  constexpr double kShare = 0.5, kLeast = 1, kMost = 5;
  if (!cost.complete) return INFINITY;
  return std::clamp(kShare * kOfProduct * cost.products, kLeast, kMost);
}

SearchedState by_elimination(const FactorModel& model, const EliminationPlan& plan) {
  SearchedState result{std::vector<std::int64_t>(model.cardinalities.size()), 0, 0};
  elimination::Maxima(model, plan, {}).complete(result.x.data());
  result.upper = result.log_density = elimination::log_density(model, result.x);
  return result;
}

}  // namespace

/// The model, and the most probable states of its components.
class MostProbableStates::Impl {
 public:
  Impl(FactorModel of, const MostProbableSettings& how) : model(std::move(of)), settings(how) {}

  const FactorModel model;
  const MostProbableSettings settings;

  /// searched: becomes true where a search found it.
  SearchedState solve(const FactorModel& part, const std::function<double()>& left,
                      bool& searched) const {
    const auto plan = [&] {
      return elimination_plan(part, std::vector<bool>(part.cardinalities.size(), true));
    };
    if (quick_cost(part, std::min(kLight, most())).complete) return by_elimination(part, plan());
    const auto cost = quick_cost(part, kTooHeavy);
    auto limit = processor_seconds() + search_seconds(cost);
    const std::function<double()> allowed = [&] {
      return std::min(left(), limit - processor_seconds());
    };
    elimination::StateSearch search(part, allowed);
    search.run(settings.memory);
    if (!search.proved() && cost.complete) {
      if (const auto made = plan(); made.cost.complete && made.cost.entries <= most())
        return by_elimination(part, made);
      limit = INFINITY;
      search.run(settings.memory);
    }
    searched = true;
    return search.result();
  }

 private:
  /// Entries of messages that fit into the memory.
  double most() const {
    constexpr double kGiB = 1 << 30;
    return settings.memory * kGiB / sizeof(double);
  }
};

MostProbableStates::MostProbableStates(FactorModel model, const MostProbableSettings& settings)
    : impl_(std::make_unique<Impl>(std::move(model), settings)) {}

MostProbableStates::~MostProbableStates() = default;

MostProbable MostProbableStates::operator()(const Tensor& partial) const {
  auto state = partial.clone().contiguous();
  auto* x = state.data_ptr<std::int64_t>();
  const Reduced reduced(impl_->model, x);
  const auto until = processor_seconds() + impl_->settings.seconds;
  const std::function<double()> left = [until] { return until - processor_seconds(); };
  std::vector<std::int64_t> whole(reduced.model().cardinalities.size());
  bool searched = false, proved = true;
  auto upper = reduced.constant();
  for (const auto& part : split(reduced.model())) {
    const auto found = impl_->solve(part.model, left, searched);
    if (found.log_density == -INFINITY && found.upper == -INFINITY) throw ImpossibleGiven(0);
    upper += found.upper;
    proved = proved && found.upper == found.log_density;
    for (std::size_t j = 0; j < part.variables.size(); ++j)
      whole[std::size_t(part.variables[j])] = found.x[j];
  }
  reduced.complete(whole, x);
  const auto log_density =
      elimination::log_density(impl_->model, {x, x + impl_->model.cardinalities.size()});
  return {state, log_density, proved ? log_density : upper,
          !searched ? "max-sum elimination"
          : proved  ? "branch and bound"
                    : "search"};
}

}  // namespace marginalia
