#include "fakes.h"

#include <chrono>
#include <thread>

using namespace marginalia;
using namespace marginalia::test::metrics;

TEST_CASE("marginal_seconds asks a batch of half-known states, after a warm-up") {
  const WholeEnergy energy;
  const TableFamily family(energy);
  FakeEvaluation evaluation(family);
  const auto measurements =
      run_metric("marginal_seconds", evaluation, R"("batch": 8, "repeats": 3)");
  CHECK(measurements.size() == 3);  // and a pass of conditionals
  CHECK(measurements.at("one_pass").more["times_one_pass"] == 1);
  CHECK(measurements.at("one_pass").more["passes"] == 1);
  CHECK(measurements.at("chain").more["passes"] == 2);  // two of three known
  CHECK(family.asked.size() == 3 * 4);
  for (const auto& [_, partial] : family.asked)
    CHECK((partial != kUnknown).sum(1).eq(2).all().item<bool>());
  for (const auto& [_, measurement] : measurements) {
    CHECK(measurement.unit == "seconds");
    CHECK(measurement.value > 0);
    CHECK(measurement.value >= measurement.more["min"].get<double>());
    CHECK(measurement.value <= measurement.more["max"].get<double>());
    CHECK(measurement.more["batch"] == 8);
    CHECK(measurement.samples == 3);
  }
}

TEST_CASE("marginal_seconds is the time of one query, the oracle's when asked for") {
  class Slow final : public Oracle {
   public:
    const StateSpace& space() const override { return space_; }
    std::string method() const override { return "sleep"; }

   private:
    Tensor compute_log_sum(const Tensor& partial) const override {
      std::this_thread::sleep_for(std::chrono::milliseconds(40));
      return torch::zeros({partial.size(0)}, torch::kDouble);
    }
    StateSpace space_{{2, 3, 2}, {3}};
  };
  class WithOracle final : public FakeEvaluation {
   public:
    using FakeEvaluation::FakeEvaluation;
    Offer<Oracle> oracle() const override { return {&oracle_}; }

   private:
    Slow oracle_;
  };
  const WholeEnergy energy;
  TableFamily family(energy);
  WithOracle evaluation(family);
  const auto start = std::chrono::steady_clock::now();
  const auto measurement = run_metric("marginal_seconds", evaluation,
                                      R"("batch": 4, "repeats": 2, "estimators": ["oracle"])")
                               .at("oracle");
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  CHECK(measurement.value >= 0.04 / 4);  // a quarter of a batch's, which sleeps that long
  CHECK(measurement.value <= wall.count() / 2 / 4);  // of the two batches, however busy the machine
  CHECK(!measurement.more.contains("passes"));
  remove(family, QueryKind::kLogMarginal);
  CHECK(unavailable("marginal_seconds", evaluation) ==
        "none of the estimators asked for is among the family's: none");
}

TEST_CASE("split_r_hat is what training logged last") {
  const WholeEnergy energy;
  const TableFamily family(energy);
  FakeEvaluation evaluation(family);
  CHECK(unavailable("split_r_hat", evaluation) == "training logged no split R-hat of a chain");
  evaluation.health = 1.02;
  const auto measurement = run_metric("split_r_hat", evaluation).at("chain");
  CHECK(measurement.value == 1.02);
  CHECK(measurement.unit == "ratio");
}
