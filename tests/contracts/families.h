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

/// Nine bits: small enough to sum over.
inline constexpr const char* kEnergy =
    R"({"type": "ising", "side": 3, "coupling": 0.3, "field": -0.1})";

/// A table of nine bits, drawn from the energy, as text files.
inline const test::TempDir& table() {
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
inline Json network_with(HeadSet heads) {
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
inline Spec make_spec(const Description& d, const std::vector<std::string>& sources) {
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
std::vector<std::unique_ptr<Trained4>> train_everywhere(
    const Description& d, const std::vector<std::string>& settings = {}) {
  std::vector<std::unique_ptr<Trained4>> all;
  const std::vector<std::vector<std::string>> surroundings{
      {"energy"}, {"dataset"}, {"dataset", "energy"}};
  for (const auto& sources : surroundings) {
    auto made =
        std::unique_ptr<Trained4>(new Trained4{{}, make_spec(d, sources).with(settings), {}});
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

/// Whether what an estimator says is normalised by construction: a chain of conditionals along one
/// order, or the model's exact answer.
inline bool normalised(const Capability& c) {
  return c.estimator == "chain" || c.status == Status::kExact;
}

inline bool has(const Family& family, QueryKind kind, const std::string& estimator) {
  return std::ranges::any_of(family.capabilities(), [&](const Capability& c) {
    return c.kind == kind && c.estimator == estimator;
  });
}

}  // namespace marginalia::test::families
