#include "marginalia_test.h"

#include "plugins/metrics/correlation.h"

using doctest::Approx;
using marginalia::measure::kendall, marginalia::measure::Numbers, marginalia::measure::pearson;
using marginalia::measure::spearman;

TEST_CASE("correlations of a list with itself are 1, with its opposite -1") {
  const Numbers x{3, 1, 4, 1, 5}, minus{-3, -1, -4, -1, -5};
  for (const auto correlation : {pearson, spearman, kendall}) {
    CHECK(correlation(x, x) == Approx(1));
    CHECK(correlation(x, minus) == Approx(-1));
  }
}

TEST_CASE("correlations with ties, worked out on paper") {
  const Numbers x{1, 2, 2, 3}, y{1, 3, 2, 2};
  // x - 2 = -1 0 0 1 and y - 2 = -1 1 0 0: xy 1, xx 2, yy 2.
  CHECK(pearson(x, y) == Approx(0.5));
  // Ranks 0 1.5 1.5 3 and 0 3 1.5 1.5, of mean 1.5: xy 2.25, xx 4.5, yy 4.5.
  CHECK(spearman(x, y) == Approx(0.5));
  // Pairs 12+ 13+ 14+ 24- 23 tied in x, 34 tied in y: (3 - 1) / sqrt(5 * 5).
  CHECK(kendall(x, y) == Approx(0.4));
}

TEST_CASE("a pair tied in both lists is no pair of either") {
  // Pairs 13+ 14+ 23+ 24+ 34- 12 tied in both: (4 - 1) / sqrt(5 * 5).
  CHECK(kendall({1, 1, 2, 3}, {1, 1, 3, 2}) == Approx(0.6));
  CHECK(kendall({3, 1, 2, 1}, {2, 1, 3, 1}) == Approx(0.6));  // in another order
}

TEST_CASE("kendall counts the pairs of a longer list") {
  Numbers x, y;
  for (int n = 0; n < 200; ++n) {
    x.push_back(n * n % 23);
    y.push_back(n * 7 % 31 + n % 3);
  }
  double score = 0, in_x = 0, in_y = 0;
  for (std::size_t n = 0; n < x.size(); ++n)
    for (std::size_t m = 0; m < n; ++m) {
      score += ((x[n] > x[m]) - (x[n] < x[m])) * ((y[n] > y[m]) - (y[n] < y[m]));
      in_x += x[n] != x[m];
      in_y += y[n] != y[m];
    }
  CHECK(kendall(x, y) == Approx(score / std::sqrt(in_x * in_y)).epsilon(1e-12));
}

TEST_CASE("ranks do not mind infinities, and a list that does not vary has no correlation") {
  const Numbers x{1, 2, 3}, y{-INFINITY, 0, 5}, flat{2, 2, 2}, lost{1, NAN, 3};
  CHECK(spearman(x, y) == Approx(1));
  CHECK(kendall(x, y) == Approx(1));
  CHECK(std::isnan(pearson(x, y)));
  for (const auto correlation : {pearson, spearman, kendall}) {
    CHECK(std::isnan(correlation(x, flat)));
    CHECK(std::isnan(correlation(x, lost)));
    CHECK(std::isnan(correlation({1}, {1})));
  }
}
