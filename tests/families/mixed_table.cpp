// Every family that learns from data, on a table whose columns have 2, 3 and 5 values: what it says
// is summed over all states.
#include <fmt/format.h>

#include "built.h"
#include "host/experiment/experiment.h"
#include "host/training/trainer.h"
#include "marginalia_test.h"

#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/masking.h>

namespace marginalia::test::mixed_table {

using torch::Tensor;

const std::string kMlp = R"({"type": "mlp", "hidden": 16, "layers": 2})";
const std::string kTree = R"({"type": "mlp", "hidden": 16, "layers": 2, "prior": "chow_liu"})";
const std::string kMade = R"({"type": "made", "hidden": 16, "layers": 2})";
const std::string kTransformer =
    R"({"type": "transformer", "channels": 16, "depth": 1, "heads": 2, "widening": 2})";

std::string each_role(const std::vector<std::string>& roles, const std::string& network) {
  Json all;
  for (const auto& role : roles)
    all[role] = Json::parse(network);
  return all.dump();
}

struct Subject {
  std::string family;        ///< JSON
  std::string network = {};  ///< JSON, or empty
};
std::vector<Subject> subjects() {
  const auto flow = each_role({"conditional", "marginal", "energy"}, kMlp);
  auto causal = Json::parse(each_role({"conditional", "marginal"}, kMlp));
  causal["causal"] = Json::parse(kMade);
  return {
      {R"({"type": "independent"})"},
      {R"({"type": "independent", "smoothing": 1})"},
      {R"({"type": "chow_liu"})"},
      {R"({"type": "chow_liu", "smoothing": 1e-9})"},
      {R"({"type": "circuit", "latents": 4})"},
      {R"({"type": "circuit", "latents": 4, "em": "full_batch"})"},
      {R"({"type": "mixture_of_trees", "components": 3})"},
      {R"({"type": "continuous_mixture", "latents": 2, "hidden": 16, "points": 32,
           "points_test": 64})"},
      {R"({"type": "continuous_mixture", "latents": 2, "hidden": 16, "points": 32,
           "points_test": 64, "leaves": "chow_liu"})"},
      {R"({"type": "arm"})", kMade},
      {R"({"type": "arm", "order": "backward"})", kTransformer},
      {R"({"type": "any_order_arm"})", kMlp},
      {R"({"type": "any_order_arm"})", kTree},
      {R"({"type": "any_order_arm"})", kTransformer},
      {R"({"type": "any_order_arm"})", R"({"type": "lattice_conv", "channels": 8, "depth": 1})"},
      {R"({"type": "mam"})", kMlp},
      {R"({"type": "mam"})", kTree},
      {R"({"type": "mam", "states": {"type": "data", "on_policy": "chains"}})", causal.dump()},
      {R"({"type": "masked_diffusion"})", kMlp},
      {R"({"type": "masked_diffusion", "corrector": {"rounds": 1}})", kTransformer},
      {R"({"type": "gflownet", "exploration": {"uniform": 0.1, "temperature": 2}})", flow},
      {R"({"type": "gflownet", "order": "forward"})", flow},
      {R"({"type": "gflownet", "order": "learned"})",
       each_role({"conditional", "marginal", "energy", "position"}, kMlp)},
  };
}

/// A family after a few steps on the table.
struct Learner {
  TempDir folder;
  std::unique_ptr<Experiment> experiment;
  explicit Learner(const Subject& subject) {
    const auto text = fmt::format(R"({{"marginalia": 2, "seed": 3,
      "dataset": {{"type": "table", "name": "mixed"}}, {} "family": {},
      "training": {{"steps": 5, "batch_size": 16, "optimizer": {{"learning_rate": 0.03}}}}}})",
                                  choose_network(subject), subject.family);
    const auto spec =
        Spec::from_text(text, "spec.json", {MARGINALIA_TEST_DATA, MARGINALIA_TEST_DATA});
    experiment = std::make_unique<Experiment>(in_float32(spec), loaded_registry(), "cpu");
    train(*experiment, RunDirectory::create(folder / "run", false), {}, {});
    experiment->family->set_training(false);
  }
  const Family& family() const { return *experiment->family; }

 private:
  static std::string choose_network(const Subject& subject) {
    return subject.network.empty() ? "" : fmt::format(R"("network": {},)", subject.network);
  }
};

Answer ask(const Family& family, const Query& query) {
  Stream stream(1, "test");
  return family.answer(query, stream);
}

/// Whether one variable after the other is asked of conditionals alone, or the answer is exact.
bool sums_to_one(const Capability& c, const Answer& answer) {
  return c.route == Route::kAlongOrder || answer.status == Status::kExact;
}

void check_mass(const Family& family) {
  const auto states = all_states(family.space());
  for (const auto& c : family.capabilities()) {
    if (c.kind != QueryKind::kLogMarginal) continue;
    CAPTURE(c.estimator);
    Query query{c.kind, states, {}, c.estimator};
    query.order = Order::kForward;  // one for all states
    const auto answer = ask(family, query);
    CHECK(answer.value.isfinite().all().item<bool>());
    if (sums_to_one(c, answer))
      CHECK(answer.value.logsumexp(0).item<double>() == doctest::Approx(0).epsilon(1e-5));
  }
}

void check_conditionals(const Family& family) {
  const auto& space = family.space();
  Stream stream(2, "test");
  const auto x = uniform_states(space, 40, stream);
  // What is known comes first, as a fixed order asks; of 40 rows, 0 to 2 variables.
  const auto known = torch::arange(3).unsqueeze(0) < torch::arange(40).remainder(3).unsqueeze(1);
  const auto partial = x.masked_fill(known.logical_not(), kUnknown);
  for (const auto& c : family.capabilities()) {
    if (c.kind != QueryKind::kConditionals) continue;
    const auto log_p = ask(family, {c.kind, partial, {}, c.estimator}).value;
    const auto asked = (partial == kUnknown).unsqueeze(2);
    const auto possible = space.possible();
    CHECK((log_p.masked_select(asked.logical_and(~possible)) == -INFINITY).all().item<bool>());
    CHECK(log_p.masked_select(asked.logical_and(possible)).isfinite().all().item<bool>());
    const auto sums = log_p.masked_fill(~possible, -INFINITY).logsumexp(2);
    CHECK((sums.masked_select(partial == kUnknown).abs() < 1e-5).all().item<bool>());
  }
}

void check_samples(const Family& family) {
  const auto& space = family.space();
  auto partial = space.empty().repeat({400, 1});
  partial.slice(0, 200).select(1, 0).fill_(1);
  const auto limits = torch::tensor(space.cardinalities);
  for (const auto& c : family.capabilities())
    for (const std::int64_t steps : {0, 2}) {
      if (c.kind != QueryKind::kSample) continue;
      CAPTURE(c.estimator);
      Query query{c.kind, partial, {}, c.estimator};
      query.steps = steps;
      const auto answer = ask(family, query);
      CHECK((answer.states >= 0).logical_and(answer.states < limits).all().item<bool>());
      const auto seen = std::get<0>(at::_unique2(answer.states.select(1, 1)));
      CHECK(seen.equal(torch::arange(3)));  // each of its values is drawn
    }
}

TEST_CASE("on a table of 2, 3 and 5 values families keep to the values that there are") {
  for (const auto& subject : subjects()) {
    CAPTURE(subject.family);
    CAPTURE(subject.network);
    const Learner learner(subject);
    REQUIRE(learner.family().space() == StateSpace{{2, 3, 5}, {3}});
    check_mass(learner.family());
    check_conditionals(learner.family());
    check_samples(learner.family());
  }
}

TEST_CASE("independent variables have the probabilities of their own number of values") {
  // A row of the training split is counted; value 4 of the last variable is in the test rows alone.
  for (const double a : {1.0, 7.0}) {
    const Learner learner(Subject{fmt::format(R"({{"type": "independent", "smoothing": {}}})", a)});
    const auto& dataset = *learner.experiment->dataset;
    const auto N = dataset.size(Split::kTrain);
    const auto x = dataset.rows(Split::kTrain, torch::arange(N));
    const auto p =
        ask(learner.family(), {QueryKind::kConditionals, dataset.space().empty()}).value.exp()[0];
    const std::int64_t K[] = {2, 3, 5};
    for (std::int64_t i = 0; i < 3; ++i)
      for (std::int64_t k = 0; k < K[i]; ++k) {
        const auto n = (x.select(1, i) == k).sum().item<double>();
        const auto expected = (n + a / double(K[i])) / (double(N) + a);
        CHECK(p[i][k].item<double>() == doctest::Approx(expected).epsilon(1e-12));
      }
  }
}

TEST_CASE("a table and an energy agree in the values of every variable, or the first is named") {
  const auto build = [](const std::string& settings) {
    const auto text = fmt::format(R"({{"marginalia": 2, "seed": 3,
      "dataset": {{"type": "table", "name": "mixed"{}}},
      "energy": {{"type": "factor_graph", "file": "mixed.uai"}},
      "network": {}, "family": {{"type": "mam"}}}})",
                                  settings, kMlp);
    const auto spec =
        Spec::from_text(text, "spec.json", {MARGINALIA_TEST_DATA, MARGINALIA_TEST_DATA});
    return refusal([&] { Experiment(in_float32(spec), loaded_registry(), "cpu"); });
  };
  CHECK(build("") == "accepted");
  CHECK(
      build(R"(, "cardinalities": [2, 4, 6])") ==
      "spec.json: /: dataset and energy must have one state space; variable 1 has 4 values in "
      "dataset table (plugin table) and 3 in energy factor_graph (plugin factor_graph); a dataset "
      "in which not all of them occur is told how many there are, as a table by \"levels\" or "
      "\"cardinalities\"");
}

}  // namespace marginalia::test::mixed_table
