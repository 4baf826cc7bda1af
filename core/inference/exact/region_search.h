#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include <marginalia/api.h>
#include <marginalia/factors.h>
#include <marginalia/inference/conditioning.h>

namespace marginalia::elimination {

/// Improves a state region by region: the variables around a random one are eliminated exactly, all
/// others as they are; regions grow as long as their messages stay small. A large neighbourhood
/// search: Shaw (1998), doi:10.1007/3-540-49481-2_30.
class MARGINALIA_API RegionSearch {
 public:
  /// model: outlives this.
  RegionSearch(const FactorModel& model, std::uint64_t seed);

  /// x [D]: a state that is not forbidden; then one at least as good. Until stop().
  void improve(std::vector<std::int64_t>& x, const std::function<bool()>& stop);

 private:
  std::vector<bool> region();

  const FactorModel& model_;
  Neighbours neighbours_;
  double size_ = 16;  // variables of a region
  std::mt19937_64 random_;
};

}  // namespace marginalia::elimination
