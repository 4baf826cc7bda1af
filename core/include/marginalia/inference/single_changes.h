#pragma once

#include <marginalia/api.h>
#include <marginalia/energy.h>

namespace marginalia {

/// p(x_i = k | all others) of full states, from log f alone: of every state that differs from x in
/// one variable,
///   p(x_i = k | x_{-i}) = f(x with x_i = k) / sum over j of f(x with x_i = j).
/// For energies that offer no local conditionals: 1 + sum_i (K_i - 1) evaluations a state, which
/// `energy` counts and tempers. Equal rows are asked once.
/// x: int64 [B, D]  ->  float32 [B, D, K]. Throws Error where a row of x is forbidden.
MARGINALIA_API Tensor conditionals_by_changes(MeteredEnergy& energy, const Tensor& x);

}  // namespace marginalia
