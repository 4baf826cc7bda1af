/// \file
/// What a reader of a comparison must know of its runs.
#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "comparison_parts.h"

namespace marginalia::comparison {
namespace {

/// The largest share of its budget that a run used; 1 where it has none.
double used(const Json& budget, const Costs& costs) {
  const auto seconds = budget.value("seconds", 0.0);
  const auto evaluations = budget.value("energy_evaluations", 0.0);
  const auto passes = budget.value("passes", 0.0);
  double share = seconds + evaluations + passes > 0 ? 0 : 1;
  if (seconds > 0) share = std::max(share, costs.seconds / seconds);
  if (evaluations > 0) share = std::max(share, costs.energy_evaluations / evaluations);
  if (passes > 0) share = std::max(share, costs.passes / passes);
  return share;
}

void note_standing(const std::vector<Experiment>& experiments, std::vector<std::string>& notes) {
  std::vector<std::string> absent, running;
  for (const auto& e : experiments) {
    const bool failed_at_once = e.state == RunState::kAbsent && !e.reason.empty();
    if (failed_at_once) notes.push_back(fmt::format("{} was not begun ({})", e.name, e.reason));
    if (e.state == RunState::kAbsent && !failed_at_once) absent.push_back(e.name);
    if (e.state == RunState::kRunning) running.push_back(e.name);
    if (e.state == RunState::kUnfinished)
      notes.push_back(fmt::format("{} is not finished ({})", e.name, e.reason));
    if (e.state == RunState::kAltered)
      notes.push_back(fmt::format("{} is left out: {}", e.name, e.reason));
  }
  if (!absent.empty()) notes.push_back("not run: " + some(absent));
  if (!running.empty()) notes.push_back("still running: " + some(running));
}

/// Rows that stopped by themselves before what the study allows was spent.
void note_budgets(const Study& study, const std::vector<Experiment>& experiments,
                  std::vector<std::string>& notes) {
  std::map<std::string, double> least;  // by row
  for (std::size_t i = 0; i < experiments.size(); ++i) {
    if (!experiments[i].is_finished()) continue;
    const auto& budget = study.experiments[i].spec.at("training").at("budget");
    const auto share = used(budget, experiments[i].costs);
    auto [at, _] = least.emplace(experiments[i].row, share);
    at->second = std::min(at->second, share);
  }
  for (const auto& [row, share] : least)
    if (share < 0.99)
      notes.push_back(fmt::format("{} ended by its steps or by early stopping, at {:.2g} % of its "
                                  "budget",
                                  row, 100 * share));
}

void note_circumstances(const std::vector<Experiment>& experiments,
                        std::vector<std::string>& notes) {
  for (const std::string key : kCircumstances) {
    std::vector<std::string> values;
    for (const auto& e : experiments)
      if (const auto value = e.circumstances.contains(key) ? e.circumstances.at(key).dump() : "";
          !value.empty() && !std::ranges::count(values, value))
        values.push_back(value);
    const bool slows = key != "version" && key != "commit";
    if (values.size() > 1)
      notes.push_back(fmt::format("runs differ in {}: {}{}", key, some(values),
                                  slows ? "; their seconds do not compare" : ""));
  }
}

}  // namespace

void add_notes(std::vector<std::string>& notes, const Study& study,
               const std::vector<Experiment>& experiments) {
  note_standing(experiments, notes);
  note_budgets(study, experiments, notes);
  note_circumstances(experiments, notes);
}

}  // namespace marginalia::comparison
