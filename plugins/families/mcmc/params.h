#pragma once

#include <cstdint>
#include <variant>

#include <marginalia/params.h>

/// Kinds of moves of Markov chains, and their parameters.
namespace marginalia::mcmc {

struct GibbsMoves : NoParams {
  static constexpr const char* kName = "gibbs";
  static constexpr const char* kDoc = "variable by variable, or colour by colour";
};
struct BlockGibbsMoves : NoParams {
  static constexpr const char* kName = "block_gibbs";
  static constexpr const char* kDoc = "whole trees of variables at once, exactly, given the others";
};
struct MetropolisMoves : NoParams {
  static constexpr const char* kName = "metropolis";
  static constexpr const char* kDoc =
      "another value of one variable, taken with probability min(1, f(x') / f(x))";
};
struct SwendsenWangMoves : NoParams {
  static constexpr const char* kName = "swendsen_wang";
  static constexpr const char* kDoc = "all clusters of equal values at once, of a ferromagnet";
};
struct WolffMoves : NoParams {
  static constexpr const char* kName = "wolff";
  static constexpr const char* kDoc = "one cluster of equal values at a time, of a ferromagnet";
};
/// Replicas of a chain at other temperatures.
struct ParallelTemperingMoves {
  static constexpr const char* kName = "parallel_tempering";
  static constexpr const char* kDoc = "Gibbs at several temperatures that exchange their states";
  std::int64_t temperatures = 8;
  double hottest = 0.2;
  void visit(ParamVisitor& p) {
    p("temperatures", temperatures, {.doc = "T, replicas of each chain", .min = 2, .max = 256});
    p("hottest", hottest, {.doc = "the least inverse temperature", .min = 1e-6, .max = 1});
  }
};
struct SuitedMoves : NoParams {
  static constexpr const char* kName = "auto";
  static constexpr const char* kDoc =
      "swendsen_wang of a ferromagnet, else parallel_tempering of factors, else gibbs of local "
      "conditionals, else metropolis";
};

using Moves = std::variant<GibbsMoves, BlockGibbsMoves, MetropolisMoves, SwendsenWangMoves,
                           WolffMoves, ParallelTemperingMoves, SuitedMoves>;

}  // namespace marginalia::mcmc
