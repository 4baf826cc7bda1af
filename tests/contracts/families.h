#pragma once

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

namespace marginalia::test::families {

/// What families are held to: an energy of few enough states to sum over, and a table of its
/// states.
struct World {
  std::string name;
  std::filesystem::path folder;  ///< of the files that they name
  Json energy, dataset;
};

/// Nine bits and a table of them, drawn from the energy, as a text file.
inline World world_of_bits() {
  static const test::TempDir folder;
  const auto json = Json::parse(R"({"type": "ising", "side": 3, "coupling": 0.3, "field": -0.1})");
  Stream stream(4, "contracts");
  const auto energy = test::make<Energy>(json.dump());
  const auto x = energy->exact()->sample(torch::full({60, 9}, kUnknown, torch::kLong), stream);
  std::ofstream file(folder / "rows.txt");
  for (std::int64_t n = 0; n < x.size(0); ++n)
    for (std::int64_t i = 0; i < 9; ++i)
      file << x[n][i].item<std::int64_t>() << (i == 8 ? "\n" : " ");
  REQUIRE(bool(file));
  return {"nine bits", folder.path(), json,
          Json::parse(R"({"type": "table", "train": "rows.txt", "valid": "rows.txt",
                          "test": "rows.txt"})")};
}

/// Variables of 2, 3 and 5 values, of which training rows do not show all.
inline World mixed_world() {
  return {"variables of 2, 3 and 5 values", MARGINALIA_TEST_DATA,
          Json::parse(R"({"type": "factor_graph", "file": "mixed.uai"})"),
          Json::parse(R"({"type": "table", "name": "mixed"})")};
}

inline const std::vector<World>& worlds() {
  static const std::vector<World> all{world_of_bits(), mixed_world()};
  return all;
}

/// A registered network that has `heads`, as its example builds it; null where there is none.
inline Json network_with(HeadSet heads, const World& world) {
  const auto energy = test::loaded_registry().make<Energy>(
      Spec::from_text(world.energy.dump(), "energy.json", {world.folder, world.folder}));
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
inline Spec make_spec(const Description& d, const World& world,
                      const std::vector<std::string>& sources) {
  Json json{{"marginalia", 1},
            {"seed", 5},
            {"device", "cpu"},
            {"training",
             {{"steps", 4}, {"batch_size", 8}, {"checkpoint", {{"every_steps", 2}, {"keep", 9}}}}}};
  json["family"] = test::example(d).json();
  for (const auto& [role, heads] : d.roles)
    if (auto network = network_with(heads, world); !network.is_null())
      json["network"][role] = std::move(network);
  for (const auto& source : sources)
    json[source] = source == "energy" ? world.energy : world.dataset;
  return Spec::from_text(json.dump(), d.name + ".json", {world.folder, MARGINALIA_TEST_DATA});
}

inline std::unique_ptr<Experiment> build(const Spec& spec) {
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
inline bool same_values(const Tensor& a, const Tensor& b) {
  return a.isnan().equal(b.isnan()) && a.nan_to_num().equal(b.nan_to_num());
}

/// Compares bit for bit.
inline void check_equal(const Snapshot& a, const Snapshot& b) {
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
inline std::vector<std::unique_ptr<Trained4>> train_everywhere(
    const Description& d, const std::vector<std::string>& settings = {}) {
  std::vector<std::unique_ptr<Trained4>> all;
  const std::vector<std::vector<std::string>> surroundings{
      {"energy"}, {"dataset"}, {"dataset", "energy"}};
  for (const auto& world : worlds())
    for (const auto& sources : surroundings) {
      auto made = std::unique_ptr<Trained4>(
          new Trained4{{}, make_spec(d, world, sources).with(settings), {}});
      try {
        made->experiment = build(made->spec);
      } catch (const SpecError& e) {
        MESSAGE(d.name, " is not built from ", fmt::format("{}", fmt::join(sources, " and ")),
                " of ", world.name, ": ", std::string(e.what()));
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
inline const AllTrained& all_trained() {
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
inline void for_each_family(F check) {
  for (const auto& [name, trained] : all_trained()) {
    CAPTURE(name);
    CHECK_FALSE(trained.empty());  // it can be built somewhere
    for (const auto& made : trained)
      check(*made);
  }
}

/// Calls `check` with every family and each way it answers questions of one kind.
template <class F>
inline void for_each_capability(QueryKind kind, F check) {
  for_each_family([&](Trained4& t) {
    for (const auto& c : t.family().capabilities())
      if (c.kind == kind) {
        CAPTURE(c.estimator);
        check(t.family(), c);
      }
  });
}

inline Answer ask(const Family& family, Query query) {
  Stream stream(6, "contracts");
  return family.answer(query, stream);
}

/// Whether what an estimator said is normalised by construction: a chain of conditionals along one
/// order, or an exact answer.
inline bool normalised(const Capability& c, const Answer& answer) {
  return c.estimator == "chain" || c.status == Status::kExact || answer.status == Status::kExact;
}

inline bool has(const Family& family, QueryKind kind, const std::string& estimator) {
  return std::ranges::any_of(family.capabilities(), [&](const Capability& c) {
    return c.kind == kind && c.estimator == estimator;
  });
}

}  // namespace marginalia::test::families
