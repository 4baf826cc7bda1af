#pragma once

#include <memory>

#include <marginalia/family.h>

#include "absorbing.h"
#include "params.h"
#include "paths.h"
#include "shared/families/role_network.h"

namespace marginalia::masked_diffusion {

/// What every objective is given of the family; its parts outlive the objective.
struct Model {
  const StateSpace& space;
  const RoleNetwork& network;
  Schedule schedule;
};

/// What masked diffusion minimises.
class Objective {
 public:
  explicit Objective(const Model& model) : model_(model) {}
  virtual ~Objective() = default;
  virtual void step(Step& step) = 0;
  virtual void visit(StateVisitor&) {}
  /// log Z as it was met in training; null where nothing is learned of an energy.
  virtual const RunningLogZ* log_z() const { return nullptr; }

 protected:
  Model model_;
};

/// Throw SpecError where the context has not what the objective learns from, or the parameters do
/// not fit each other.
std::unique_ptr<Objective> make_objective(const AutoParams&, const Model&, const FamilyContext&);
std::unique_ptr<Objective> make_objective(const ElboParams&, const Model&, const FamilyContext&);
std::unique_ptr<Objective> make_objective(const LogVarianceParams&, const Model&,
                                          const FamilyContext&);
std::unique_ptr<Objective> make_objective(const WeightedDenoisingParams&, const Model&,
                                          const FamilyContext&);

}  // namespace marginalia::masked_diffusion
