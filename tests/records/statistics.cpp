// Tests, corrections and fits against closed forms and textbook figures.
#include <cmath>
#include <numbers>

#include "marginalia_test.h"
#include "records/comparison/statistics.h"

using namespace marginalia;

TEST_CASE("a mean has a standard error from two values on") {
  CHECK(summarise({}).n == 0);
  CHECK_FALSE(summarise({3}).error);
  const auto two = summarise({1, 3});
  CHECK(two.mean == 2);
  CHECK(*two.error == doctest::Approx(1));  // s = sqrt(2), over sqrt(2)
  CHECK(*summarise({1, 2, 3, 4, 5}).error == doctest::Approx(std::sqrt(2.5 / 5)));
}

TEST_CASE("p of a paired t test equals the closed forms of Student's law") {
  // 1 degree of freedom is Cauchy's law: p = 1 - 2 atan(|t|) / pi.
  const auto one = paired_t_test({5, 6}, {1, 5});  // d = 4, 1: mean 2.5, s.e. 1.5
  CHECK(*one.t == doctest::Approx(2.5 / 1.5));
  CHECK(*one.p == doctest::Approx(1 - 2 * std::atan(2.5 / 1.5) / std::numbers::pi));
  // 2 degrees: p = 1 - |t| / sqrt(2 + t^2).
  const auto two = paired_t_test({0, 0, 0}, {1, 2, 4});
  const auto t = *two.t;
  CHECK(t == doctest::Approx(-(7.0 / 3) / std::sqrt(7.0 / 3 / 3)));
  CHECK(*two.p == doctest::Approx(1 - std::abs(t) / std::sqrt(2 + t * t)));
  // Student's own sleep data (1908), 10 patients: t = 4.0621, p = 0.002833.
  const auto sleep = paired_t_test({1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4},
                                   {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0});
  CHECK(*sleep.t == doctest::Approx(4.0621).epsilon(1e-4));
  CHECK(*sleep.p == doctest::Approx(0.002833).epsilon(1e-3));
}

TEST_CASE("what cannot be tested says why") {
  CHECK(paired_t_test({1}, {2}).untested == "fewer than two pairs");
  CHECK(paired_t_test({}, {}).untested == "fewer than two pairs");
  const auto same = paired_t_test({1.1, 2.1, 3.1}, {1, 2, 3});  // apart by rounding alone
  CHECK(same.untested == "the difference is the same in every pair");
  CHECK_FALSE(same.p);
  CHECK(same.difference.mean == doctest::Approx(0.1));
}

TEST_CASE("strata weigh the same, and their errors add in squares") {
  const auto all = mean_of_strata({summarise({1, 2, 3}), summarise({10, 14})});
  CHECK(all.n == 5);
  CHECK(all.mean == doctest::Approx(7));  // of 2 and 12, not of five numbers
  // Squared errors 1/3 and 4 with 2 and 1 degrees of freedom.
  CHECK(*all.error == doctest::Approx(std::sqrt(1.0 / 3 + 4) / 2));
  CHECK(all.freedom == doctest::Approx(std::pow(1.0 / 3 + 4, 2) / (1.0 / 9 / 2 + 16)));
  CHECK(mean_of_strata({summarise({4, 6})}).freedom == 1);

  const auto without = mean_of_strata({summarise({1, 2, 3}), summarise({10})});
  CHECK(without.mean == doctest::Approx(6));
  CHECK_FALSE(without.error);
  const auto still = mean_of_strata({summarise({1, 1}), summarise({2, 2})});
  CHECK(*still.error == 0);
  CHECK(t_test(still, 2).untested == "the difference is the same in every pair");
}

TEST_CASE("p of a mean over strata has Satterthwaite's degrees of freedom") {
  // By quadrature, apart from this code: with t = tan(a) sqrt(df) the density is cos(a)^(df - 1)
  // Gamma((df + 1) / 2) / Gamma(df / 2) / sqrt(pi), and python3 -c 'from math import *; df, t =
  // 2.273002047515357, 3.6563621206356522; n = 200000; a = atan(t / sqrt(df)); h = (pi / 2 - a) /
  // n; print(2 * gamma((df + 1) / 2) / gamma(df / 2) / sqrt(pi) * h * sum(cos(a + (i + .5) * h) **
  // (df - 1) for i in range(n)))' prints 0.055325012901...
  const auto test =
      t_test(mean_of_strata({summarise({0.5, 0.7, 0.3}), summarise({1, 2, 0.5})}), 15);
  CHECK(test.difference.freedom == doctest::Approx(2.273002047515357));
  CHECK(*test.t == doctest::Approx(3.6563621206356522));
  CHECK(*test.p == doctest::Approx(0.055325012901));
}

TEST_CASE("Holm's correction, worked by hand") {
  // Sorted: .005 x 4 = .02, .01 x 3 = .03, .03 x 2 = .06, .04 x 1 -> not below .06.
  const auto adjusted = holm({0.01, 0.04, 0.03, 0.005});
  const std::vector<double> expected{0.03, 0.06, 0.06, 0.02};
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(adjusted[i] == doctest::Approx(expected[i]));
  CHECK(holm({0.9, 0.8}) == std::vector<double>{1, 1});
  CHECK(holm({}).empty());
}

TEST_CASE("a power law is recovered from points that lie on it") {
  std::vector<LossPoint> points;
  for (const double x : {1e3, 4e3, 2e4, 1e5, 6e5})
    points.push_back({x, 0, 1.7 + 40 * std::pow(x, -0.35)});
  const auto law = fit_power_law(points, false);
  CHECK(law.floor == doctest::Approx(1.7).epsilon(1e-4));
  CHECK(law.exponent == doctest::Approx(0.35).epsilon(1e-3));
  CHECK(law.at(1e7) == doctest::Approx(1.7 + 40 * std::pow(1e7, -0.35)).epsilon(1e-4));
  CHECK(law.residual < 1e-6);

  points.clear();
  for (const double N : {1e3, 1e4, 1e5, 1e6})
    for (const double D : {1e4, 1e5, 1e6})
      points.push_back({N, D, 2 + 30 * std::pow(N, -0.4) + 90 * std::pow(D, -0.3)});
  const auto both = fit_power_law(points, true);
  CHECK(both.exponent == doctest::Approx(0.4).epsilon(1e-2));
  CHECK(both.data_exponent == doctest::Approx(0.3).epsilon(1e-2));
  CHECK(both.at(1e8, 1e8) ==
        doctest::Approx(2 + 30 * std::pow(1e8, -0.4) + 90 * std::pow(1e8, -0.3)).epsilon(1e-3));
}

TEST_CASE("coefficients of a power law are never negative") {
  // A loss that rises with size: the best law with A >= 0 is flat.
  const auto law = fit_power_law({{1, 0, 1}, {10, 0, 2}, {100, 0, 3}}, false);
  CHECK(law.scale >= 0);
  CHECK(law.floor > 0);
  CHECK(law.at(1) == doctest::Approx(law.at(100)).epsilon(0.02));
}

TEST_CASE("a power law refuses what it cannot be fitted to") {
  const auto refused = [](std::vector<LossPoint> points) {
    return test::refusal([&] { fit_power_law(points, false); });
  };
  CHECK(refused({{1, 0, 1}, {2, 0, 1}}) == "a power law needs at least three different sizes");
  CHECK(refused({{1, 0, 1}, {2, 0, 0}, {3, 0, 1}}) == "a power law needs losses and sizes above 0");
}
