#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include <marginalia/api.h>
#include <marginalia/factors.h>

namespace marginalia::elimination {

/// Iterated local search for a state of great log f: the best change of one variable; where there
/// is none, forbidden entries weigh heavier from then on (breakout), and where nothing is forbidden
/// a few variables are shaken. Morris (1993), AAAI-93, 40; Hutter, Hoos and Stutzle (2005),
/// IJCAI-05, 169.
class MARGINALIA_API LocalSearch {
 public:
  LocalSearch(const FactorModel& model, std::uint64_t seed);

  /// Searches from x [D] by `moves` changes, until log f is `enough`, or until stop(). x is then
  /// the best state met, the first one included. -> its log f.
  double improve(std::int64_t* x, std::int64_t moves, double enough,
                 const std::function<bool()>& stop);

 private:
  double weighed(std::size_t factor, std::int64_t entry) const;
  void start(const std::int64_t* x);
  void set(std::int64_t variable, std::int64_t k);
  void rescore(std::int64_t variable);
  std::int64_t best_variable();
  bool weigh_forbidden();
  void shake();

  struct Place {  // of a variable in the scope of a factor
    std::size_t factor;
    std::int64_t stride;
  };
  const FactorModel& model_;
  std::vector<std::vector<Place>> places_;             // [D]
  std::vector<std::vector<std::int64_t>> neighbours_;  // [D]
  std::vector<double> loss_;                           // by factor, of a forbidden entry
  std::vector<std::int64_t> entries_;                  // by factor, at x_
  std::vector<std::int64_t> x_, choice_;               // [D]: state; the best other value
  std::vector<double> gain_;                           // [D]: of that value
  double log_density_ = 0;                             // of the entries that are not forbidden
  std::int64_t forbidden_ = 0;                         // entries
  std::mt19937_64 random_;
};

}  // namespace marginalia::elimination
