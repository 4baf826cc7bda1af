#include <algorithm>
#include <mutex>
#include <random>

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/inference/conditioning.h>
#include <marginalia/precision.h>

#include "experiment.h"
#include "experiment_check.h"
#include "precision_record.h"
#include "upgrade.h"

namespace marginalia {

/// That of a spec in today's format. One whose constraints, evidence among them, leave no state is
/// refused.
static std::shared_ptr<Energy> possible_energy(const Spec& spec, const Registry& registry) {
  auto energy = registry.make<Energy>(spec.child("energy"));
  if (Support(*energy).is_empty()) refuse_all_forbidden(*energy);
  return energy;
}

std::shared_ptr<Energy> Experiment::make_energy(const Spec& given, const Registry& registry) {
  Faults faults;
  const auto spec = upgraded_or_fault(given, registry, faults);
  check_top(spec, faults);
  if (!spec.json().is_object()) faults.throw_if_any();
  if (spec.has("energy"))
    registry.check("energy", spec.child("energy"), faults);
  else
    faults.add(spec.where() + ": needs an \"energy\"");
  faults.throw_if_any();
  return possible_energy(spec, registry);
}

/// The heads that the family asks of a role; those of all roles for "".
static HeadSet collect_heads(const Description* family, const std::string& role) {
  if (!family) return kLogMarginal | kLogits;
  HeadSet heads = 0;
  for (const auto& [name, needed] : family->roles)
    if (role.empty() || role == name) heads |= needed;
  return heads;
}

/// Reads a spec: the sections that no component owns, and what is settled here.
static ResolvedSpec resolve(const Spec& spec, const Registry& registry,
                            const std::string& device_name) {
  Faults faults;
  ResolvedSpec made;
  made.resolved = Experiment::check(spec, registry, faults);
  faults.throw_if_any();
  auto& resolved = made.resolved;
  if (resolved["seed"].is_null()) resolved["seed"] = std::random_device()();
  made.seed = resolved["seed"].get<std::uint64_t>();
  made.device = device_named(
      device_name.empty() ? resolved["device"].get<std::string>() : device_name, spec.where());
  check_section(spec, "training", made.training, registry, true, faults);
  check_section(spec, "evaluation", made.evaluation, registry, true, faults);
  faults.throw_if_any();
  const auto asked = resolved;
  settle_precision(resolved, automatic_precision(made.device));
  made.precision = precision_record(asked, resolved, made.device);
  made.training.precision = resolved["training"]["precision"];
  made.evaluation.precision = resolved["evaluation"]["precision"];
  return made;
}

/// In which way dataset and energy are of different states.
static std::string describe_difference(const Dataset& dataset, const Energy& energy) {
  const auto &of_data = dataset.space().cardinalities, &of_energy = energy.space().cardinalities;
  if (of_data.size() != of_energy.size())
    return fmt::format("{} has {} variables, {} has {}", dataset.label(), of_data.size(),
                       energy.label(), of_energy.size());
  const auto [a, b] = std::ranges::mismatch(of_data, of_energy);
  return fmt::format(
      "variable {} has {} values in {} and {} in {}; a dataset in which not all of them occur is "
      "told how many there are, as a table by \"levels\" or \"cardinalities\"",
      a - of_data.begin(), *a, dataset.label(), *b, energy.label());
}

static void check_spaces(const Spec& spec, const Parts& parts) {
  const auto& dataset = parts.dataset;
  const auto& energy = parts.energy;
  if (!dataset || !energy || dataset->space().cardinalities == energy->space().cardinalities)
    return;
  throw SpecError(fmt::format("{}: dataset and energy must have one state space; {}", spec.where(),
                              describe_difference(*dataset, *energy)));
}

/// Builds networks and family; their initial parameters are those of the seed.
static void build_model(const Spec& spec, const Registry& registry, const ResolvedSpec& settled,
                        Parts& parts) {
  const Precision types{type_named(settled.training.precision),
                        type_named(settled.evaluation.precision)};
  // Initial parameters alone come from the global generator, which several experiments share.
  // A model of another's file may open a run of its own meanwhile.
  static std::recursive_mutex building;
  const std::lock_guard lock(building);
  torch::manual_seed(settled.seed);
  const auto* family = registry.find("family", spec.child("family").type());
  const auto add = [&](const std::string& role, const Spec& network) {
    const NetworkContext context{parts.space(), collect_heads(family, role), parts.energy.get(),
                                 parts.dataset.get(),
                                 parts.prior ? parts.prior->family.get() : nullptr};
    auto made = registry.make<Network>(network, context);
    set_precision(*made, types);
    made->to(settled.device);
    parts.networks.add(role, made);
  };
  if (spec.has("network")) {
    const auto network = spec.child("network");
    if (is_component(network))
      add("", network);
    else
      for (const auto& [role, _] : network.json().items())
        add(role, network.child(role));
  }
  const FamilyContext context{parts.space(),  parts.energy.get(), parts.dataset.get(),
                              parts.networks, settled.device,     types,
                              settled.seed};
  parts.family = registry.make<Family>(spec.child("family"), context);
}

Experiment::Experiment(const Spec& given, const Registry& registry, const std::string& device_name,
                       std::shared_ptr<Dataset> rows)
    : ResolvedSpec(resolve(given, registry, device_name)) {
  const auto spec = upgraded(given, registry);
  if (spec.has("dataset"))
    dataset = rows ? std::move(rows) : registry.make<Dataset>(spec.child("dataset"));
  if (spec.has("energy")) energy = possible_energy(spec, registry);
  check_spaces(spec, *this);
  if (energy)
    reference =
        std::make_shared<GroundTruthChains>(spec, resolved, evaluation.reference, registry, energy);
  if (spec.has("prior"))
    prior = build_prior(spec.with_document(resolved), registry, device_name, dataset);
  build_model(spec, registry, *this, *this);
}

}  // namespace marginalia
