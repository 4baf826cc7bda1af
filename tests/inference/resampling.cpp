#include <marginalia/inference/resampling.h>

#include "marginalia_test.h"

using namespace marginalia;

TEST_CASE("systematic resampling draws each place as often as expected, but for less than one") {
  const auto weight = torch::tensor({0.0, 3.0, 0.5, 0.0, 6.5, 1.0, 0.0}, torch::kDouble);
  const std::int64_t rows = 23;
  const auto expected = weight / weight.sum() * double(rows);
  auto total = torch::zeros({7}, torch::kDouble);
  Stream stream(3, "test");
  for (int repeat = 0; repeat < 4000; ++repeat) {
    const auto chosen = resample_systematically(weight, rows, stream);
    REQUIRE(chosen.sizes() == at::IntArrayRef{rows});
    CHECK((chosen.diff() >= 0).all().item<bool>());
    const auto count = chosen.bincount({}, 7).to(torch::kDouble);
    REQUIRE(count.numel() == 7);
    CHECK(((count - expected).abs() < 1).all().item<bool>());
    total += count;
  }
  CHECK(((total / 4000 - expected).abs() < 0.04).all().item<bool>());  // five standard errors
}
