#pragma once

#include <variant>

#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/family.h>
#include <marginalia/params.h>

/// Objectives of families that learn from data or from an energy: alternatives of "objective".
namespace marginalia::objectives {

struct ByData : NoParams {
  static constexpr const char* kName = "auto";
  static constexpr const char* kDoc = "likelihood where there is a dataset, else reinforce";
};
struct Likelihood : NoParams {
  static constexpr const char* kName = "likelihood";
  static constexpr const char* kDoc = "log-likelihood of a dataset";
};
struct Reinforce : NoParams {
  static constexpr const char* kName = "reinforce";
  static constexpr const char* kDoc = "reverse KL to an energy, by REINFORCE with the whole log p";
};

/// What is chosen, with "auto" settled. Throws SpecError where the spec lacks what it learns from:
/// a dataset for the likelihood, an energy for any other.
template <class Objective>
Objective settled(Objective chosen, const FamilyContext& context) {
  if (std::holds_alternative<ByData>(chosen)) {
    if (context.dataset)
      chosen = Likelihood{};
    else
      chosen = Reinforce{};
  }
  const bool by_likelihood = std::holds_alternative<Likelihood>(chosen);
  const bool can_learn = by_likelihood ? context.dataset != nullptr : context.energy != nullptr;
  if (can_learn) return chosen;
  const auto name = std::visit([](const auto& objective) { return objective.kName; }, chosen);
  throw SpecError(fmt::format("\"objective\": \"{}\" needs {}; the spec has none", name,
                              by_likelihood ? "a \"dataset\"" : "an \"energy\""));
}

}  // namespace marginalia::objectives
