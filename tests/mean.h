#pragma once

#include <numeric>
#include <vector>

namespace marginalia::test {

inline double mean(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / double(x.size());
}

}  // namespace marginalia::test
