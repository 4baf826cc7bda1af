#pragma once

#include <marginalia/tensor.h>

#include "params.h"

/// The equations of a generative flow network that reveals one variable a step.
///
/// A state s_t = x_S knows t = |S| of D variables. A step reveals variable i and its value,
///   P_F(s_{t+1} | s_t) = o(i | s_t) p(x_i | s_t),     P_B(s_t | s_{t+1}) = b(i | s_{t+1}),
/// and flows balance where, at every step,
///   F(s_t) P_F(s_{t+1} | s_t) = F(s_{t+1}) P_B(s_t | s_{t+1}),   F(x) = f(x),   F(empty) = Z.
///
/// With b uniform, 1 / (t + 1), the solution is F(x_S) = sum_{x agrees with x_S} f(x) / C(D, t),
/// whatever o: so what is learned is the marginal, G = C(D, t) F, G(x_S) / Z = p(x_S), and
///   log G(s_t) + l_t = log G(s_{t+1}),   l_t = log p(x_i | s_t) + log((D - t) o(i | s_t)).    (1)
/// In uniformly random order o = 1 / (D - t), and along a fixed order o = b = 1 and G = F: l_t is
/// log p alone in both. A learned o with b uniform has one solution, o uniform: only with a learned
/// b can one order be preferred to another, and then G = F is no marginal and
///   l_t = log p(x_i | s_t) + log o(i | s_t) - log b(i | s_{t+1}).                             (2)
///
/// With c_t = log G(s_t) - sum_{u < t} l_u for t = 0..D, balance is c_i = c_j for all i < j of
/// every trajectory, and the objectives differ by which pairs they hold together:
///   loss = mean over trajectories of sum_{i<j} w_ij (c_i - c_j)^2                             (3)
///   trajectory balance      w_0D = 1                          learns p and Z, no F
///   detailed balance        w_{t,t+1} = 1 / D
///   sub-trajectory balance  w_ij = lambda^{j-i} / sum_{i'<j'} lambda^{j'-i'}
/// all pairs from one pass of each state. The log-partition variance is that of c_D over the batch,
/// c_D = log f(x) - sum_t l_t, which is log Z where it vanishes: it learns p alone.
/// Source: trajectory balance, Malkin et al. (2022), arXiv:2201.13259; detailed balance, Bengio et
/// al. (2023), arXiv:2111.09266; pieces, Madan et al. (2023), arXiv:2209.12782; the variance,
/// Richter et al. (2020), arXiv:2010.10436, and Zhang et al. (2023), arXiv:2302.05446; flows as
/// marginals, da Silva, Mesquita, Lahlou (2026), arXiv:2609.11538.
namespace marginalia::gflownet {

using marginalia::Tensor;

/// w_ij of equation (3), zero for i >= j: float64 [D + 1, D + 1], of sum 1. Throws Error for the
/// log-partition variance, which holds no pairs.
Tensor pair_weights(const Objective& objective, std::int64_t dimension);

/// c_t.  log_flow: log G(s_t), [B, D + 1]; links: l_t, [B, D]  ->  [B, D + 1].
Tensor potentials(const Tensor& log_flow, const Tensor& links);

/// Equation (3).  potentials: c_t, [B, D + 1]; weights: w_ij  ->  a scalar.
Tensor balance(const Tensor& potentials, const Tensor& weights);

/// Log-partition variance over `rows` >= 2 paths, by this process's share of them.
/// log_ratio: log f(x) - sum_t l_t, [B]; mean: of all rows, without a gradient  ->  a scalar.
Tensor log_variance(const Tensor& log_ratio, const Tensor& mean, std::int64_t rows);

}  // namespace marginalia::gflownet
