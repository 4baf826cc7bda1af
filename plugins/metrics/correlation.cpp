#include "correlation.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

namespace marginalia::measure {
namespace {

using Order = std::vector<std::size_t>;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

bool has_nan(const Numbers& x) {
  return std::ranges::any_of(x, [](double v) { return std::isnan(v); });
}

double mean(const Numbers& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / double(x.size());
}

/// Ranks from 0; ties share their mean.
Numbers ranks(const Numbers& x) {
  Order order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, [&](auto a, auto b) { return x[a] < x[b]; });
  Numbers result(x.size());
  for (std::size_t from = 0, to = 0; from < x.size(); from = to) {
    while (to < x.size() && x[order[to]] == x[order[from]])
      ++to;
    for (auto n = from; n < to; ++n)
      result[order[n]] = double(from + to - 1) / 2;
  }
  return result;
}

/// Sum of t (t - 1) / 2 over the runs of t equal neighbours among 0..N-1.
template <class Equal>
double tied_pairs(std::size_t count, Equal equal) {
  double pairs = 0;
  for (std::size_t from = 0, to = 0; from < count; from = to) {
    while (to < count && equal(from, to))
      ++to;
    pairs += double(to - from) * double(to - from - 1) / 2;
  }
  return pairs;
}

/// Sorts y and counts the pairs that stood in the wrong order.
double sort_and_count(Numbers& y, Numbers& scratch, std::size_t from, std::size_t to) {
  if (to - from < 2) return 0;
  const auto middle = from + (to - from) / 2;
  double swaps = sort_and_count(y, scratch, from, middle) + sort_and_count(y, scratch, middle, to);
  for (auto left = from, right = middle, at = from; at < to; ++at) {
    const bool take_right = left == middle || (right < to && y[right] < y[left]);
    if (take_right) swaps += double(middle - left);
    scratch[at] = take_right ? y[right++] : y[left++];
  }
  std::copy(scratch.begin() + std::ptrdiff_t(from), scratch.begin() + std::ptrdiff_t(to),
            y.begin() + std::ptrdiff_t(from));
  return swaps;
}

}  // namespace

double pearson(const Numbers& x, const Numbers& y) {
  if (x.size() < 2) return kNone;
  const auto x_mean = mean(x), y_mean = mean(y);
  double xx = 0, yy = 0, xy = 0;
  for (std::size_t n = 0; n < x.size(); ++n) {
    const auto dx = x[n] - x_mean, dy = y[n] - y_mean;
    xx += dx * dx;
    yy += dy * dy;
    xy += dx * dy;
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : kNone;
}

double spearman(const Numbers& x, const Numbers& y) {
  return has_nan(x) || has_nan(y) ? kNone : pearson(ranks(x), ranks(y));
}

double kendall(const Numbers& x, const Numbers& y) {
  const auto N = x.size();
  if (N < 2 || has_nan(x) || has_nan(y)) return kNone;
  Order order(N);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order,
                    [&](auto a, auto b) { return x[a] != x[b] ? x[a] < x[b] : y[a] < y[b]; });
  Numbers along(N), scratch(N);
  for (std::size_t n = 0; n < N; ++n)
    along[n] = y[order[n]];
  const auto same_x = [&](auto a, auto b) { return x[order[a]] == x[order[b]]; };
  const auto ties_x = tied_pairs(N, same_x);
  const auto ties_both =
      tied_pairs(N, [&](auto a, auto b) { return same_x(a, b) && along[a] == along[b]; });
  const auto swaps = sort_and_count(along, scratch, 0, N);
  const auto ties_y = tied_pairs(N, [&](auto a, auto b) { return along[a] == along[b]; });
  const auto pairs = double(N) * double(N - 1) / 2;
  const auto scale = std::sqrt((pairs - ties_x) * (pairs - ties_y));
  return scale > 0 ? (pairs - ties_x - ties_y + ties_both - 2 * swaps) / scale : kNone;
}

}  // namespace marginalia::measure
