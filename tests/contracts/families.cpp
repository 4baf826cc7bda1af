#include "built.h"
#include "contracts.h"

#include <fstream>
#include <map>
#include <set>

#include <fmt/ranges.h>

#include "host/describe/query_matrix.h"
#include "host/training/checkpoint.h"
#include "host/training/trainer.h"
#include "records/runs/run_directory.h"

#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using torch::Tensor;

namespace {

/// Nine bits: small enough to sum over.
constexpr const char* kEnergy = R"({"type": "ising", "side": 3, "coupling": 0.3, "field": -0.1})";

/// A table of nine bits, drawn from the energy, as text files.
const test::TempDir& table() {
  static const test::TempDir folder;
  static const bool written = [] {
    Stream stream(4, "contracts");
    const auto energy = test::make<Energy>(kEnergy);
    const auto x = energy->exact()->sample(torch::full({60, 9}, kUnknown, torch::kLong), stream);
    std::ofstream file(folder / "rows.txt");
    for (std::int64_t n = 0; n < x.size(0); ++n)
      for (std::int64_t i = 0; i < 9; ++i)
        file << x[n][i].item<std::int64_t>() << (i == 8 ? "\n" : " ");
    return bool(file);
  }();
  REQUIRE(written);
  return folder;
}

/// A registered network that has `heads`, as its example builds it; null where there is none.
Json network_with(HeadSet heads) {
  const auto energy = test::make<Energy>(kEnergy);
  const NetworkContext context{energy->space(), heads, energy.get()};
  for (const auto& [name, entry] : test::loaded_registry().all<Network>()) {
    const auto spec = test::example(entry.description);
    try {
      const auto network = test::loaded_registry().make<Network>(spec, context);
      if ((network->heads() & heads) == heads) return spec.json();
    } catch (const SpecError&) {
    }
  }
  return {};
}

/// The spec of a small experiment: the family's example, learning from `sources`.
Spec spec_of(const Description& d, const std::vector<std::string>& sources) {
  Json json{{"marginalia", 1},
            {"seed", 5},
            {"device", "cpu"},
            {"training",
             {{"steps", 4}, {"batch_size", 8}, {"checkpoint", {{"every_steps", 2}, {"keep", 9}}}}}};
  json["family"] = test::example(d).json();
  for (const auto& [role, heads] : d.roles)
    if (auto network = network_with(heads); !network.is_null())
      json["network"][role] = std::move(network);
  for (const auto& source : sources)
    json[source] = source == "energy" ? Json::parse(kEnergy)
                                      : Json{{"type", "table"},
                                             {"train", "rows.txt"},
                                             {"valid", "rows.txt"},
                                             {"test", "rows.txt"}};
  return Spec::from_text(json.dump(), d.name + ".json", {table().path(), table().path()});
}

std::unique_ptr<Experiment> build(const Spec& spec) {
  return std::make_unique<Experiment>(test::in_float32(spec), test::loaded_registry(), "cpu");
}

/// Everything a family's training depends on, copied.
class Snapshot final : public StateVisitor {
 public:
  explicit Snapshot(Family& family) { family.visit(*this); }
  void operator()(const std::string& name, Tensor& tensor) override {
    CHECK(tensors.emplace(name, tensor.defined() ? tensor.detach().clone() : Tensor()).second);
  }
  std::map<std::string, Tensor> tensors;

 private:
  void parameter(const std::string& name, Tensor& tensor) override { (*this)(name, tensor); }
};

/// Bit for bit; NaN, what is not known, equals itself.
bool same_values(const Tensor& a, const Tensor& b) {
  return a.isnan().equal(b.isnan()) && a.nan_to_num().equal(b.nan_to_num());
}

/// Compares bit for bit.
void check_equal(const Snapshot& a, const Snapshot& b) {
  REQUIRE(a.tensors.size() == b.tensors.size());
  for (const auto& [name, tensor] : a.tensors) {
    CAPTURE(name);
    REQUIRE(b.tensors.count(name));
    const auto& other = b.tensors.at(name);
    REQUIRE(tensor.defined() == other.defined());
    if (tensor.defined()) CHECK(tensor.equal(other));
  }
}

/// A family after four steps, and the run it wrote.
struct Trained4 {
  test::TempDir folder;
  Spec spec;
  std::unique_ptr<Experiment> experiment;
  std::filesystem::path checkpoints() const { return folder.path() / "run" / "checkpoints"; }
  Family& family() const { return *experiment->family; }
};

/// A family in all the surroundings that it can be built in, after training there.
std::vector<std::unique_ptr<Trained4>> train_everywhere(
    const Description& d, const std::vector<std::string>& settings = {}) {
  std::vector<std::unique_ptr<Trained4>> all;
  const std::vector<std::vector<std::string>> surroundings{
      {"energy"}, {"dataset"}, {"dataset", "energy"}};
  for (const auto& sources : surroundings) {
    auto made = std::unique_ptr<Trained4>(new Trained4{{}, spec_of(d, sources).with(settings), {}});
    try {
      made->experiment = build(made->spec);
    } catch (const SpecError& e) {
      MESSAGE(d.name, " is not built from ", fmt::format("{}", fmt::join(sources, " and ")), ": ",
              std::string(e.what()));
      continue;
    }
    const auto run = RunDirectory::create(made->folder.path() / "run", false);
    const auto end = train(*made->experiment, run, {}, {});
    CHECK(end.outcome == Outcome::kFinished);
    CHECK(end.state.step == 4);
    made->family().set_training(false);
    all.push_back(std::move(made));
  }
  return all;
}

using AllTrained = std::map<std::string, std::vector<std::unique_ptr<Trained4>>>;
const AllTrained& all_trained() {
  static const AllTrained all = [] {
    AllTrained trained;
    for (const auto& [name, entry] : test::loaded_registry().all<Family>())
      trained[name] = train_everywhere(entry.description);
    return trained;
  }();
  return all;
}

/// Calls `check` with every family, trained in all surroundings that it can be built in.
template <class F>
void for_each_family(F check) {
  for (const auto& [name, trained] : all_trained()) {
    CAPTURE(name);
    CHECK_FALSE(trained.empty());  // it can be built somewhere
    for (const auto& made : trained)
      check(*made);
  }
}

/// Calls `check` with every family and each way it answers questions of one kind.
template <class F>
void for_each_capability(QueryKind kind, F check) {
  for_each_family([&](Trained4& t) {
    for (const auto& c : t.family().capabilities())
      if (c.kind == kind) {
        CAPTURE(c.estimator);
        check(t.family(), c);
      }
  });
}

Answer ask(const Family& family, Query query) {
  Stream stream(6, "contracts");
  return family.answer(query, stream);
}

/// Whether what an estimator says is normalised by construction: a chain of conditionals along one
/// order, or the model's exact answer.
bool normalised(const Capability& c) {
  return c.estimator == "chain" || c.status == Status::kExact;
}

bool has(const Family& family, QueryKind kind, const std::string& estimator) {
  return std::ranges::any_of(family.capabilities(), [&](const Capability& c) {
    return c.kind == kind && c.estimator == estimator;
  });
}

TEST_CASE("every family trains, and says what it answers") {
  for_each_family([](Trained4& t) {
    CHECK(t.family().space().cardinalities == t.experiment->space().cardinalities);
    const auto capabilities = t.family().capabilities();
    CHECK_FALSE(capabilities.empty());
    for (const auto& c : capabilities) {
      CHECK_FALSE(c.estimator.empty());
      CHECK_FALSE(c.passes.empty());
    }
    for (const auto& group : t.family().parameters())
      for (const auto& [name, parameter] : group.parameters) {
        CAPTURE(name);
        CHECK(parameter.isfinite().all().item<bool>());
        CHECK(parameter.requires_grad());
      }
  });
}

/// The types of what a family trains, each once.
std::set<at::ScalarType> types_of(Family& family) {
  std::set<at::ScalarType> types;
  for (const auto& group : family.parameters())
    for (const auto& [_, parameter] : group.parameters)
      types.insert(parameter.scalar_type());
  return types;
}

TEST_CASE("every family trains and answers in float64") {
  for (const auto& [name, entry] : test::loaded_registry().all<Family>()) {
    CAPTURE(name);
    for (const auto& made : train_everywhere(entry.description, {"training.precision=float64"})) {
      const auto types = types_of(made->family());
      CHECK((types.empty() || types == std::set<at::ScalarType>{torch::kDouble}));
      const auto partial = test::mixed_states(made->family().space(), 2);
      for (const auto& c : made->family().capabilities())
        CHECK(ask(made->family(), {c.kind, partial, {}, c.estimator}).value.defined());
    }
  }
}

TEST_CASE("a family that answers in float64 is measured so in training, and trains on in float32") {
  for (const auto& [name, entry] : test::loaded_registry().all<Family>()) {
    CAPTURE(name);
    for (const auto& made :
         train_everywhere(entry.description, {"evaluation.precision=float64",
                                              "evaluation.every_steps=2", "evaluation.every_rows=4",
                                              "evaluation.during=[\"marginal_seconds\"]"})) {
      const auto partial = test::mixed_states(made->family().space(), 2);
      for (const auto& c : made->family().capabilities())
        CHECK(ask(made->family(), {c.kind, partial, {}, c.estimator}).value.defined());
      made->family().set_training(true);
      const auto types = types_of(made->family());
      CHECK((types.empty() || types == std::set<at::ScalarType>{torch::kFloat}));
    }
  }
}

TEST_CASE("the query matrix says what families answer") {
  const auto matrix = query_matrix(test::loaded_registry());
  const auto as_text = [](const std::vector<Capability>& capabilities) {
    std::string text;
    for (const auto& c : capabilities)
      text +=
          fmt::format("{} {} {} {}\n", name_of(c.kind), c.estimator, name_of(c.status), c.passes);
    return text;
  };
  for (const auto& [name, trained] : all_trained()) {
    CAPTURE(name);
    for (const auto& made : trained) {
      const bool has_energy = !made->spec.json().value("energy", Json()).is_null();
      if (has_energy && !made->spec.json().value("dataset", Json()).is_null())
        continue;  // learned from both
      const auto row = std::ranges::find_if(matrix, [&](const AnswersOfFamily& of) {
        return of.family == name &&
               (of.source == "either" || of.source == (has_energy ? "energy" : "dataset"));
      });
      REQUIRE(row != matrix.end());
      CHECK(as_text(row->capabilities) == as_text(made->family().capabilities()));
    }
  }
  const auto table = query_table(matrix);
  CHECK(std::ranges::count(table.substr(0, table.find("\n\n")), '\n') + 1 ==
        std::int64_t(matrix.size()) + 2);
}

TEST_CASE("a family's answers have their shapes, repeat, and name their estimator") {
  for (const auto kind :
       {QueryKind::kLogMarginal, QueryKind::kConditionals, QueryKind::kSample, QueryKind::kLogZ}) {
    const std::string kind_name(name_of(kind));
    CAPTURE(kind_name);
    for_each_capability(kind, [&](const Family& family, const Capability& c) {
      const auto& space = family.space();
      const auto partial = test::mixed_states(space, 5);
      const auto before = partial.clone();
      const Query query{kind, partial, {}, c.estimator};
      const auto answer = ask(family, query);
      CHECK(partial.equal(before));
      CHECK(answer.estimator == c.estimator);
      CHECK(answer.passes >= 0);
      const auto B = partial.size(0), D = space.dimension(), K = space.levels();
      REQUIRE(answer.value.defined());
      CHECK(answer.value.is_cpu());
      // log q of a sample may be unknown; every other number is one
      if (kind != QueryKind::kSample) CHECK_FALSE(answer.value.isnan().any().item<bool>());
      if (kind == QueryKind::kConditionals)
        CHECK(answer.value.sizes() == at::IntArrayRef{B, D, K});
      else
        CHECK(answer.value.sizes() == at::IntArrayRef{kind == QueryKind::kLogZ ? 1 : B});
      if (kind != QueryKind::kConditionals) CHECK((answer.value.scalar_type() == torch::kDouble));
      const auto again = ask(family, query);
      CHECK(same_values(again.value, answer.value));
      if (kind == QueryKind::kSample) CHECK(again.states.equal(answer.states));
    });
  }
}

TEST_CASE("the first estimator is the default, and one that is not there is refused") {
  for_each_family([](Trained4& t) {
    const auto first = t.family().capabilities().front();
    const auto partial = test::mixed_states(t.family().space(), 2);
    CHECK(ask(t.family(), {first.kind, partial}).estimator == first.estimator);
    CHECK_THROWS_AS(ask(t.family(), {first.kind, partial, {}, "tea_leaves"}), SpecError);
  });
}

TEST_CASE("a family refuses what is no partial state") {
  for_each_family([](Trained4& t) {
    const auto first = t.family().capabilities().front();
    const auto& label = t.family().label();
    const auto refused = [&](const Tensor& partial) {
      return test::refusal([&] { ask(t.family(), {first.kind, partial}); });
    };
    CHECK(refused(torch::full({1, 9}, 2, torch::kLong)) ==
          label + ": variable 0 must be 0 to 1 or -1 for unknown, not 2");
    CHECK(refused(torch::zeros({1, 8}, torch::kLong)) ==
          label + ": states must be int64 [B, 9], not Long [1, 8]");
  });
}

TEST_CASE("probabilities of all states sum to one") {
  for_each_capability(QueryKind::kLogMarginal, [](const Family& family, const Capability& c) {
    const auto states = all_states(family.space());
    const auto log_p =
        ask(family, {QueryKind::kLogMarginal, states, {}, c.estimator, 2, Order::kForward}).value;
    if (normalised(c)) CHECK(log_p.logsumexp(0).item<double>() == doctest::Approx(0).epsilon(1e-5));
    const auto nothing =
        ask(family, {QueryKind::kLogMarginal, family.space().empty(), {}, c.estimator});
    CHECK(std::abs(nothing.value.item<double>()) < 1e-5);  // p(nothing known) = 1
  });
}

TEST_CASE("probabilities given evidence sum to one over what is asked for") {
  for_each_capability(QueryKind::kLogMarginal, [](const Family& family, const Capability& c) {
    const auto& space = family.space();
    const StateSpace asked{{space.cardinalities[1], space.cardinalities[4]}, {2}};
    const auto values = all_states(asked);
    auto given = space.empty().repeat({values.size(0), 1});
    given.select(1, 0).fill_(1);
    given.select(1, 7).fill_(0);
    auto partial = given.clone();
    partial.select(1, 1).copy_(values.select(1, 0));
    partial.select(1, 4).copy_(values.select(1, 1));
    const Query query{QueryKind::kLogMarginal, partial, given, c.estimator, 2, Order::kBackward};
    const auto log_p = ask(family, query).value;
    if (normalised(c)) CHECK(log_p.logsumexp(0).item<double>() == doctest::Approx(0).epsilon(1e-5));
    const auto same = ask(family, {QueryKind::kLogMarginal, given, given, c.estimator}).value;
    CHECK((same.abs() < 1e-5).all().item<bool>());  // p(evidence given itself) = 1
  });
}

TEST_CASE("conditionals of every unknown variable sum to one") {
  for_each_capability(QueryKind::kConditionals, [](const Family& family, const Capability& c) {
    const auto partial = test::mixed_states(family.space(), 8);
    const auto log_p = ask(family, {QueryKind::kConditionals, partial, {}, c.estimator}).value;
    const auto sums = log_p.logsumexp(2).masked_select(partial == kUnknown);
    CHECK((sums.abs() < 1e-5).all().item<bool>());
  });
}

TEST_CASE("samples keep the evidence, and are scored along their own order") {
  for_each_capability(QueryKind::kSample, [](const Family& family, const Capability& c) {
    const auto& space = family.space();
    const auto partial = test::mixed_states(space, 12);
    for (const auto order : {Order::kForward, Order::kBackward}) {
      const auto answer = ask(family, {QueryKind::kSample, partial, {}, c.estimator, 1, order});
      CHECK(test::refusal([&] { space.check(answer.states, false, "samples"); }) == "accepted");
      const auto known = partial != kUnknown;
      CHECK(answer.states.masked_select(known).equal(partial.masked_select(known)));
      for (const std::string estimator : {"chain", "exact"}) {
        if (!has(family, QueryKind::kLogMarginal, estimator)) continue;
        const auto scored =
            ask(family, {QueryKind::kLogMarginal, answer.states, partial, estimator, 1, order});
        CHECK(test::close(scored.value, answer.value, 1e-4));
      }
    }
  });
}

TEST_CASE("answering leaves the state of training alone") {
  for_each_family([](Trained4& t) {
    const Snapshot before(t.family());
    const auto partial = test::mixed_states(t.family().space(), 4);
    for (const auto& c : t.family().capabilities())
      ask(t.family(), {c.kind, partial, {}, c.estimator});
    check_equal(before, Snapshot(t.family()));
  });
}

TEST_CASE("a checkpoint holds all that answers depend on") {
  for_each_family([](Trained4& t) {
    const auto copy = build(t.spec.with({"seed=77"}));  // other initial values
    load_model(t.checkpoints() / "last.safetensors", *copy->family);
    copy->family->set_training(false);
    check_equal(Snapshot(t.family()), Snapshot(*copy->family));
    const auto partial = test::mixed_states(t.family().space(), 4);
    for (const auto& c : t.family().capabilities()) {
      CAPTURE(c.estimator);
      const Query query{c.kind, partial, {}, c.estimator};
      CHECK(same_values(ask(*copy->family, query).value, ask(t.family(), query).value));
    }
  });
}

TEST_CASE("a run resumed half-way ends where one that was never stopped does") {
  for_each_family([](Trained4& t) {
    const auto resumed = build(t.spec);
    {
      torch::NoGradGuard no_grad;  // whatever it starts with
      for (auto& group : resumed->family->parameters())
        for (auto& [name, parameter] : group.parameters)
          parameter.add_(1);
    }
    const test::TempDir folder;
    const auto run = RunDirectory::create(folder.path() / "run", false);
    const auto end = train(*resumed, run, t.checkpoints() / "step_000002.safetensors", {});
    CHECK(end.state.step == 4);
    check_equal(Snapshot(t.family()), Snapshot(*resumed->family));
  });
}

}  // namespace
