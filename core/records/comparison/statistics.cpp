#include <algorithm>
#include <cmath>
#include <numeric>

#include <boost/math/distributions/students_t.hpp>

#include <marginalia/error.h>

#include "statistics.h"

namespace marginalia {

Summary summarise(const std::vector<double>& values) {
  Summary all{.n = std::int64_t(values.size()), .mean = 0, .error = {}};
  if (values.empty()) return all;
  const auto n = double(values.size());
  all.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  if (values.size() < 2) return all;
  double squares = 0;
  for (const auto value : values)
    squares += (value - all.mean) * (value - all.mean);
  all.error = std::sqrt(squares / (n - 1) / n);
  return all;
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
  PairedTest test{.difference = summarise(differences), .t = {}, .p = {}, .untested = ""};
  if (!test.difference.error) {
    test.untested = "fewer than two pairs";
  } else if (*test.difference.error <= 1e-12 * size) {  // rounding is no spread
    test.untested = "the difference is the same in every pair";
  } else {
    test.t = test.difference.mean / *test.difference.error;
    const boost::math::students_t law(double(a.size() - 1));
    test.p = 2 * boost::math::cdf(boost::math::complement(law, std::abs(*test.t)));
  }
  return test;
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
