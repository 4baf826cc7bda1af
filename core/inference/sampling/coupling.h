#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <marginalia/factors.h>
#include <marginalia/posterior.h>

namespace marginalia {

/// Exact samples of densities of binary variables whose pairwise factors attract each other, by
/// monotone coupling from the past, under any evidence.
///
///   logit p(x_i = 1 | others) = u_i + sum_j d_ij(x_j),   d_ij(x) = w_ij(1, x) - w_ij(0, x)
///
/// Where every d_ij rises, a sweep of heat baths keeps the order of states, so that a chain from
/// all 0 and one from all 1 enclose every other with the same random numbers. Started at times
/// -8, -16, -32, ... with the numbers of each time reused, they have met by time 0 in a state that
/// has the law exactly. Where some d_ij fall, variables are flipped first, as those of one half of
/// a bipartite antiferromagnet; evidence is a clamp, which keeps the order, and only the factors
/// among unknown variables have to agree.  Source: Propp and Wilson (1996),
/// doi:10.1002/(SICI)1098-2418(199608/09)9:1/2<223::AID-RSA14>3.0.CO;2-O, section 3.
class MARGINALIA_API MonotoneCoupling final : public PosteriorSampler {
 public:
  /// Throws SpecError, with obstacle(), where the factors are of another kind.
  /// most_sweeps: the longest start time that is tried; first_sweeps: the first; powers of two. The
  /// first costs time alone: it does not change a sample.
  explicit MonotoneCoupling(const FactorModel& model, std::int64_t most_sweeps = 1 << 14,
                            std::int64_t first_sweeps = 8);
  ~MonotoneCoupling() override;
  /// Why the factors cannot be so sampled whatever the evidence; empty where they may be.
  static std::string obstacle(const FactorModel& model);

  std::string method() const override { return "coupling from the past"; }
  /// Throws Error where factors among the unknown variables are frustrated, where chains have not
  /// met within the sweeps, and where both values of an unknown variable are forbidden. Factors of
  /// known variables alone are not looked at. Probabilities are exact to 2^-33.
  Tensor sample(const Tensor& partial, Stream& stream) const override;

 private:
  struct Link {
    std::int64_t to;
    double at[2];  // d_ij(0), d_ij(1)
  };
  struct Heat;  // the heat baths that are left under some evidence
  std::vector<int> flips(const std::int64_t* values) const;
  Heat compute_heat(const std::int64_t* values) const;

  std::int64_t most_sweeps_, first_sweeps_;
  std::vector<std::int64_t> fixed_;       // variables of one value
  std::vector<double> field_;             // u_i [D]
  std::vector<std::vector<Link>> links_;  // [D][...]
};

}  // namespace marginalia
