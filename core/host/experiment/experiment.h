#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <marginalia/family.h>
#include <marginalia/registry.h>
#include <marginalia/spec.h>

#include "ground_truth_chains.h"
#include "host/params/evaluation_params.h"
#include "host/params/training_params.h"
#include "prior.h"

namespace marginalia {

/// The device that "auto", "cpu", "cuda" or "cuda:N" names on this machine. Throws SpecError, at
/// `where`, for any other and for one that is not there.
at::Device device_named(const std::string& name, const std::string& where);

/// A spec with every default filled in, the seed drawn and "auto" precisions settled.
struct ResolvedSpec {
  Json resolved;           ///< what run.json records, and whoever builds it again reads
  Json precision;          ///< precision_record: what was asked for, what is used, and why
  std::uint64_t seed = 0;  ///< root of all random streams
  at::Device device = at::kCPU;
  TrainingParams training;
  EvaluationParams evaluation;  ///< with its metrics, built
};

/// What a spec asks for, built. They own nothing of each other.
struct Parts {
  std::shared_ptr<Dataset> dataset;   ///< null when the spec has none
  std::shared_ptr<Energy> energy;     ///< null when the spec has none
  std::shared_ptr<PriorParts> prior;  ///< null when the spec has none
  Networks networks;
  std::shared_ptr<Family> family;

  const StateSpace& space() const { return dataset ? dataset->space() : energy->space(); }
};

class Experiment : public ResolvedSpec, public Parts {
 public:
  /// Builds everything; all faults of the spec come in one SpecError. `device` overrides the
  /// spec's, `dataset` stands for it where there is one.
  Experiment(const Spec& spec, const Registry& registry, const std::string& device = "",
             std::shared_ptr<Dataset> dataset = nullptr);

  /// Validates without building: adds the faults. -> the resolved spec.
  static Json check(const Spec& spec, const Registry& registry, Faults& faults);
  /// The energy alone, all that `exact` needs.
  static std::shared_ptr<Energy> make_energy(const Spec& spec, const Registry& registry);

  std::shared_ptr<GroundTruthChains> reference;  ///< samples of the energy; null without one
};

}  // namespace marginalia
