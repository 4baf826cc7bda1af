#pragma once

#include <string>
#include <variant>

#include <marginalia/json.h>
#include <marginalia/params.h>

#include "energy_model.h"
#include "policy.h"
#include "replay.h"

/// Parameters of a generative flow network. An alternative's stand in its own struct, and exist in
/// a spec only where it is chosen.
namespace marginalia::gflownet {

// What is held in balance, from F(empty) to f: balance.h has the equations.
struct SubtrajectoryBalance {
  static constexpr const char* kName = "subtrajectory_balance";
  static constexpr const char* kDoc =
      "all pieces of trajectories; learns F, and with it marginals in one pass";
  double lambda = 0.9;
  void visit(ParamVisitor& p) {
    p("lambda", lambda, {.doc = "weight of a piece of n steps, lambda^n", .min = 1e-6});
  }
};
struct DetailedBalance : NoParams {
  static constexpr const char* kName = "detailed_balance";
  static constexpr const char* kDoc = "single steps; learns F, and with it marginals in one pass";
};
struct TrajectoryBalance : NoParams {
  static constexpr const char* kName = "trajectory_balance";
  static constexpr const char* kDoc = "whole trajectories";
};
struct LogVariance : NoParams {
  static constexpr const char* kName = "log_variance";
  static constexpr const char* kDoc = "the variance of f / P_F over a batch, which needs no Z";
};
using Objective =
    std::variant<SubtrajectoryBalance, DetailedBalance, TrajectoryBalance, LogVariance>;

/// Whether F is learned, beside the policy.
inline bool learns_flows(const Objective& objective) {
  return std::holds_alternative<SubtrajectoryBalance>(objective) ||
         std::holds_alternative<DetailedBalance>(objective);
}

// In which order variables are revealed.
struct RandomReveal : NoParams {
  static constexpr const char* kName = "random";
  static constexpr const char* kDoc = "uniformly random, each time anew";
};
struct ForwardReveal : NoParams {
  static constexpr const char* kName = "forward";
  static constexpr const char* kDoc = "0, 1, ..., D - 1";
};
struct BackwardReveal : NoParams {
  static constexpr const char* kName = "backward";
  static constexpr const char* kDoc = "D - 1, ..., 1, 0";
};
struct LearnedReveal {
  static constexpr const char* kName = "learned";
  static constexpr const char* kDoc = "by the \"position\" network";
  std::string backward = "uniform";
  void visit(ParamVisitor& p) {
    p("backward", backward,
      {.doc = "which variable came last: uniform, whose only solution is the uniform order, or "
              "learned, and then F says no marginals",
       .one_of = {"uniform", "learned"}});
  }
};
using Reveal = std::variant<RandomReveal, ForwardReveal, BackwardReveal, LearnedReveal>;

struct ExplorationParams : Exploration {
  void visit(ParamVisitor& p) {
    p("uniform", uniform, {.doc = "chance of a uniformly random choice", .min = 0.0, .max = 1.0});
    p("temperature", temperature, {.doc = "of all other choices", .min = 1e-3});
  }
};

struct Params {
  Objective objective;
  Reveal order;
  ExplorationParams exploration;
  ReplayParams replay;
  EnergyModelParams model;
  void visit(ParamVisitor& p) {
    p.choice("objective", objective, "what is held in balance, from F(empty) to f");
    p.choice("order", order, "in which variables are revealed");
    p.section("exploration", exploration, "beyond what the policy would do");
    p.section("replay", replay, "of past samples");
    p.section("energy_model", model, "learned with it where there is a dataset and no energy");
  }
};

/// The parameters of a spec of format 1, where all alternatives stood side by side.
Json upgrade(const Json& old);

}  // namespace marginalia::gflownet
