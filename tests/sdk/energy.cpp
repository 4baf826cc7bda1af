#include <cmath>

#include <marginalia/energy.h>

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

}  // namespace

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
