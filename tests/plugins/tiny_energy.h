#pragma once

#include <marginalia/energy.h>
#include <marginalia/plugin.h>

/// All a plugin's energy needs, so that the libraries here fail at nothing but what they are for.
class TinyEnergy : public marginalia::Energy {
 public:
  static constexpr const char* kSummary = "two states";
  struct Params {
    void visit(marginalia::ParamVisitor&) {}
  };
  explicit TinyEnergy(const Params&) {}
  const marginalia::StateSpace& space() const override { return space_; }

 private:
  marginalia::Tensor compute_log_density(const marginalia::Tensor& x) const override {
    return x.sum(1);
  }
  marginalia::StateSpace space_ = marginalia::StateSpace::uniform(1, 2);
};
