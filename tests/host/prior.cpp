#include <atomic>
#include <fstream>
#include <set>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "built.h"
#include "host/execution/answer.h"
#include "host/execution/run.h"
#include "host/training/batches.h"
#include "marginalia_test.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

/// A folder with 60 rows of four bits, of which neighbours mostly agree.
struct Bench {
  test::TempDir folder;

  Bench() {
    torch::manual_seed(8);
    std::ofstream file(folder / "rows.txt");
    for (int n = 0; n < 60; ++n) {
      bool bit = torch::rand({1}).item<float>() < 0.5;
      for (int i = 0; i < 4; ++i) {
        if (torch::rand({1}).item<float>() < 0.2) bit = !bit;
        file << int(bit) << (i < 3 ? "," : "\n");
      }
    }
  }
  Spec spec(const std::string& prior, const std::string& more = "") const {
    return Spec::from_text(
        fmt::format(R"({{"marginalia": 2, "seed": 4, "device": "cpu", "prior": {},
          "dataset": {{"type": "table", "train": "rows.txt", "valid": "rows.txt",
                       "test": "rows.txt"}},
          "network": {{"type": "mlp", "hidden": 8, "layers": 1, "prior": "family"}},
          "family": {{"type": "mam", "states": "data",
                      "objective": {{"type": "denoising", "targets": "paths"}}}},
          "training": {{"steps": 6, "batch_size": 10, "precision": "float32",
                        "optimizer": {{"learning_rate": 0.01}} {}}},
          "evaluation": {{"metrics": ["nll"]}}}})",
                    prior, more),
        "spec.json", {folder.path(), folder.path()});
  }
};

const std::string kCircuit = R"({"family": {"type": "circuit", "latents": 2},
  "training": {"steps": 5, "batch_size": 20}, "cross_fit": ")";

/// Which answers before it is trained.
const std::string kMixture = R"({"family": {"type": "continuous_mixture", "leaves": "chow_liu",
                                            "hidden": 4, "points": 8, "points_test": 8}})";

Environment alone() {
  return {.registry = test::loaded_registry(), .device = "cpu", .threads = 1};
}

Tensor ask(const Family& family, QueryKind kind, const Tensor& x) {
  Stream stream(1, "asked");
  return family.answer({.kind = kind, .partial = x}, stream).value;
}

const Tensor kPartial = torch::tensor({{-1, -1, -1, -1}, {1, -1, 0, -1}, {0, 1, -1, -1}});

}  // namespace

TEST_CASE("a network begins with what its prior says, exactly") {
  const Bench bench;
  const Experiment experiment(bench.spec(kMixture), test::loaded_registry());
  const auto& prior = *experiment.prior->family;
  const auto unknown = (kPartial == kUnknown).unsqueeze(2);
  const auto difference = ask(*experiment.family, QueryKind::kConditionals, kPartial) -
                          ask(prior, QueryKind::kConditionals, kPartial);
  CHECK(difference.masked_select(unknown).abs().max().item<double>() < 1e-6);
  CHECK(ask(*experiment.family, QueryKind::kLogMarginal, kPartial)
            .allclose(ask(prior, QueryKind::kLogMarginal, kPartial), 0, 1e-5));
}

TEST_CASE("a prior is trained first, is in the checkpoint, and stays as it is") {
  const Bench bench;
  for (const std::string cross_fit : {"off", "on"}) {
    CAPTURE(cross_fit);
    const auto folder = bench.folder / cross_fit;
    std::vector<std::string> said;
    Hooks hooks{.say = [&](const std::string& text) { said.push_back(text); }};
    run({bench.spec(kCircuit + cross_fit + "\"}"), folder}, alone(), hooks);
    const auto gap = std::ranges::find_if(
        said, [](const auto& text) { return text.starts_with("prior: log p of training rows"); });
    REQUIRE(gap != said.end());
    CHECK(gap->ends_with("kept back") == (cross_fit == "on"));
    const auto record = Json::parse(read_text(folder / "run.json"));
    CHECK(record.at("prior").at("folds") == (cross_fit == "on" ? 5 : 0));

    const auto before = open_run(folder / "prior/all", "", alone());
    fs::rename(folder / "prior", bench.folder / ("gone_" + cross_fit));
    const auto after = open_run(folder, "", alone());
    CHECK(ask(*after.experiment.prior->family, QueryKind::kLogMarginal, kPartial)
              .equal(ask(*before.experiment.family, QueryKind::kLogMarginal, kPartial)));
  }
}

TEST_CASE("a run with a prior that is interrupted and resumed ends where an unbroken one does") {
  const Bench bench;
  const auto spec = bench.spec(kCircuit + "on\"}", R"(, "checkpoint": {"every_steps": 2})");
  run({spec, bench.folder / "whole"}, alone());
  std::atomic<bool> stop{false};
  Hooks hooks{.stop = &stop};
  int calls = 0;
  hooks.progress = [&](const TrainingState&, const TrainingParams&, double, double) {
    stop = ++calls == 3;  // while the third of the six priors is trained
  };
  CHECK(run({spec, bench.folder / "parts"}, alone(), hooks).outcome == Outcome::kInterrupted);
  CHECK(resume({bench.folder / "parts"}, alone()).outcome == Outcome::kFinished);
  const auto numbers = [&](const std::string& name) {
    return Json::parse(read_text(bench.folder / (name + "/evaluation.json"))).at("metrics");
  };
  CHECK(numbers("parts") == numbers("whole"));
}

TEST_CASE("the prior of a run is taken from it, and named by it") {
  const Bench bench;
  auto plain = bench.spec(R"({"family": {"type": "chow_liu"}})").json();
  plain["family"] = {{"type", "circuit"}, {"latents", 2}};
  for (const auto* key : {"prior", "network"})
    plain.erase(key);
  const auto first = bench.folder / "first";
  run({bench.spec("{}").with_document(plain), first}, alone());
  const auto folder = bench.folder / "second";
  run({bench.spec(fmt::format(R"({{"run": "{}"}})", first.string())), folder}, alone());
  fs::rename(first, bench.folder / "moved");
  const auto second = open_run(folder, "", alone());
  const auto one = open_run(bench.folder / "moved", "", alone());
  CHECK(ask(*second.experiment.prior->family, QueryKind::kLogMarginal, kPartial)
            .equal(ask(*one.experiment.family, QueryKind::kLogMarginal, kPartial)));
}

TEST_CASE("a prior learns from rows that a model draws, and is whole without that model") {
  const Bench bench;
  // The model draws rows of ones alone, which few of the dataset's are.
  std::ofstream(bench.folder / "ones.txt") << "1,1,1,1\n";
  auto plain = bench.spec("{}").json();
  for (const auto* key : {"prior", "network"})
    plain.erase(key);
  plain["family"] = {{"type", "independent"}};
  plain["training"] = {{"steps", 1}};
  for (const auto* split : {"train", "valid", "test"})
    plain["dataset"][split] = "ones.txt";
  const auto model = bench.folder / "model";
  run({bench.spec("{}").with_document(plain), model}, alone());

  const auto spec = bench.spec(fmt::format(
      R"({{"family": {{"type": "independent"}}, "training": {{"steps": 1}},
           "drawn_from": {{"run": "{}", "rows": 5000}}}})",
      model.string()));
  std::vector<std::string> said;
  Hooks hooks{.say = [&](const std::string& text) { said.push_back(text); }};
  run({spec, bench.folder / "first"}, alone(), hooks);
  CHECK(std::ranges::count(said, fmt::format("prior: {} draws 5000 rows", model.string())) == 1);
  fs::rename(model, bench.folder / "moved");
  const auto first = open_run(bench.folder / "first", "", alone());
  const auto drawn = ask(*open_run(bench.folder / "moved", "", alone()).experiment.family,
                         QueryKind::kLogMarginal, kPartial);
  const auto learned = ask(*first.experiment.prior->family, QueryKind::kLogMarginal, kPartial);
  CHECK((learned - drawn).abs().max().item<double>() < 0.15);  // of 5000 rows
  CHECK(first.experiment.prior->family->folds() == 0);

  CHECK(test::refusal([&] {
          run({spec, bench.folder / "second"}, alone());
        }).find("model: is not a run directory") != std::string::npos);
  CHECK(!fs::exists(bench.folder / "second"));
}

TEST_CASE("batches of a fold have its rows alone, each once an epoch") {
  const Bench bench;
  const Experiment experiment(bench.spec(R"({"family": {"type": "chow_liu"}})"),
                              test::loaded_registry());
  class Numbers final : public Dataset {
   public:
    const StateSpace& space() const override { return space_; }
    std::int64_t size(Split) const override { return 23; }

   private:
    Tensor compute_rows(Split, const Tensor& indices, std::uint64_t) const override {
      return indices.unsqueeze(1);
    }
    StateSpace space_{{23}, {1}};
  } const numbers;
  Batches batches(numbers, 5, 2, 5);
  std::map<std::int64_t, std::multiset<std::int64_t>> seen;
  for (std::int64_t n = 0; n < 5 * 5; ++n) {  // of four or five rows a fold: ten rows of each
    CHECK(batches.fold(2 * n) == n % 5);
    const auto rows = batches.take(2 * n);
    for (std::int64_t b = 0; b < 2; ++b)
      seen[n % 5].insert(rows[b][0].item<std::int64_t>());
  }
  for (const auto& [fold, rows] : seen)
    for (const auto row : rows) {
      CHECK(row % 5 == fold);
      const auto often = rows.count(row);
      CHECK(often >= 2);
      CHECK(often <= 3);
    }
}

TEST_CASE("what is wrong with a prior is said before anything is built") {
  const Bench bench;
  const auto refused = [&](const std::string& prior) {
    return test::refusal(
        [&] { const Experiment experiment(bench.spec(prior), test::loaded_registry()); });
  };
  CHECK(refused("{}").find("give \"run\", a run of an exact family, or \"family\"") !=
        std::string::npos);
  CHECK(refused(R"({"famly": {"type": "circuit"}})").find("did you mean \"family\"?") !=
        std::string::npos);
  CHECK(refused(R"({"family": {"type": "circus"}})").find("circuit") != std::string::npos);
  CHECK(refused(R"({"run": "nowhere"})").find("nowhere is no run") != std::string::npos);
  CHECK(refused(R"({"family": {"type": "circuit"}, "cross_fit": "maybe"})")
            .find("\"cross_fit\" must be one of auto, on, off") != std::string::npos);
  CHECK(refused(R"({"family": {"type": "circuit"}, "cross_fit": false})")
            .find("\"cross_fit\" must be one of auto, on, off, not false") != std::string::npos);
  CHECK(refused(R"({"run": 5})").find("\"run\" must be the folder of a run, not 5") !=
        std::string::npos);
  const std::string circuit = R"({"family": {"type": "circuit"}, "drawn_from": )";
  CHECK(refused(circuit + R"("runs/a"})").find("must be an object with \"run\"") !=
        std::string::npos);
  CHECK(refused(circuit + R"({"run": "a", "rows": 0}})").find("\"rows\" must be a whole number") !=
        std::string::npos);
  CHECK(refused(circuit + R"({"run": "a", "row": 5}})").find("did you mean \"rows\"?") !=
        std::string::npos);
  CHECK(refused(circuit + R"({"run": "a"}, "cross_fit": "on"})").find("none of which is learned") !=
        std::string::npos);
  CHECK(refused(R"({"family": {"type": "any_order_arm"}})") != "");
  auto without = bench.spec("{}").json();
  without.erase("prior");
  CHECK(test::refusal([&] {
          const Experiment experiment(bench.spec("{}").with_document(without),
                                      test::loaded_registry());
        }).find("\"prior\": \"family\" needs a \"prior\" in the spec") != std::string::npos);
}
