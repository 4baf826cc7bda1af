#pragma once

#include <string>
#include <vector>

#include <marginalia/oracle.h>

#include "shared/lattices/lattice.h"
#include "strip.h"

namespace marginalia::ising {

/// Exact sums over the spins of a chain or a two-dimensional lattice, any couplings and fields:
///
///   Z = sum_{s_1 ... s_N} prod_r A_r(s_r) T_r(s_r, s_{r+1}),    s_r: the spins of row r
///   A_r(s)     = exp(sum_c J_across s_c s_{c+1} + h_c s_c)      a diagonal matrix
///   T_r(s, s') = prod_c exp(J_down s_c s'_c)                    a product of W 2 x 2 matrices
///
/// (Kramers and Wannier 1941, doi:10.1103/PhysRev.60.252.) Known spins leave the sum and act as
/// fields on their neighbours. An open lattice carries one vector from row to row; a periodic one
/// starts a vector from each state of one row and takes the trace. Rows run along either axis and
/// start anywhere: the cheapest choice is made for each partial state.
class TransferMatrix final : public marginalia::Oracle {
 public:
  /// "" when `lattice` can be summed, else why not, with the cost.
  static std::string obstacle(const Lattice& lattice);

  /// Keeps references to both.
  TransferMatrix(const Lattice& lattice, const marginalia::StateSpace& space);
  const marginalia::StateSpace& space() const override { return space_; }
  std::string method() const override { return "transfer matrix"; }

 private:
  marginalia::Tensor compute_log_sum(const marginalia::Tensor& partial) const override;
  marginalia::Tensor compute_sample(const marginalia::Tensor& partial,
                                    marginalia::Stream& stream) const override;

  const Lattice& lattice_;
  const marginalia::StateSpace& space_;
  std::vector<Strip> strips_;  // rows along one axis, and along the other
  bool wide_range_;            // couplings so strong that weights need a long double
};

}  // namespace marginalia::ising
