// Confidence bounds on means of non-negative numbers: they hold, at every time, and are not idle.
#include "inference/certify/betting.h"
#include "marginalia_test.h"

#include <cmath>
#include <random>

#include <boost/math/distributions/beta.hpp>

using namespace marginalia;

namespace {

double log_or_zero(double x) {
  return x > 0 ? std::log(x) : -INFINITY;
}

/// Share of `trials` in which the bound passed the true mean at any of the times looked at.
template <class Draw>
double misses(int trials, int most, double log_mean, double delta, const Draw& draw) {
  int wrong = 0;
  for (int trial = 0; trial < trials; ++trial) {
    std::mt19937_64 random{std::uint64_t(trial)};
    BettingBound bound;
    double highest = -INFINITY;
    for (int n = 1, next = 1; n <= most; ++n) {
      bound.add(draw(random));
      if (n < next) continue;
      highest = std::max(highest, bound.log_lower(delta));
      next = n + 1 + n / 4;
    }
    wrong += highest > log_mean;
  }
  return double(wrong) / trials;
}

/// W_N(m) written down from the header's formula.
double wealth(const std::vector<double>& x, double m) {
  double total = 0, sum = 0;
  for (int j = 0; j < 24; ++j)
    total += 1.0 / (j + 1);
  for (int j = 0; j < 24; ++j) {
    double product = 0.75 / total / (j + 1);
    for (const auto value : x)
      product *= 1 + std::exp2(-0.5 * j) * (value / m - 1);
    sum += product;
  }
  return sum + 0.25;
}

}  // namespace

TEST_CASE("the bound is where the wealth is 1 / delta") {
  const std::vector<double> x{0.3, 1.2, 0, 2.5, 0.7, 1.1, 0.2, 0.9};
  BettingBound bound;
  for (const auto value : x)
    bound.add(log_or_zero(value));
  CHECK(bound.log_mean() == doctest::Approx(std::log(6.9 / 8)).epsilon(1e-12));
  const auto m = std::exp(bound.log_lower(0.1));
  CHECK(wealth(x, m) == doctest::Approx(10).epsilon(1e-6));
  CHECK(m < 6.9 / 8);
}

TEST_CASE("a new beginning after bad numbers is worth its stake, and holds") {
  std::normal_distribution<> bad(-4.5, 3), good(0, 0.1);  // both of mean near 1
  BettingBound going_on, anew;
  std::mt19937_64 random(8);
  for (int n = 0; n < 200; ++n) {
    const auto log_x = n < 50 ? bad(random) : good(random);
    if (n == 50) anew.restart();
    going_on.add(log_x);
    anew.add(log_x);
  }
  CHECK(anew.log_lower(0.05) > going_on.log_lower(0.05) + 0.1);
  CHECK(anew.log_lower(0.05) < anew.log_mean());
  CHECK(std::abs(anew.log_mean()) < 0.05);
  std::exponential_distribution<> exponential;
  int wrong = 0;
  for (int trial = 0; trial < 300; ++trial) {  // begun anew whenever that looks good
    std::mt19937_64 own{std::uint64_t(trial)};
    BettingBound bound;
    double highest = -INFINITY;
    for (int n = 0; n < 120; ++n) {
      if (n % 20 == 0) bound.restart();
      bound.add(std::log(exponential(own)));
      if (n % 10 == 9) highest = std::max(highest, bound.log_lower(0.2));
    }
    wrong += highest > 0;
  }
  CHECK(wrong < 300 * 0.2 + 2 * std::sqrt(300 * 0.2 * 0.8));
}

TEST_CASE("the bound moves with the scale of the numbers, however far") {
  BettingBound here, there;
  std::mt19937_64 random(5);
  for (int n = 0; n < 200; ++n) {
    const auto log_x = std::normal_distribution<>(0, 1)(random);
    here.add(log_x);
    there.add(log_x - 5000);
  }
  CHECK(here.log_lower(0.05) == doctest::Approx(there.log_lower(0.05) + 5000).epsilon(1e-9));
}

TEST_CASE("of a coin it holds, and lies below the bound of Clopper and Pearson but not far") {
  const double p = 0.3, delta = 0.05;
  const int N = 400, trials = 300;
  std::bernoulli_distribution coin(p);
  double below = 0;
  int wrong = 0;
  for (int trial = 0; trial < trials; ++trial) {
    std::mt19937_64 random{std::uint64_t(trial)};
    BettingBound bound;
    int heads = 0;
    for (int n = 0; n < N; ++n) {
      const bool head = coin(random);
      heads += head;
      bound.add(head ? 0 : -INFINITY);
    }
    const boost::math::beta_distribution<> law(heads, N - heads + 1);
    const auto exact = boost::math::quantile(law, delta);
    const auto ours = std::exp(bound.log_lower(delta));
    CHECK(ours < exact);  // which knows that X is 0 or 1, and when one looks
    below += (exact - ours) / trials;
    wrong += ours > p;
  }
  CHECK(wrong <= 24);  // 15 expected at nominal; P(more than 24 | nominal) < 1 %
  CHECK(below < 0.05);
}

TEST_CASE("looked at all the time it fails as seldom as promised") {
  std::exponential_distribution<> exponential;
  const auto of_exponential =
      misses(400, 300, 0, 0.2, [&](auto& random) { return std::log(exponential(random)); });
  CHECK(of_exponential < 0.2 + 2 * std::sqrt(0.2 * 0.8 / 400));
  // log-normal with sigma = 3: the mean, 90, is carried by one draw in seven hundred
  std::normal_distribution<> normal(0, 3);
  const auto of_heavy = misses(300, 1000, 4.5, 0.2, [&](auto& random) { return normal(random); });
  CHECK(of_heavy < 0.2 + 2 * std::sqrt(0.2 * 0.8 / 300));
  // and the test can tell: a bound with ten times the delta does fail more often than 0.05
  std::bernoulli_distribution rare(0.01);
  const auto of_rare = misses(400, 300, std::log(0.01), 0.5,
                              [&](auto& random) { return rare(random) ? 0.0 : -INFINITY; });
  CHECK(of_rare > 0.05);
}

TEST_CASE("it closes as 2 (sqrt(2 v L / N) + L / N) says") {
  std::normal_distribution<> normal(0, std::sqrt(0.02));
  const double delta = 0.025, L = -std::log(delta);
  for (const int N : {64, 256, 1024}) {
    std::mt19937_64 random(9);
    BettingBound bound;
    for (int n = 0; n < N; ++n)
      bound.add(normal(random));
    const auto side = bound.log_mean() - bound.log_lower(delta);
    const auto ideal = std::sqrt(2 * 0.02 * L / N) + L / N;
    CAPTURE(N);
    CHECK(side > 0.7 * ideal);
    CHECK(side < 2 * ideal);
  }
}

TEST_CASE("without a number above 0 there is no bound, and NaN is refused") {
  BettingBound bound;
  CHECK(bound.log_lower(0.05) == -INFINITY);
  bound.add(-INFINITY);
  bound.add(-INFINITY);
  CHECK(bound.log_lower(0.05) == -INFINITY);
  CHECK(bound.log_mean() == -INFINITY);
  bound.add(2);  // found among two failures: below a third of it
  CHECK(std::isfinite(bound.log_lower(0.05)));
  CHECK(bound.log_lower(0.05) < 2 - std::log(3.0));
  CHECK(test::refusal([&] { bound.add(NAN); }) ==
        "a betting bound takes log X, finite or -inf, not nan");
}
