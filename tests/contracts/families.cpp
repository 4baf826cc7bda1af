#include "families.h"

using namespace marginalia;
using namespace marginalia::test::families;
using torch::Tensor;

namespace {

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
std::set<at::ScalarType> list_types(Family& family) {
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
      const auto types = list_types(made->family());
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
      const auto types = list_types(made->family());
      CHECK((types.empty() || types == std::set<at::ScalarType>{torch::kFloat}));
    }
  }
}

TEST_CASE("the query matrix says what families answer") {
  const auto matrix = query_matrix(test::loaded_registry());
  const auto as_text = [](const std::vector<Capability>& capabilities) {
    std::string text;
    for (const auto& c : capabilities)
      text += fmt::format("{} {} {} {}\n", to_string(c.kind), c.estimator, to_string(c.status),
                          c.passes);
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
      if (row == matrix.end() && name == "python") continue;  // answers what its file does
      REQUIRE(row != matrix.end());
      CHECK(as_text(row->capabilities) == as_text(made->family().capabilities()));
    }
  }
  const auto table = query_table(matrix);
  CHECK(std::ranges::count(table.substr(0, table.find("\n\n")), '\n') + 1 ==
        std::int64_t(matrix.size()) + 2);
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

/// The lines of metrics.jsonl without the seconds that they tell.
std::vector<Json> read_numbers(const std::filesystem::path& run) {
  std::vector<Json> lines;
  std::ifstream in(run / "metrics.jsonl");
  for (std::string text; std::getline(in, text);) {
    auto& line = lines.emplace_back();
    const auto all = Json::parse(text);
    for (const auto& [name, value] : all.items())
      if (name.find("seconds") == std::string::npos) line[name] = value;
  }
  return lines;
}

TEST_CASE("a run resumed half-way ends where one that was never stopped does, and says the same") {
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
    const auto lines = read_numbers(folder / "run");
    CHECK(lines.size() == 1);  // of all four steps: two before the checkpoint, two after
    CHECK(lines == read_numbers(t.folder / "run"));
  });
}

}  // namespace
