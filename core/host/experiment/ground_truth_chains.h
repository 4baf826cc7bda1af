#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include <marginalia/family.h>
#include <marginalia/registry.h>
#include <marginalia/spec.h>

#include "host/params/evaluation_params.h"

namespace marginalia {

/// States of chains, and what is known of them.
struct ReferenceSamples {
  Tensor states;  ///< int64 [C, N, D]: N successive states of each of C chains
  /// As in evaluation.json: "method", "chains", "draws", "split_r_hat", "autocorrelation_time" (in
  /// draws), "effective_samples", "energy_evaluations", "seconds", "family", "key", "cache"; and,
  /// where there are such, "never_moved" (variables) and "forbidden_states" (how many).
  Json about;
};

/// The reference samples of an energy: made when they are first asked for, and kept as
/// CACHE/reference/KEY.safetensors. The key is the SHA-256 of all that they depend on: the resolved
/// energy with the contents of its files, log f at 16 fixed states, the resolved family, the number
/// of samples, the seed, and the versions of the plugins.
class GroundTruthChains {
 public:
  /// `spec` and `resolved`: the whole experiment's. Throws SpecError where the family is named, or
  /// always to be used, and runs no chains.
  GroundTruthChains(const Spec& spec, const Json& resolved, const ReferenceParams& params,
                    const Registry& registry, std::shared_ptr<const Energy> energy);

  bool always() const { return params_.use == "always"; }
  /// The samples, or the reason why there are none; those of chains with variables that never
  /// moved, or in forbidden states, are none.
  Offer<ReferenceSamples> samples();
  /// What is known of the samples that were made, good or not; an empty object before.
  Json about() const { return samples_ ? samples_->about : Json::object(); }
  std::string key();  ///< 64 digits

 private:
  void build();
  std::string refusal();
  Json identity() const;
  ReferenceSamples run() const;
  std::optional<ReferenceSamples> kept(const std::string& identity, std::string& note) const;
  std::string keep(const ReferenceSamples& samples, const std::string& identity) const;
  std::int64_t draws() const;

  ReferenceParams params_;
  Json energy_spec_;  // files replaced by their contents' digests
  Registry registry_;
  std::shared_ptr<const Energy> energy_;
  DataPaths paths_;
  Json family_spec_;
  std::shared_ptr<Family> family_;
  std::optional<ReferenceSamples> samples_;
  std::optional<std::string> refusal_;
};

}  // namespace marginalia
