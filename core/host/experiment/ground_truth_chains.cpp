#include <chrono>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/chains.h>
#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/inference/chain_moves.h>
#include <marginalia/inference/masking.h>

#include "energy_identity.h"
#include "ground_truth_chains.h"
#include "host/formats/safetensors.h"

#include "sdk/base/clock.h"

namespace marginalia {
namespace {

namespace fs = std::filesystem;

constexpr int kReferenceFormat = 2;  // raised when the same parameters give other states
constexpr double kMaxEvaluationsByDefault =
    1e9;                                 // energy evaluations that are made without being asked for
constexpr std::int64_t kRows = 1 << 14;  // scored at once

/// The name of the file of an identity, below the cache directory.
fs::path name_file(const std::string& identity) {
  return fs::path("reference") / (sha256_hex(identity) + ".safetensors");
}

/// Why samples stand for no truth; empty where they do.
std::string flaw(const Json& about) {
  if (about.contains("never_moved"))
    return never_moved_text(about.at("never_moved").get<std::vector<std::int64_t>>());
  if (about.contains("forbidden_states"))
    return fmt::format("{} states of its chains are forbidden: they never came to an allowed one",
                       about.at("forbidden_states").get<std::int64_t>());
  return "";
}

Tensor evaluate_log_density(const Energy& energy, const Tensor& states) {
  std::vector<Tensor> parts;
  for (const auto& rows : states.split(kRows))
    parts.push_back(energy.log_density(rows));
  return torch::cat(parts);
}

/// What can be said of any chain of states: how log f and the mean value move.
Json diagnostics(const Energy& energy, const ChainDraws& drawn) {
  const auto& states = drawn.states;
  const auto C = states.size(0), N = states.size(1);
  const auto log_f = evaluate_log_density(energy, states.flatten(0, 1)).view({C, N});
  const std::pair<const char*, Tensor> watched[] = {
      {"log_density", log_f}, {"mean_value", states.to(torch::kDouble).mean(2)}};
  Json result{{"chains", C}, {"draws", N}};
  double longest = 0.5;
  for (const auto& [name, draws] : watched) {
    const auto time = autocorrelation_time(draws);
    result["split_r_hat"][name] = json_number(split_r_hat(draws));
    result["autocorrelation_time"][name] = json_number(time);
    longest = std::max(longest, time);
  }
  result["effective_samples"] = double(C * N) / (2 * longest);
  if (!drawn.never_moved.empty()) result["never_moved"] = drawn.never_moved;
  if (const auto count = (log_f == -INFINITY).sum().item<std::int64_t>(); count > 0)
    result["forbidden_states"] = count;
  if (!flaw(result).empty()) result["effective_samples"] = 0.0;
  return result;
}

/// The families that declare how they run chains of any energy (kReferenceChains), and that.
std::vector<std::pair<std::string, Json>> reference_families(const Registry& registry) {
  std::vector<std::pair<std::string, Json>> all;
  for (const auto& [name, entry] : registry.all<Family>()) {
    if (entry.description.reference_chains.empty()) continue;
    Json spec{{"type", name}};
    spec.update(Json::parse(entry.description.reference_chains));
    all.emplace_back(name, std::move(spec));
  }
  return all;
}

std::string join_names(const std::vector<std::pair<std::string, Json>>& families) {
  std::vector<std::string> names;
  for (const auto& [name, _] : families)
    names.push_back(name);
  return names.empty() ? "none is loaded that does" : fmt::format("{}", fmt::join(names, " or "));
}

/// The family whose chains stand for exact samples where the spec names none.
Spec offered_chains(const Registry& registry) {
  constexpr auto kWhere = "evaluation.reference.family";
  const auto families = reference_families(registry);
  if (families.size() != 1)
    throw SpecError(families.empty()
                        ? fmt::format("{}: no loaded family offers reference chains", kWhere)
                        : fmt::format("{}: several families offer reference chains; name one: {}",
                                      kWhere, join_names(families)));
  return Spec::from_text(families.front().second.dump(), kWhere);
}

}  // namespace

GroundTruthChains::GroundTruthChains(const Spec& spec, const Json& resolved,
                                     const ReferenceParams& params, const Registry& registry,
                                     std::shared_ptr<const Energy> energy)
    : params_(params),
      energy_spec_(resolved.at("energy")),
      registry_(registry),
      energy_(std::move(energy)),
      paths_(spec.paths()) {
  if (params.family.spec || always()) build();
}

void GroundTruthChains::build() {
  const auto spec = params_.family.spec ? *params_.family.spec : offered_chains(registry_);
  Faults faults;
  family_spec_ = registry_.check("family", spec, faults);
  faults.throw_if_any();
  const FamilyContext context{energy_->space(), energy_.get(), nullptr, {}, at::kCPU};
  family_ = registry_.make<Family>(spec, context);
  if (const auto chains = family_->chains(); !chains)
    throw SpecError(fmt::format("evaluation.reference: {}: {}; take {}", family_->label(),
                                chains.reason, join_names(reference_families(registry_))));
}

/// Why no chains are run; empty where they are. Builds the family where that is not done yet.
std::string GroundTruthChains::refusal() {
  if (params_.use == "never") return "evaluation.reference.use is \"never\"";
  const bool cheap = energy_->local() || energy_->factors();
  if (!always() && !cheap)
    return "the energy has neither factors nor local conditionals, so that chains are run only "
           "where evaluation.reference.use is \"always\"";
  if (!family_) {
    try {
      build();
    } catch (const SpecError& e) {
      return e.what();
    }
  }
  const auto cost = double(family_->chains()->evaluations(draws()));
  if (always() || cost <= kMaxEvaluationsByDefault) return "";
  return fmt::format("its chains would take {:.1e} energy evaluations, which are made only where "
                     "evaluation.reference.use is \"always\"",
                     cost);
}

Offer<ReferenceSamples> GroundTruthChains::samples() {
  if (!refusal_) refusal_ = refusal();
  if (!refusal_->empty()) return Offer<ReferenceSamples>::none(*refusal_);
  if (!samples_) {
    const auto description = identity().dump();
    std::string note = "made";
    if (auto found = kept(description, note)) {
      samples_ = std::move(found);
    } else {
      auto fresh = run();
      const auto state = keep(fresh, description);
      fresh.about["cache"] = note + "; " + state;
      samples_ = std::move(fresh);
    }
    samples_->about["key"] = sha256_hex(description);
  }
  if (const auto why = flaw(samples_->about); !why.empty())
    return Offer<ReferenceSamples>::none("the reference chains are no truth: " + why);
  return {&*samples_};
}

std::string GroundTruthChains::key() {
  if (!family_) build();
  return sha256_hex(identity().dump());
}

std::int64_t GroundTruthChains::draws() const {
  const auto chains = family_->chains()->count();
  return (params_.samples + chains - 1) / chains;
}

Json GroundTruthChains::identity() const {
  auto identity = compute_identity(*energy_, energy_spec_, paths_, registry_);
  if (const auto* d = registry_.find("family", family_spec_.at("type").get<std::string>()))
    identity["plugins"][d->plugin] = d->version;
  identity.update({{"format", kReferenceFormat},
                   {"family", family_spec_},
                   {"samples", params_.samples},
                   {"seed", params_.seed}});
  return identity;
}

ReferenceSamples GroundTruthChains::run() const {
  const auto start = Clock::now();
  const auto chains = family_->chains();
  Stream stream(std::uint64_t(params_.seed), "reference");
  auto drawn = chains->draw(draws(), stream);
  ReferenceSamples made{drawn.states, {{"method", chains->method()}}};
  made.about.update(diagnostics(*energy_, drawn));
  made.about["energy_evaluations"] = chains->evaluations(draws());
  made.about["seconds"] = seconds_since(start);
  made.about["family"] = family_spec_;
  return made;
}

/// What the cache has under this identity; `note` says what was wrong with a file that is there.
std::optional<ReferenceSamples> GroundTruthChains::kept(const std::string& identity,
                                                        std::string& note) const {
  const auto file = name_file(identity);
  if (paths_.cache.empty() || !fs::exists(paths_.cache / file)) return {};
  try {
    const auto content = read_safetensors(paths_.cache / file);
    if (content.metadata.at("identity") != identity) throw Error("made for something else");
    auto about = Json::parse(content.metadata.at("about"));
    about["cache"] = "read from " + file.string();
    return ReferenceSamples{content.tensors.at("states").to(torch::kLong), std::move(about)};
  } catch (const std::exception& e) {
    note = fmt::format("made anew, as the file in the cache was refused ({})", describe_error(e));
    return {};
  }
}

/// Writes them to the cache.  -> how that went: a run does not fail for it.
std::string GroundTruthChains::keep(const ReferenceSamples& samples,
                                    const std::string& identity) const {
  if (paths_.cache.empty()) return "not kept, there is no cache directory";
  const auto file = name_file(identity), target = paths_.cache / file;
  try {
    fs::create_directories(target.parent_path());
    const bool small = energy_->space().levels() <= 256;
    write_safetensors(target, {{{"states", samples.states.to(small ? torch::kByte : torch::kLong)}},
                               {{"identity", identity}, {"about", samples.about.dump()}}});
    return "kept as " + file.string();
  } catch (const std::exception& e) {
    return fmt::format("not kept: {}", describe_error(e));
  }
}

}  // namespace marginalia
