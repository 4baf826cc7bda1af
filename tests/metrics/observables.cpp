// Observables of samples, against sums over all states of 3 x 3 lattices.
#include "fakes.h"

#include <fmt/format.h>

#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using namespace marginalia::test::metrics;

namespace {

constexpr int kSide = 3;

std::int64_t at(const State& x, int row, int column) {
  return x[std::size_t(kSide * (row % kSide) + column % kSide)];
}
double equal_or_not(std::int64_t a, std::int64_t b, std::int64_t K) {
  return a == b ? 1 : -1.0 / double(K - 1);
}

/// What the metric should say of one state, counted site by site.
struct Counted {
  std::vector<double> magnetisation;  // of each value
  double largest = 0, energy = 0, neighbours = 0;
};
Counted counted(const State& x, std::int64_t K, double log_f) {
  Counted result;
  for (std::int64_t k = 0; k < K; ++k) {
    double sum = 0;
    for (const auto v : x)
      sum += v == k ? 1 : -1.0 / double(K - 1);
    result.magnetisation.push_back(sum / double(x.size()));
  }
  result.largest = std::ranges::max(result.magnetisation);
  result.energy = -log_f / double(x.size());
  for (int row = 0; row < kSide; ++row)
    for (int column = 0; column < kSide; ++column)
      result.neighbours += equal_or_not(at(x, row, column), at(x, row + 1, column), K) / 18 +
                           equal_or_not(at(x, row, column), at(x, row, column + 1), K) / 18;
  return result;
}

/// Their means over all states, each with its weight.
Counted compute_mean(const Energy& energy, const Tensor& weight) {
  const auto x = all_states(energy.space());
  const auto log_f = energy.log_density(x);
  const auto K = energy.space().levels();
  Counted mean;
  mean.magnetisation.assign(std::size_t(K), 0);
  for (std::int64_t n = 0; n < x.size(0); ++n) {
    const auto one = counted(to_state(x, n), K, log_f[n].item<double>());
    const auto w = weight[n].item<double>();
    for (std::size_t k = 0; k < std::size_t(K); ++k)
      mean.magnetisation[k] += w * one.magnetisation[k];
    mean.largest += w * one.largest;
    mean.energy += w * one.energy;
    mean.neighbours += w * one.neighbours;
  }
  return mean;
}

/// Draws uniformly, and says so. What it answers beside that nobody asks.
class Uniform final : public Family {
 public:
  bool draws = true;
  explicit Uniform(const StateSpace& space) : space_(space) {}
  const StateSpace& space() const override { return space_; }
  std::vector<Capability> capabilities() const override {
    if (!draws) return {};
    return {{QueryKind::kSample, "exact", Status::kExact, "0"}};
  }
  void step(Step&) override {}
  std::vector<ParameterGroup> parameters() override { return {}; }
  void visit(StateVisitor&) override {}
  void set_training(bool) override {}

 private:
  Answer compute_answer(const Query&, Stream&) const override { throw Error("not asked"); }
  StateSpace space_;
};

/// The model's samples: every state once, so that their mean is that of the uniform law.
struct AllStates {
  std::shared_ptr<Energy> energy;
  Uniform family;
  FakeEvaluation evaluation{family};
  explicit AllStates(const std::string& json)
      : energy(test::make<Energy>(json)), family(energy->space()) {
    const auto x = all_states(energy->space());
    evaluation.target = energy.get();
    evaluation.samples = {x, torch::full({x.size(0)}, -std::log(double(x.size(0))), torch::kDouble),
                          energy->log_density(x)};
  }
  Tensor law() const { return energy->log_density(evaluation.samples.states).softmax(0); }
  Tensor uniform() const {
    const auto N = evaluation.samples.states.size(0);
    return torch::full({N}, 1 / double(N), torch::kDouble);
  }
};

const std::string kIsingTorus = R"({"type": "ising", "side": 3, "coupling": 0.4, "field": 0.3})";
const std::string kPotts = R"({"type": "potts", "states": 3, "side": 3, "coupling": 0.7,
                               "field": 0.5})";

double number_at(const Json& json, const std::string& key) {
  return json.at(key).get<double>();
}

TEST_CASE("observables are those that are counted site by site, as they are and weighed") {
  for (const auto& json : {kIsingTorus, kPotts}) {
    CAPTURE(json);
    AllStates b(json);
    const auto K = b.energy->space().levels();
    // One state of the truth, so that errors are plain.
    State known(9);
    for (std::size_t i = 0; i < 9; ++i)
      known[i] = std::int64_t(i * i % std::size_t(K));
    b.evaluation.truth = stack_rows({known, known});
    const auto truth =
        counted(known, K, b.energy->log_density(b.evaluation.truth)[0].item<double>());
    const auto plain = compute_mean(*b.energy, b.uniform()),
               weighed = compute_mean(*b.energy, b.law());
    const auto measurements = run_metric("observables", b.evaluation);
    CHECK(measurements.size() == 4);
    const auto check = [&](const char* name, double error, double with_weights) {
      CAPTURE(name);
      const auto& measurement = measurements.at(name);
      CHECK(measurement.value == doctest::Approx(error).epsilon(1e-9));
      CHECK(number_at(measurement.more.at("weighted"), "value") ==
            doctest::Approx(with_weights).epsilon(1e-9));
      CHECK(measurement.samples == b.uniform().numel());
    };
    const auto apart = [&](const Counted& q) {
      double sum = 0;
      for (std::size_t k = 0; k < std::size_t(K); ++k)
        sum += std::abs(q.magnetisation[k] - truth.magnetisation[k]);
      return sum / double(K);
    };
    check("magnetisation", apart(plain), apart(weighed));
    check("absolute_magnetisation", std::abs(plain.largest - truth.largest),
          std::abs(weighed.largest - truth.largest));
    check("energy", std::abs(plain.energy - truth.energy), std::abs(weighed.energy - truth.energy));
    check("two_point", std::abs(plain.neighbours - truth.neighbours),
          std::abs(weighed.neighbours - truth.neighbours));
    CHECK(number_at(measurements.at("two_point").more, "reference") ==
          doctest::Approx(truth.neighbours).epsilon(1e-9));
  }
}

TEST_CASE("of spins the magnetisation is the mean spin") {
  AllStates b(kIsingTorus);
  b.evaluation.truth = torch::ones({4, 9}, torch::kLong);
  b.evaluation.truth[0][0] = 0;  // mean spins 7/9, 1, 1, 1
  const auto measurements = run_metric("observables", b.evaluation);
  CHECK(measurements.at("magnetisation").value == doctest::Approx(17.0 / 18).epsilon(1e-9));
  CHECK(measurements.at("magnetisation").more.at("reference").size() == 2);
  CHECK(number_at(measurements.at("absolute_magnetisation").more, "reference") ==
        doctest::Approx(17.0 / 18).epsilon(1e-9));
}

TEST_CASE("samples of the target itself differ from the truth by their standard errors") {
  for (const auto& json : {kIsingTorus, kPotts}) {
    CAPTURE(json);
    AllStates b(json);
    Stream stream(5, "observables");
    const auto all = b.energy->space().empty();
    const EnumerationOracle oracle(*b.energy);
    const auto x = oracle.sample(all.expand({4000, -1}).contiguous(), stream);
    b.evaluation.samples = {x, oracle.log_marginal(x), b.energy->log_density(x)};
    b.evaluation.truth = oracle.sample(all.expand({6000, -1}).contiguous(), stream);
    for (const auto& [name, measurement] : run_metric("observables", b.evaluation)) {
      CAPTURE(name);
      CHECK(measurement.value < 5 * *measurement.stderr_);
      CHECK(*measurement.stderr_ < 0.03);
      CHECK(number_at(measurement.more.at("weighted"), "value") ==  // all weights are equal
            doctest::Approx(measurement.value).epsilon(1e-6));
      CHECK(number_at(measurement.more.at("weighted"), "stderr") ==
            doctest::Approx(*measurement.stderr_).epsilon(1e-6));
      CHECK(measurement.more.at("autocorrelation_time") == 0.5);
    }
  }
}

TEST_CASE("errors of equals are on average what chance makes them") {
  AllStates b(R"({"type": "potts", "states": 3, "sides": [9], "coupling": 0.7})");
  Stream stream(8, "observables");
  const auto all = b.energy->space().empty();
  const EnumerationOracle oracle(*b.energy);
  b.evaluation.truth = oracle.sample(all.expand({3000, -1}).contiguous(), stream);
  double seen = 0, expected = 0;
  for (int n = 0; n < 60; ++n) {
    const auto x = oracle.sample(all.expand({30, -1}).contiguous(), stream);
    b.evaluation.samples = {x, oracle.log_marginal(x), b.energy->log_density(x)};
    const auto measurement = run_metric("observables", b.evaluation).at("two_point");
    REQUIRE(measurement.more.at("by_distance").size() == 4);
    seen += measurement.value / 60;
    expected += number_at(measurement.more, "by_chance") / 60;
  }
  CHECK(std::abs(seen / expected - 1) < 0.2);  // of 60 means of four: three deviations
}

TEST_CASE("the exact energy is the sum over all states") {
  // 2^9 states are listed; 2^18 are summed by elimination, and here one by one.
  for (const auto* json :
       {R"({"type": "ising", "side": 3, "coupling": 0.4, "field": 0.3})",
        R"({"type": "ising", "sides": [3, 6], "coupling": 0.4407, "field": 0.05})"}) {
    CAPTURE(json);
    const auto energy = test::make<Energy>(json);
    const Uniform family(energy->space());
    FakeEvaluation evaluation{family};
    evaluation.target = energy.get();
    const auto D = energy->space().dimension();
    const auto x = torch::zeros({2, D}, torch::kLong);
    evaluation.truth = x;
    evaluation.samples = {x, torch::zeros({2}, torch::kDouble), energy->log_density(x)};
    const auto log_f = energy->log_density(all_states(energy->space()));
    const auto expected = -(log_f.softmax(0) * log_f).sum().item<double>() / double(D);
    const auto measurements = run_metric("observables", evaluation);
    CHECK(number_at(measurements.at("energy").more, "exact") ==
          doctest::Approx(expected).epsilon(1e-7));
    CHECK_FALSE(measurements.at("magnetisation").more.contains("exact"));
  }
}

TEST_CASE("draws that remember each other count for less") {
  AllStates b(kIsingTorus);
  Stream stream(6, "observables");
  const EnumerationOracle oracle(*b.energy);
  const auto all = b.energy->space().empty();
  const auto x = oracle.sample(all.expand({8000, -1}).contiguous(), stream).view({20, 400, 9});
  b.evaluation.chains = x;
  const auto apart = run_metric("observables", b.evaluation).at("energy");
  // Each draw four times in a row: as many states, a quarter of them apart; tau = 2.
  b.evaluation.chains = x.slice(1, 0, 100).repeat_interleave(4, 1);
  const auto slow = run_metric("observables", b.evaluation).at("energy");
  CHECK(slow.more.at("reference_samples") == 8000);
  CHECK(number_at(apart.more, "autocorrelation_time") < 0.6);
  CHECK(number_at(slow.more, "autocorrelation_time") == doctest::Approx(2).epsilon(0.1));
  const auto of_model = [&] {  // what the model's own 512 states leave
    const auto e = -b.evaluation.samples.log_density / 9;
    return e.var().item<double>() / 512;
  }();
  const auto squared = [&](const Measurement& f) { return *f.stderr_ * *f.stderr_ - of_model; };
  CHECK(squared(slow) / squared(apart) == doctest::Approx(4).epsilon(0.2));
}

TEST_CASE("correlations are along the axes of the energy's lattice, closed or not") {
  // A step along the columns: sites 0 and 1 at one value, 2 and 3 at the other.
  const auto x = torch::tensor({{1, 1, 0, 0}, {1, 1, 0, 0}}, torch::kLong);
  const auto along = [&](const std::string& more) {
    AllStates b(fmt::format(R"({{"type": "ising", "sides": [4], "coupling": 0.4, {}}})", more));
    b.evaluation.truth = x;
    return run_metric("observables", b.evaluation).at("two_point").more.at("by_distance");
  };
  const auto ring = along(R"("boundary": "periodic")"), line = along(R"("boundary": "open")");
  REQUIRE(ring.size() == 2);
  CHECK(ring[0].at("distance") == 1);
  CHECK(number_at(ring[0], "reference") == 0);  // + - + -: two bonds of four join unlike sites
  CHECK(number_at(ring[1], "reference") == -1);
  CHECK(number_at(line[0], "reference") == doctest::Approx(1.0 / 3).epsilon(1e-9));
  CHECK(number_at(line[1], "reference") == -1);
  CHECK(number_at(ring[0], "model") == doctest::Approx(0).epsilon(1e-9));

  // Sides of 3 and 4: at distance two there are pairs along the longer one alone.
  AllStates torus(R"({"type": "ising", "sides": [3, 4], "coupling": 0.4})");
  torus.evaluation.truth = torch::tensor({1, 1, 0, 0}, torch::kLong).repeat({2, 3});
  const auto bands = run_metric("observables", torus.evaluation).at("two_point");
  CHECK(number_at(bands.more.at("by_distance")[1], "reference") == -1);

  AllStates slab(R"({"type": "potts", "states": 2, "sides": [2, 6], "boundary": "open"})");
  slab.evaluation.truth =
      torch::tensor({{0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0}}, torch::kLong).repeat({2, 1});
  const auto far =
      run_metric("observables", slab.evaluation).at("two_point").more.at("by_distance");
  REQUIRE(far.size() == 3);
  // Of 6 + 10 pairs next to each other 8 are equal; 4 of 8 at distance two; none of 6 at three.
  CHECK(number_at(far[0], "reference") == doctest::Approx(0).epsilon(1e-9));
  CHECK(number_at(far[1], "reference") == doctest::Approx(0).epsilon(1e-9));
  CHECK(number_at(far[2], "reference") == -1);
}

TEST_CASE("where the pairs are those of no lattice the correlation is over the pairs") {
  AllStates b(R"({"type": "max_cut", "edges": ["1 2", "2 3", "3 4", "4 5", "1 3"]})");
  b.evaluation.truth = torch::tensor({{0, 0, 1, 1, 0}}, torch::kLong).repeat({2, 1});
  const auto measurement = run_metric("observables", b.evaluation).at("two_point");
  CHECK(number_at(measurement.more, "reference") == doctest::Approx(-0.2).epsilon(1e-9));  // 2 of 5
  CHECK(number_at(measurement.more, "model") == doctest::Approx(0).epsilon(1e-9));
  CHECK_FALSE(measurement.more.contains("by_distance"));
}

TEST_CASE("forbidden samples have an infinite energy, and no weight") {
  AllStates b(R"({"type": "constrained", "given": "[1, null, null]",
                  "energy": {"type": "ising", "sides": [3], "coupling": 0.4}})");
  b.evaluation.truth = torch::ones({2, 3}, torch::kLong);
  const auto measurement = run_metric("observables", b.evaluation).at("energy");
  CHECK(measurement.value == INFINITY);
  CHECK_FALSE(measurement.stderr_);
  const auto allowed = b.law();
  const auto e = -b.evaluation.samples.log_density / 3;
  const auto mean = torch::where(allowed > 0, allowed * e, torch::zeros_like(e)).sum();
  const auto truth = e[7].item<double>();
  CHECK(number_at(measurement.more.at("weighted"), "value") ==
        doctest::Approx(std::abs(mean.item<double>() - truth)).epsilon(1e-9));
}

TEST_CASE("without an energy there is the magnetisation, without log q no weights") {
  AllStates b(kIsingTorus);
  const Rows data(b.energy->space(), torch::ones({3, 9}, torch::kLong));
  b.evaluation.target = nullptr;
  b.evaluation.rows_given = &data;
  b.evaluation.truth = data.all();
  b.evaluation.samples.log_density = Tensor();
  const auto measurements = run_metric("observables", b.evaluation);
  CHECK(measurements.size() == 2);
  CHECK(measurements.at("magnetisation").value == doctest::Approx(1).epsilon(1e-9));
  CHECK_FALSE(measurements.at("magnetisation").more.contains("weighted"));
}

TEST_CASE("what observables need is said") {
  AllStates b(kIsingTorus);
  b.evaluation.truth = torch::ones({3, 9}, torch::kLong);
  b.evaluation.with_oracle = false;
  CHECK(unavailable("observables", b.evaluation) ==
        "needs states of the truth: no dataset, no chains, and no exact samples (too many states)");
  WholeEnergy mixed;
  TableFamily family(mixed);
  FakeEvaluation evaluation(family);
  CHECK(unavailable("observables", evaluation) ==
        "needs variables with the same two values or more");
  b.family.draws = false;
  CHECK(unavailable("observables", b.evaluation) ==
        "needs samples of the model, and the family does not sample");
}

}  // namespace
