/// \file
/// What is wrong with a spec, before anything of it is built.
#include "experiment_check.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/cuda.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>

#include "experiment.h"
#include "prior.h"
#include "sdk/base/text.h"
#include "upgrade.h"

namespace marginalia {
namespace {

const std::vector<std::string> kKeys{"marginalia", "note",     "seed",      "device",
                                     "dataset",    "energy",   "prior",     "network",
                                     "family",     "training", "evaluation"};

/// What a key may stand for that is none of a spec's: one of a section's, without its name, or one
/// that is near; "" where nothing is.
std::string meant_by(const std::string& key, const Json& spec) {
  for (const auto& [section, content] : spec.items())
    if (std::ranges::count(kKeys, section) && content.is_object() && content.contains(key))
      return section + "." + key;
  return nearest(key, kKeys);
}

/// The root of all random streams; nothing where the value is none.
std::optional<std::uint64_t> seed_in(const Json& value) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  const auto whole = whole_number(value);
  return whole && *whole >= 0 ? std::optional(std::uint64_t(*whole)) : std::nullopt;
}

}  // namespace

void check_top(const Spec& spec, Faults& faults) {
  const auto& json = spec.json();
  if (!json.is_object()) return faults.add(spec.where() + ": a spec is a JSON object");
  if (json.contains("marginalia_study"))
    return faults.add(spec.where() + ": is a study; run it with marginalia study");
  for (const auto& [key, _] : json.items()) {
    if (std::ranges::count(kKeys, key)) continue;
    const auto guess = meant_by(key, json);
    faults.add(fmt::format("{}: \"{}\" is not a key of a spec{}\n  it takes: {}", spec.where(), key,
                           guess.empty() ? "" : fmt::format("; did you mean \"{}\"?", guess),
                           fmt::join(kKeys, ", ")));
  }
  if (!json.contains("marginalia"))
    faults.add(fmt::format("{}: needs \"marginalia\": {}, the version of the format", spec.where(),
                           kSpecFormat));
  else if (json.at("marginalia") != kSpecFormat)
    faults.add(fmt::format("{}: \"marginalia\" must be {}, or 1, not {}", spec.where(), kSpecFormat,
                           json.at("marginalia").dump()));
  if (spec.has("seed") && !seed_in(json.at("seed")))
    faults.add(fmt::format("{}: \"seed\" must be an integer >= 0, not {}", spec.where(),
                           json.at("seed").dump()));
  for (const auto* key : {"note", "device"})
    if (json.contains(key) && !json.at(key).is_string())
      faults.add(fmt::format("{}: \"{}\" must be a string", spec.where(), key));
}

namespace {

/// `network` is one component, or an object of them by role.
Json check_networks(const Spec& spec, const Registry& registry, const Description* family,
                    Faults& faults) {
  const auto network = spec.child("network");
  if (is_component(network)) return registry.check("network", network, faults);
  Json resolved = Json::object();
  std::vector<std::string> roles;
  if (family)
    for (const auto& [role, _] : family->roles)
      roles.push_back(role);
  for (const auto& [role, _] : network.json().items()) {
    if (family && !std::ranges::count(roles, role))
      faults.add(fmt::format("{}: {}", network.where(), unknown_name("role", role, roles)));
    if (network.has(role)) resolved[role] = registry.check("network", network.child(role), faults);
  }
  return resolved;
}

bool is_device(const std::string& name) {
  if (name == "auto" || name == "cpu" || name == "cuda") return true;
  const bool numbered = name.starts_with("cuda:") && name.size() > 5;
  return numbered &&
         std::ranges::all_of(name.substr(5), [](char c) { return '0' <= c && c <= '9'; });
}

std::string no_device(const std::string& name, const std::string& where) {
  return fmt::format("{}: \"device\" must be auto, cpu, cuda or cuda:N, not \"{}\"", where, name);
}

/// Parameters of float64 would lose what they know in answers of less.
void check_precision(const Spec& spec, const TrainingParams& training,
                     const EvaluationParams& evaluation, Faults& faults) {
  const auto& answers = evaluation.precision;
  if (training.precision == "float64" && answers != "auto" && answers != "float64")
    faults.add(fmt::format("{}: \"evaluation.precision\" must be auto or float64 where "
                           "\"training.precision\" is float64, not {}",
                           spec.where(), answers));
}

/// What is said of evaluations in training must be of some that are made.
void check_selection(const Spec& spec, const TrainingParams& training,
                     const EvaluationParams& evaluation, const Json& during, Faults& faults) {
  const auto& wanted = evaluation.select.metric;
  if (training.early_stopping.patience > 0 && wanted.empty())
    faults.add(spec.where() + ": \"training.early_stopping\" needs \"evaluation.select\": what is "
                              "to get better");
  if (wanted.empty()) return;
  if (evaluation.every_steps == 0 && training.steps > 0)
    faults.add(spec.where() + ": \"evaluation.select\" needs \"evaluation.every_steps\"");
  const auto metric = wanted.substr(0, wanted.find('/'));
  for (const auto& measured : during)
    if ((measured.is_object() ? measured.value("type", Json()) : measured) == metric) return;
  faults.add(fmt::format("{}: \"evaluation.select\": \"{}\" is not in \"evaluation.during\"",
                         spec.where(), metric));
}

void check_device(const Spec& spec, Faults& faults) {
  if (!spec.has("device") || !spec.child("device").json().is_string()) return;
  const auto name = spec.child("device").json().get<std::string>();
  if (!is_device(name)) faults.add(no_device(name, spec.where()));
}

/// The family that the spec names; null where it names none that there is.
const Description* find_family(const Spec& spec, const Registry& registry) {
  if (!spec.has("family")) return nullptr;
  const auto family = spec.child("family");
  if (!family.json().is_object() || !family.has("type")) return nullptr;
  return registry.find("family", family.type());
}

void check_components(const Spec& spec, const Registry& registry, Json& resolved, Faults& faults) {
  if (!spec.has("dataset") && !spec.has("energy"))
    faults.add(spec.where() + ": needs an \"energy\" or a \"dataset\"");
  if (!spec.has("family")) faults.add(spec.where() + ": needs a \"family\"");
  const auto* family = find_family(spec, registry);
  for (const std::string kind : {"dataset", "energy"})
    if (spec.has(kind)) resolved[kind] = registry.check(kind, spec.child(kind), faults);
  if (spec.has("prior")) resolved["prior"] = check_prior(spec, registry, faults);
  if (spec.has("network")) resolved["network"] = check_networks(spec, registry, family, faults);
  if (spec.has("family"))
    resolved["family"] = registry.check("family", spec.child("family"), faults);
}

/// The sections that no component owns, and what they need of the rest.
void check_sections(const Spec& spec, const Registry& registry, Json& resolved, Faults& faults) {
  TrainingParams training;
  EvaluationParams evaluation;
  resolved["training"] = check_section(spec, "training", training, registry, false, faults);
  resolved["evaluation"] = check_section(spec, "evaluation", evaluation, registry, false, faults);
  check_selection(spec, training, evaluation, resolved["evaluation"].value("during", Json::array()),
                  faults);
  check_precision(spec, training, evaluation, faults);
  if (spec.has("energy")) return;
  if (training.anneal.from != 1)
    faults.add(spec.where() + ": \"training.anneal\" needs an \"energy\"");
  if (evaluation.reference.use == "always")
    faults.add(spec.where() + ": \"evaluation.reference\" needs an \"energy\"");
}

}  // namespace

bool is_component(const Spec& spec) {
  return !spec.json().is_object() || spec.has("type");
}

at::Device device_named(const std::string& name, const std::string& where) {
  if (!is_device(name)) throw SpecError(no_device(name, where));
  if (name == "auto") return torch::cuda::is_available() ? at::Device("cuda") : at::Device("cpu");
  const at::Device device(name);
  if (device.is_cuda() && !torch::cuda::is_available())
    throw SpecError(fmt::format("{}: device \"{}\": this LibTorch sees no CUDA device; use cpu or "
                                "auto, and see marginalia doctor",
                                where, name));
  return device;
}

Spec upgraded_or_fault(const Spec& given, const Registry& registry, Faults& faults) {
  try {
    return upgraded(given, registry);
  } catch (const SpecError& e) {
    faults.add(e.what());
    return given;
  }
}

Json Experiment::check(const Spec& given, const Registry& registry, Faults& faults) {
  const auto spec = upgraded_or_fault(given, registry, faults);
  check_top(spec, faults);
  Json resolved{{"marginalia", kSpecFormat}};
  if (!spec.json().is_object()) return resolved;
  if (spec.has("note")) resolved["note"] = spec.child("note").json();
  resolved["seed"] = spec.has("seed") ? spec.child("seed").json() : Json();
  if (const auto seed = seed_in(resolved["seed"])) resolved["seed"] = *seed;
  resolved["device"] = spec.has("device") ? spec.child("device").json() : Json("auto");
  check_device(spec, faults);
  check_components(spec, registry, resolved, faults);
  check_sections(spec, registry, resolved, faults);
  return resolved;
}

}  // namespace marginalia
