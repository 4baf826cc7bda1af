#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>
#include <boost/math/distributions/students_t.hpp>

#include <marginalia/error.h>

#include "statistics.h"

namespace marginalia {

Summary summarise(const std::vector<double>& values) {
  Summary all{.n = std::int64_t(values.size())};
  if (values.empty()) return all;
  const auto n = double(values.size());
  all.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  all.freedom = n - 1;
  if (values.size() < 2) return all;
  double squares = 0;
  for (const auto value : values)
    squares += (value - all.mean) * (value - all.mean);
  all.error = std::sqrt(squares / (n - 1) / n);
  return all;
}

Summary mean_of_strata(const std::vector<Summary>& strata) {
  if (strata.size() == 1) return strata.front();
  Summary all;
  const auto count = double(strata.size());
  double squares = 0, fourth = 0;
  bool has_error = !strata.empty();
  for (const auto& stratum : strata) {
    all.n += stratum.n;
    all.mean += stratum.mean / count;
    has_error = has_error && stratum.error;
    if (!stratum.error || *stratum.error == 0) continue;
    const auto square = *stratum.error * *stratum.error;
    squares += square;
    fourth += square * square / stratum.freedom;
  }
  if (!has_error) return all;
  all.error = std::sqrt(squares) / count;
  all.freedom = fourth > 0 ? squares * squares / fourth : 0;
  return all;
}

PairedTest t_test(const Summary& difference, double size) {
  PairedTest test{.difference = difference, .t = {}, .p = {}, .untested = ""};
  if (!difference.error) {
    test.untested = "fewer than two pairs";
  } else if (*difference.error <= 1e-12 * size) {  // rounding is no spread
    test.untested = "the difference is the same in every pair";
  } else {
    test.t = difference.mean / *difference.error;
    const boost::math::students_t law(difference.freedom);
    test.p = 2 * boost::math::cdf(boost::math::complement(law, std::abs(*test.t)));
  }
  return test;
}

PairedTest paired_t_test(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size())
    throw Error(fmt::format("paired_t_test: lists of lengths {} and {}", a.size(), b.size()));
  std::vector<double> differences;
  double size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    differences.push_back(a[i] - b[i]);
    size = std::max({size, std::abs(a[i]), std::abs(b[i])});
  }
  return t_test(summarise(differences), size);
}

std::vector<double> holm(const std::vector<double>& p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return p[i]; });
  std::vector<double> adjusted(p.size());
  double largest = 0;
  for (std::size_t j = 0; j < order.size(); ++j) {
    largest = std::max(largest, std::min(1.0, double(p.size() - j) * p[order[j]]));
    adjusted[order[j]] = largest;
  }
  return adjusted;
}

}  // namespace marginalia
