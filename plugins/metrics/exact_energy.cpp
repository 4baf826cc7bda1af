#include "exact_energy.h"

#include <cmath>

#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/inference/elimination.h>
#include <marginalia/inference/enumeration.h>

namespace marginalia::measure {
namespace {

constexpr double kMemory = 0.25;         // GiB: more would take longer than all else
constexpr double kMostListed = 1 << 16;  // states

/// log sum_x f(x)^b.
double log_sum(const FactorModel& model, const StateSpace& space, double b) {
  return Elimination(scaled(model, b), space).log_z();
}

/// The central difference of fourth order: off by step^4 / 30 times the fifth derivative.
double derivative(const FactorModel& model, const StateSpace& space) {
  constexpr double kStep = 1e-3;
  const auto about = [&](double by) {
    return log_sum(model, space, 1 + by) - log_sum(model, space, 1 - by);
  };
  return (8 * about(kStep) - about(2 * kStep)) / (12 * kStep);
}

double listed(const Energy& energy) {
  const auto log_f = energy.log_density(all_states(energy.space()));
  const auto p = log_f.softmax(0);
  return torch::where(p > 0, p * log_f, torch::zeros_like(p)).sum().item<double>();
}

}  // namespace

std::optional<double> exact_mean_log_density(const Evaluation& evaluation) {
  if (!evaluation.energy() || !evaluation.oracle()) return std::nullopt;
  const auto& energy = *evaluation.energy();
  const auto& space = energy.space();
  if (std::exp(space.log_states()) <= kMostListed) return listed(energy);
  const auto model = energy.factors();
  if (!model || !Elimination(*model, space).obstacle(kMemory).empty()) return std::nullopt;
  return derivative(*model, space);
}

}  // namespace marginalia::measure
