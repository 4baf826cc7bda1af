#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <tbb/parallel_for.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/precision.h>

#include "host/experiment/experiment.h"
#include "host/experiment/precision_record.h"
#include "read_study.h"
#include "records/runs/run_directory.h"
#include "records/study/study.h"
#include "study_manifest.h"
#include "study_rows.h"

namespace marginalia {

namespace fs = std::filesystem;
using study::Changes;

namespace {

constexpr std::int64_t kNoLimit = 1'000'000'000;  // steps, where a budget of another kind ends it

/// What ends the training of every experiment: "budget" of a manifest.
struct StudyBudget : BudgetParams {
  std::int64_t steps = 0;
  void visit(ParamVisitor& p) {
    p("steps", steps, {.doc = "optimisation steps; 0: no limit", .min = 0});
    BudgetParams::visit(p);
  }
  bool names_none() const {
    return steps == 0 && seconds == 0 && energy_evaluations == 0 && passes == 0;
  }
};

bool sets_steps(const Changes& changes) {
  const auto training = changes.find("training");
  const bool inside =
      training != changes.end() && training->is_object() && training->contains("steps");
  return inside || changes.contains("training.steps");
}

/// Puts the budget into "training": its limits in place of those of the spec. Steps that the study
/// itself sets, in a variant, say, hold; those of the base do not.
void apply_budget(Json& spec, bool steps_are_set, const std::string& where, Faults& faults) {
  if (!spec.contains("budget")) return;
  const Json given = spec["budget"];
  spec.erase("budget");
  StudyBudget budget;
  const auto visit = [&](ParamVisitor& p) { budget.visit(p); };
  Spec::from_text(given.dump(), where + ": /budget").read("budget", visit, nullptr, false, faults);
  if (budget.names_none())
    faults.add(where + ": /budget: names no limit; give steps, seconds, energy_evaluations or "
                       "passes, or leave it out");
  auto& training = spec["training"];
  if (training.is_null()) training = Json::object();
  if (!training.is_object()) return;  // a fault that the check of the spec finds
  training["budget"] = {{"seconds", budget.seconds},
                        {"energy_evaluations", budget.energy_evaluations},
                        {"passes", budget.passes}};
  if (!steps_are_set) training["steps"] = budget.steps > 0 ? budget.steps : kNoLimit;
}

/// A draft's resolved spec, or all its faults.
struct Resolved {
  Json spec;
  std::string faults;
};

/// Makes the changes and checks what comes of them.
Resolved resolve(const study::Draft& draft, const std::string& where, const Registry& registry) {
  Resolved result;
  try {
    Faults faults;
    auto spec = Spec::from_text(draft.base->spec.dump(), where, draft.base->paths);
    bool steps_are_set = false;
    for (const auto& changes : draft.changes) {
      try {
        spec = spec.with(study::to_settings(changes));
      } catch (const SpecError& e) {
        throw SpecError(fmt::format("{}: {}", where, e.what()));
      }
      steps_are_set = steps_are_set || sets_steps(changes);
    }
    auto json = spec.json();
    apply_budget(json, steps_are_set, where, faults);
    spec = Spec::from_text(json.dump(), where, draft.base->paths);
    result.spec = Experiment::check(spec, registry, faults);
    if (result.spec.value("seed", Json()).is_null())
      faults.add(where + ": /: needs a \"seed\" in the base, or \"seeds\" of the study: "
                         "experiments are compared seed by seed");
    faults.throw_if_any();
  } catch (const SpecError& e) {
    result.faults = e.what();
  }
  return result;
}

/// Adds each fault once, however many experiments have it.
void gather(const std::vector<study::Draft>& drafts, const std::vector<Resolved>& resolved,
            Faults& faults) {
  std::map<std::string, std::size_t> place;
  std::vector<std::pair<std::string, std::vector<std::string>>> all;  // text, experiments
  for (std::size_t i = 0; i < drafts.size(); ++i) {
    if (resolved[i].faults.empty()) continue;
    const auto [at, is_new] = place.emplace(resolved[i].faults, all.size());
    if (is_new) all.emplace_back(resolved[i].faults, std::vector<std::string>{});
    all[at->second].second.push_back(drafts[i].name);
  }
  for (const auto& [text, names] : all)
    faults.add(names.size() == 1
                   ? fmt::format("{}\n  in {}", text, names[0])
                   : fmt::format("{}\n  in {} and {} more", text, names[0], names.size() - 1));
}

std::set<std::string> list_devices(const std::vector<Resolved>& resolved) {
  std::set<std::string> devices;
  for (const auto& one : resolved)
    devices.insert(one.spec.at("device").get<std::string>());
  return devices;
}

void check_twins(const Study& study, const std::string& where, Faults& faults) {
  std::map<std::string, std::string> first;
  for (const auto& e : study.experiments)
    if (const auto [twin, is_new] = first.emplace(e.hash, e.name); !is_new)
      faults.add(fmt::format("{}: /: {} and {} are one experiment: their resolved specs are the "
                             "same; leave one out",
                             where, twin->second, e.name));
}

}  // namespace

Study read_study(const fs::path& file, const fs::path& data, const Registry& registry,
                 std::int64_t most, const ChoosePrecision& choose) {
  Faults faults;
  const study::Manifest manifest(Spec::from_file(file, data), file, faults);
  Study study{file.stem().string(),           file, manifest.json(),
              read_compare(manifest, faults), {},   "auto"};
  faults.throw_if_any();  // what follows would repeat these for every experiment
  manifest.check_count(double(most));
  const auto drafts = manifest.drafts();
  std::vector<Resolved> resolved(drafts.size());
  tbb::parallel_for(std::size_t{0}, drafts.size(), [&](std::size_t i) {
    resolved[i] = resolve(drafts[i], manifest.where(), registry);
  });
  gather(drafts, resolved, faults);
  faults.throw_if_any();
  if (choose) study.precision = choose(list_devices(resolved));
  for (auto& one : resolved)
    settle_precision(one.spec, study.precision);
  for (std::size_t i = 0; i < drafts.size(); ++i)
    study.experiments.push_back({drafts[i].name, drafts[i].variant, drafts[i].settings, "",
                                 Json::object(), resolved[i].spec, spec_hash(resolved[i].spec)});
  check_twins(study, manifest.where(), faults);
  name_rows(study, manifest, faults);
  check_compare(study, manifest, faults);
  faults.throw_if_any();
  return study;
}

}  // namespace marginalia
