#include "fakes.h"

using namespace marginalia;
using namespace marginalia::test::metrics;

namespace {

struct ConsistencyBench : TableBench {
  ConsistencyBench() : TableBench(50) {}
};

/// E over states, |S| uniform on 0..2, S and i of what `each` says of (x_S, x, i), squared.
template <class Each>
double mean_square(const ConsistencyBench& b, Each each) {
  const auto states = b.energy.repeated();
  const std::vector<std::vector<State>> subsets{{{}}, {{0}, {1}, {2}}, {{0, 1}, {0, 2}, {1, 2}}};
  double sum = 0;
  for (std::int64_t n = 0; n < states.size(0); ++n)
    for (const auto& of_size : subsets)
      for (const auto& kept : of_size) {
        const auto x = to_state(states, n);
        State s(3, kUnknown);
        for (const auto i : kept)
          s[std::size_t(i)] = x[std::size_t(i)];
        for (std::size_t i = 0; i < 3; ++i)
          if (s[i] == kUnknown)
            sum += std::pow(each(s, x, i), 2) / double(of_size.size() * (3 - kept.size()));
      }
  return sum / double(3 * states.size(0));
}

}  // namespace

TEST_CASE("an exact model is consistent and sums") {
  ConsistencyBench b;
  for (const auto* metric : {"self_consistency", "sum_rule"}) {
    const auto measurement = run_metric(metric, b.evaluation).at("one_pass");
    CHECK(measurement.value < 1e-12);
    CHECK(measurement.more["source"] == "exact samples");
    CHECK(measurement.more["by_size"].size() == 3);
  }
}

TEST_CASE("marginals that fall too fast with size break both rules by the same step") {
  ConsistencyBench b;
  b.family.offset = -0.1;
  const auto residual = run_metric("self_consistency", b.evaluation).at("one_pass");
  CHECK(residual.value == doctest::Approx(0.1).epsilon(1e-9));
  CHECK(residual.more["bias"].get<double>() == doctest::Approx(0.1).epsilon(1e-9));
  const auto sum = run_metric("sum_rule", b.evaluation).at("one_pass");
  CHECK(sum.value == doctest::Approx(0.1).epsilon(1e-9));
  CHECK(sum.more["bias"].get<double>() == doctest::Approx(-0.1).epsilon(1e-9));
  CHECK(sum.samples == 200);
  for (const auto& row : sum.more["by_size"])
    CHECK(row["max"].get<double>() == doctest::Approx(0.1).epsilon(1e-9));
}

TEST_CASE("self_consistency and sum_rule meet the sum over states, subsets and variables") {
  ConsistencyBench b;
  b.family.tilt = 0.6;
  b.family.noise = 0.4;
  const auto squared = [](const Measurement& measurement, double truth) {
    CAPTURE(measurement.value);
    CAPTURE(std::sqrt(truth));
    CHECK(std::abs(measurement.value - std::sqrt(truth)) < 5 * *measurement.stderr_);
    CHECK(*measurement.stderr_ < 0.05 * measurement.value);
  };
  squared(run_metric("self_consistency", b.evaluation, R"("queries": 1800)").at("one_pass"),
          mean_square(b, [&](State s, const State& x, std::size_t i) {
            const auto before = b.family.one_pass(s) + b.family.conditional(s, i, x[i]);
            s[i] = x[i];
            return before - b.family.one_pass(s);
          }));
  squared(run_metric("sum_rule", b.evaluation, R"("queries": 1800)").at("one_pass"),
          mean_square(b, [&](State s, const State&, std::size_t i) {
            const auto whole = b.family.one_pass(s);
            double sum = 0;
            for (s[i] = 0; s[i] < b.energy.space().cardinalities[i]; ++s[i])
              sum += std::exp(b.family.one_pass(s));
            return std::log(sum) - whole;
          }));
}

TEST_CASE("many sizes are joined to ten") {
  class Flat final : public Family {
   public:
    const StateSpace& space() const override { return space_; }
    std::vector<Capability> capabilities() const override {
      return {{QueryKind::kLogMarginal, "one_pass", Status::kEstimate, "1", Route::kOnePass},
              {QueryKind::kConditionals, "one_pass", Status::kEstimate, "1", Route::kOnePass}};
    }
    void step(Step&) override {}
    std::vector<ParameterGroup> parameters() override { return {}; }
    void visit(StateVisitor&) override {}
    void set_training(bool) override {}

   private:
    Answer compute_answer(const Query& query, Stream&) const override {
      const auto B = query.partial.size(0);
      if (query.kind == QueryKind::kConditionals)
        return {torch::full({B, 40, 2}, -std::log(2.0), torch::kDouble), {}, "", {}, 1};
      // -|S|^2 / 2: the residual is |S| + 1/2 - log 2.
      const auto size = (query.partial != kUnknown).sum(1).to(torch::kDouble);
      return {-size.square() / 2, {}, "", {}, 1};
    }
    StateSpace space_ = StateSpace::uniform(40, 2);
  };
  const Flat family;
  FakeEvaluation evaluation(family);
  evaluation.truth = torch::zeros({400, 40}, torch::kLong);
  const Rows data(family.space(), evaluation.truth);
  evaluation.rows_given = &data;
  const auto measurement = run_metric("self_consistency", evaluation).at("one_pass");
  REQUIRE(measurement.more["by_size"].size() == 10);
  for (std::size_t n = 0; n < 10; ++n) {
    const auto& row = measurement.more["by_size"][n];
    CHECK(row["count"] == 40);
    CHECK(row["size"].get<double>() == doctest::Approx(4.0 * double(n) + 1.5));
    CHECK(row["bias"].get<double>() == doctest::Approx(4.0 * double(n) + 2 - std::log(2)));
    CHECK(row["max"].get<double>() == doctest::Approx(4.0 * double(n) + 3.5 - std::log(2)));
  }
}

TEST_CASE("calibration is the gap of what is said and what comes") {
  /// One variable of two values, said to be 1 with probability 0.3; and one of a single value.
  class Says final : public Family {
   public:
    const StateSpace& space() const override { return space_; }
    std::vector<Capability> capabilities() const override {
      return {{QueryKind::kConditionals, "one_pass", Status::kEstimate, "1", Route::kOnePass}};
    }
    void step(Step&) override {}
    std::vector<ParameterGroup> parameters() override { return {}; }
    void visit(StateVisitor&) override {}
    void set_training(bool) override {}

   private:
    Answer compute_answer(const Query& query, Stream&) const override {
      const auto p = torch::tensor({{0.7, 0.3}, {1.0, 0.0}}, torch::kDouble);
      return {p.log().unsqueeze(0).repeat({query.partial.size(0), 1, 1}), {}, "", {}, 1};
    }
    StateSpace space_{{2, 1}, {2}};
  };
  const Says family;
  FakeEvaluation evaluation(family);
  evaluation.truth = torch::tensor({{1, 0}, {0, 0}}, torch::kLong).repeat({50, 1});
  const Rows data(family.space(), evaluation.truth);
  evaluation.rows_given = &data;
  const auto measurement =
      run_metric("calibration", evaluation, R"("queries": 100, "bins": 4)").at("one_pass");
  CHECK(measurement.unit == "probability");
  REQUIRE(measurement.more["bins"].size() == 1);
  const auto& bin = measurement.more["bins"][0];
  CHECK(bin["predicted"].get<double>() == doctest::Approx(0.3));
  CHECK(std::abs(bin["observed"].get<double>() - 0.5) < 0.2);
  CHECK(measurement.value == doctest::Approx(std::abs(bin["observed"].get<double>() - 0.3)));
  CHECK(measurement.more["predictions"] == bin["count"]);
  CHECK(bin["count"].get<int>() > 50);  // known in half of the rows of |S| = 1
  CHECK(bin["count"].get<int>() < 100);
}

TEST_CASE("an exact model is calibrated, a bent one is not, and impossible values do not count") {
  ConsistencyBench b;
  const auto params = R"("queries": 1800)";
  const auto exact = run_metric("calibration", b.evaluation, params).at("one_pass");
  CHECK(exact.value < 0.03);
  b.family.tilt = 2;
  const auto bent = run_metric("calibration", b.evaluation, params).at("one_pass");
  CHECK(bent.value > 0.1);
  // Of the unknown variables two count once, the middle one three times: at |S| = 0, 1, 2 all,
  // two thirds and one third are unknown, so 5 * 2 / 3 a query on average.
  CHECK(exact.more["predictions"].get<double>() / double(exact.samples) ==
        doctest::Approx(10.0 / 3).epsilon(0.03));
  double total = 0, weighted = 0;
  for (const auto& bin : bent.more["bins"]) {
    total += bin["count"].get<double>();
    weighted += bin["count"].get<double>() *
                std::abs(bin["predicted"].get<double>() - bin["observed"].get<double>());
  }
  CHECK(bent.value == doctest::Approx(weighted / total).epsilon(1e-9));
}

TEST_CASE("what cannot be computed of consistency is said") {
  ConsistencyBench b;
  b.evaluation.with_oracle = false;
  CHECK(unavailable("calibration", b.evaluation) ==
        "needs states of the truth: no dataset, no chains, and no exact samples (too many states)");
  remove(b.family, QueryKind::kConditionals);
  CHECK(unavailable("calibration", b.evaluation) ==
        "needs conditionals, which the family does not answer");
  CHECK(unavailable("self_consistency", b.evaluation) ==
        "needs conditionals, which the family does not answer");
  remove(b.family, QueryKind::kLogMarginal, "one_pass");
  for (const auto* metric : {"self_consistency", "sum_rule"})
    CHECK(unavailable(metric, b.evaluation) ==
          "needs log-marginals in one pass; the family offers: chain, ensemble, masked, paths");
}
