#include <atomic>
#include <cmath>
#include <thread>
#include <vector>

#include <marginalia/energy.h>
#include <marginalia/oracle.h>

#include "marginalia_test.h"

using namespace marginalia;

namespace {

/// log f = `value` at the state 1, and 0 at the state 0.
class Weighted final : public Energy {
 public:
  explicit Weighted(double value) : value_(value) {}
  const StateSpace& space() const override { return space_; }

 private:
  Tensor compute_log_density(const Tensor& x) const override {
    return torch::where(x.select(1, 0) == 1, value_, 0.0).to(torch::kDouble);
  }
  double value_;
  StateSpace space_ = StateSpace::uniform(1, 2);
};

/// Counts how often it sums.
class Counting final : public Oracle {
 public:
  const StateSpace& space() const override { return space_; }
  std::string method() const override { return "counting"; }
  mutable std::atomic<int> sums{0};

 private:
  Tensor compute_log_sum(const Tensor& partial) const override {
    ++sums;
    return torch::full({partial.size(0)}, 1.5, torch::kDouble);
  }
  StateSpace space_ = StateSpace::uniform(1, 2);
};

}  // namespace

TEST_CASE("an oracle sums log Z once, however many threads ask") {
  const Counting oracle;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] { oracle.log_z(); });
  }
  CHECK(oracle.log_z() == 1.5);
  CHECK(oracle.sums == 1);
}

TEST_CASE("NaN and +inf are refused with their row; -inf is a forbidden state") {
  const auto x = torch::tensor({0, 1}, torch::kLong).unsqueeze(1);
  const auto message = [&](double value) {
    return test::refusal([&] { Weighted(value).log_density(x); });
  };
  const std::string rest = " for row 1 of 2; it must be finite, or -inf for a forbidden state";
  CHECK(message(NAN) == "component: log_density is nan" + rest);
  CHECK(message(INFINITY) == "component: log_density is inf" + rest);
  CHECK(message(-INFINITY) == "accepted");
}
