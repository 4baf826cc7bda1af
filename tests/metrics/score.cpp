#include "fakes.h"

using namespace marginalia;
using namespace marginalia::test::metrics;

namespace {

/// g(x) = x_1, none where x_0 = 0; wanted to be 2, within 0.5.
class ScoredEnergy final : public Energy, private Readable {
 public:
  explicit ScoredEnergy(bool wanted) : wanted_(wanted) {}
  const StateSpace& space() const override { return space_; }
  Offer<Readable> readable() const override { return {this}; }

 private:
  Tensor compute_log_density(const Tensor& x) const override {
    return torch::zeros({x.size(0)}, torch::kDouble);
  }
  std::string to_text(const Tensor& state) const override { return space_.to_text(state); }
  Tensor raw_score(const Tensor& x) const override {
    return x.select(1, 1).to(torch::kDouble).masked_fill(x.select(1, 0) == 0, NAN);
  }
  std::vector<Score> scores(const Tensor& x) const override {
    if (!wanted_) return Readable::scores(x);
    return {{.name = "g", .values = raw_score(x), .unit = "kg", .target = 2, .spread = 0.5}};
  }
  StateSpace space_{{2, 3, 2}, {3}};
  bool wanted_;
};

struct ScoreBench {
  WholeEnergy whole;
  TableFamily family{whole};
  FakeEvaluation evaluation{family};
  ScoredEnergy energy;
  explicit ScoreBench(bool wanted) : energy(wanted) {
    evaluation.target = &energy;
    evaluation.samples.states = stack_rows({{1, 0, 0}, {1, 2, 1}, {0, 1, 0}, {1, 1, 0}, {1, 2, 0}});
  }
};

}  // namespace

TEST_CASE("score is the mean and spread of g over the samples that have one") {
  ScoreBench b(true);
  const auto measurements = run_metric("score", b.evaluation);
  REQUIRE(measurements.size() == 1);
  const auto& g = measurements.at("g");
  const std::vector<double> values{0, 2, 1, 2};
  CHECK(g.value == doctest::Approx(mean(values)));
  CHECK(*g.stderr_ == doctest::Approx(deviation(values) / 2));
  CHECK(g.unit == "kg");
  CHECK(g.samples == 4);
  CHECK(g.more["spread"].get<double>() == doctest::Approx(deviation(values)));
  CHECK(g.more["min"] == 0);
  CHECK(g.more["max"] == 2);
  CHECK(g.more["target"] == 2);
  CHECK(g.more["bias"].get<double>() == doctest::Approx(-0.75));
  CHECK(g.more["rms"].get<double>() == doctest::Approx(std::sqrt(5.0 / 4)));
  CHECK(g.more["without_one"] == 1);
}

TEST_CASE("score of an energy without a target is its raw score alone") {
  ScoreBench b(false);
  const auto score = run_metric("score", b.evaluation).at("score");
  CHECK(score.value == doctest::Approx(1.25));
  CHECK(score.unit == "score");
  CHECK_FALSE(score.more.contains("target"));
  CHECK_FALSE(score.more.contains("rms"));
}

TEST_CASE("score says why there is none") {
  ScoreBench b(true);
  b.evaluation.samples.states = stack_rows({{0, 1, 1}});
  CHECK(unavailable("score", b.evaluation) == "none of the model's samples has a score");
  b.evaluation.target = &b.whole;
  CHECK(unavailable("score", b.evaluation) ==
        "needs an energy that gives a score: its states are digits");
  b.evaluation.target = nullptr;
  CHECK(unavailable("score", b.evaluation) == "needs an energy");
  b.evaluation.target = &b.energy;
  remove(b.family, QueryKind::kSample);
  CHECK(unavailable("score", b.evaluation) ==
        "needs samples of the model, and the family does not sample");
}
