#pragma once

#include <cstdint>
#include <vector>

#include <marginalia/energy.h>

namespace marginalia::mcmc {

/// Cluster moves for ferromagnets: pairs that like equal values, w(a, b) = c + J [a = b], J >= 0,
/// and any fields. Swendsen and Wang (1987), doi:10.1103/PhysRevLett.58.86: a bond between equal
/// values is closed with probability 1 - exp(-J); a cluster takes value k with probability ~ exp of
/// the sum of its fields at k. Wolff (1989), doi:10.1103/PhysRevLett.62.361: one cluster from a
/// random variable goes to another value; without fields.
class Clusters {
 public:
  /// Throws SpecError where the factors are not of that kind.
  Clusters(const marginalia::PairwiseFactors& factors, bool wolff);

  /// In place, x int64 [B, D] contiguous. A sweep of Wolff is sqrt(D) clusters: a
  /// number that depended on what moves would favour states with large ones.
  void run(marginalia::Tensor& x, std::int64_t sweeps, std::uint64_t seed) const;

 private:
  struct Bond {
    std::int64_t i, j;
    double closed;  // probability between equal values
  };
  struct Neighbour {
    std::int64_t j;
    double closed;
  };
  template <class Uniform>
  void swendsen_wang(std::int64_t* x, Uniform& uniform) const;
  template <class Uniform>
  void wolff(std::int64_t* x, Uniform& uniform) const;

  std::int64_t dimension_, levels_, clusters_;
  bool wolff_;
  std::vector<double> fields_;  // [D, K]
  std::vector<Bond> bonds_;
  std::vector<std::vector<Neighbour>> neighbours_;
};

}  // namespace marginalia::mcmc
