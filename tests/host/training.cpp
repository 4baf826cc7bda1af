#include <cmath>
#include <fstream>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "host/training/checkpoint.h"
#include "host/training/trainer.h"
#include "marginalia_test.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

/// A run of every kind of state: chains, labels, average, momentum, accumulation.
std::string spec_text(const std::string& more = "") {
  return R"({"marginalia": 1, "seed": 5,
    "energy": {"type": "ising", "side": 3},
    "network": {"type": "lattice_conv", "channels": 4, "depth": 1, "prior": "local"},
    "family": {"type": "mam", "label_sweeps": 2,
               "chain": {"count": 32, "burn_in": 3, "replay": 20}},
    "training": {"steps": 12, "batch_size": 16, "accumulate": 2, "moving_average": 0.9,
                 "clip_norm": 1, "log_every_steps": 3, "schedule": {"type": "cosine"},
                 "checkpoint": {"every_steps": 4, "keep": 10})" +
         more + "}}";
}

struct Run {
  Experiment experiment;
  RunDirectory directory;
  Run(const fs::path& path, const std::string& text)
      : experiment(Spec::from_text(text, "spec.json"), test::loaded_registry(), "cpu"),
        directory(fs::exists(path) ? RunDirectory::open(path, true)
                                   : RunDirectory::create(path, false)) {
    directory.set_record({{"spec", experiment.resolved}});
  }
  Training train(const fs::path& from = {}, const TrainingHooks& hooks = {}) {
    return marginalia::train(experiment, directory, from, hooks);
  }
};

/// Dies when it is asked for the n-th time.
class Failing final : public Energy {
 public:
  Failing(std::shared_ptr<Energy> of, int n) : of_(std::move(of)), left_(n) {}
  const StateSpace& space() const override { return of_->space(); }

 private:
  Tensor compute_log_density(const Tensor& x) const override {
    if (--left_ == 0) throw Error("the reward has died");
    return of_->log_density(x);
  }
  std::shared_ptr<Energy> of_;
  mutable int left_;
};

std::vector<Json> read_metrics(const fs::path& run) {
  std::vector<Json> lines;
  std::ifstream in(run / "metrics.jsonl");
  for (std::string line; std::getline(in, line);)
    lines.push_back(Json::parse(line));
  return lines;
}

/// The lines of metrics.jsonl without the seconds that they tell.
std::vector<Json> read_numbers(const fs::path& run) {
  auto lines = read_metrics(run);
  for (auto& line : lines)
    for (const auto* clock : {"seconds", "train/step_seconds"})
      line.erase(clock);
  return lines;
}

/// Everything in a checkpoint but the seconds it took.
bool same_checkpoint(const fs::path& a, const fs::path& b) {
  const auto x = read_safetensors(a), y = read_safetensors(b);
  if (x.tensors.size() != y.tensors.size()) return false;
  for (const auto& [name, tensor] : x.tensors) {
    const auto other = y.tensors.find(name);
    if (other == y.tensors.end() || !tensor.equal(other->second)) {
      MESSAGE("differs: " << name);
      return false;
    }
  }
  auto s = Json::parse(x.metadata.at("training")), t = Json::parse(y.metadata.at("training"));
  s.erase("seconds");
  t.erase("seconds");
  return s == t;
}

}  // namespace

TEST_CASE("a run that is stopped and resumed ends bit for bit where an unbroken one does") {
  test::TempDir folder;
  Run whole(folder / "whole", spec_text());
  CHECK(whole.train().outcome == Outcome::kFinished);
  const auto end = whole.directory.checkpoints() / "step_000012.safetensors";

  for (const std::int64_t kill : {1, 4, 5, 11}) {
    CAPTURE(kill);
    const auto path = folder / ("broken" + std::to_string(kill));
    {
      Run first(path, spec_text());
      std::atomic<bool> stop{false};
      TrainingHooks hooks;
      hooks.stop = &stop;
      // Stops at the first log at or after `kill`: the flag is read after every step.
      hooks.progress = [&](const TrainingState& state, const TrainingParams&, double, double) {
        stop = state.step >= kill;
      };
      first.experiment.training.log_every_steps = 1;
      const auto [outcome, state] = first.train({}, hooks);
      CHECK(outcome == Outcome::kInterrupted);
      CHECK(state.step == kill);
    }
    Run second(path, spec_text());
    std::vector<std::string> refused;
    const auto from = newest_checkpoint(second.directory.checkpoints(), refused);
    CHECK(refused.empty());
    CHECK(second.train(from).outcome == Outcome::kFinished);
    CHECK(same_checkpoint(end, second.directory.checkpoints() / "step_000012.safetensors"));
  }
}

TEST_CASE("a run resumed between two lines of metrics.jsonl writes what an unbroken one does") {
  test::TempDir folder;
  Run(folder / "whole", spec_text()).train();
  const std::atomic<bool> stop{true};
  const TrainingHooks after_every_step{&stop, {}};
  for (int step = 1; step <= 12; ++step) {
    Run part(folder / "broken", spec_text());
    std::vector<std::string> refused;
    const auto from = newest_checkpoint(part.directory.checkpoints(), refused);
    CHECK(part.train(from, after_every_step).state.step == step);
  }
  const auto whole = read_numbers(folder / "whole");
  REQUIRE(whole.size() == 4);
  CHECK(whole[0].contains("train/gradient_norm"));
  CHECK(whole == read_numbers(folder / "broken"));
}

TEST_CASE("sums of a line to be are kept to the last bit, NaN too; older checkpoints have none") {
  TrainingState state;
  state.recorded = {{"loss", {0.1 + 0.2, 3}}, {"chain", {NAN, 2}}, {"bound", {-INFINITY, 1}}};
  const auto text = state.to_text();
  const auto read = TrainingState::from_text(text).recorded;
  CHECK(read.size() == 3);
  CHECK(read.at("loss").sum == 0.1 + 0.2);
  CHECK(read.at("loss").count == 3);
  CHECK(std::isnan(read.at("chain").sum));
  CHECK(read.at("bound").sum == -INFINITY);
  auto older = Json::parse(text);
  older.erase("recorded");
  older.erase("unmeasured");
  CHECK(TrainingState::from_text(older.dump()).recorded.empty());
}

TEST_CASE("a torn newest checkpoint is passed over, and the end is still the same") {
  test::TempDir folder;
  { Run(folder / "whole", spec_text()).train(); }
  const auto end = folder.path() / "whole" / "checkpoints" / "step_000012.safetensors";
  const auto copy = folder / "copy.safetensors";
  fs::copy_file(end, copy);
  // As if killed while writing step 12, after a crash of the disk: half a file under its name.
  fs::resize_file(end, fs::file_size(end) / 2);
  Run again(folder / "whole", spec_text());
  std::vector<std::string> refused;
  const auto from = newest_checkpoint(again.directory.checkpoints(), refused);
  CHECK(from.filename() == "step_000008.safetensors");
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].find("torn") != std::string::npos);
  again.train(from);
  CHECK(same_checkpoint(copy, end));
  std::set<std::int64_t> steps;
  for (const auto& line : read_metrics(folder / "whole"))
    CHECK(steps.insert(line.at("step").get<std::int64_t>()).second);  // no step stands twice
  CHECK(steps == std::set<std::int64_t>{3, 6, 9, 12});
}

TEST_CASE("only the newest checkpoints are kept, and last names the newest") {
  test::TempDir folder;
  Run run(folder / "run", spec_text());
  run.experiment.training.checkpoint = {3, 2};
  run.train();
  std::set<std::string> files;
  for (const auto& entry : fs::directory_iterator(run.directory.checkpoints()))
    files.insert(entry.path().filename());
  CHECK(files == std::set<std::string>{"step_000009.safetensors", "step_000012.safetensors",
                                       "last.safetensors"});
  CHECK(fs::read_symlink(run.directory.checkpoints() / "last.safetensors") ==
        "step_000012.safetensors");
}

TEST_CASE("the same seed gives the same run, another seed another") {
  test::TempDir folder;
  Run a(folder / "a", spec_text()), b(folder / "b", spec_text());
  a.train();
  b.train();
  const auto last = fs::path("checkpoints") / "last.safetensors";
  CHECK(same_checkpoint(folder / "a" / last, folder / "b" / last));
  auto other = spec_text();
  other.replace(other.find("\"seed\": 5"), 9, "\"seed\": 6");
  Run c(folder / "c", other);
  c.train();
  CHECK_FALSE(same_checkpoint(folder / "a" / last, folder / "c" / last));
}

TEST_CASE("budgets of energy evaluations and passes end training") {
  test::TempDir folder;
  Run run(folder / "run", spec_text());
  run.experiment.training.budget.passes = 200;  // two micro-batches of 2 x 16 a step: 64
  CHECK(run.train().state.step == 4);
}

TEST_CASE("a run that its energy fails leaves a checkpoint, and resumed ends as an unbroken one") {
  for (const int accumulate : {1, 2}) {
    CAPTURE(accumulate);
    auto text = spec_text(R"(, "log_every_steps": 1)");
    for (const auto& [from, to] : {std::pair{std::string(R"("accumulate": 2)"),
                                             fmt::format(R"("accumulate": {})", accumulate)},
                                   {R"("every_steps": 4)", R"("every_steps": 0)"},
                                   {R"("log_every_steps": 3, )", ""}})
      text.replace(text.find(from), from.size(), to);
    test::TempDir folder;
    Run whole(folder / "whole", text);
    whole.train();
    {
      Run first(folder / "broken", text);
      const auto sound = first.experiment.energy;
      first.experiment.energy = std::make_shared<Failing>(sound, 7 * accumulate);  // in step 7
      CHECK(test::refusal([&] { first.train(); }) == "the reward has died");
    }
    Run second(folder / "broken", text);
    std::vector<std::string> refused;
    const auto from = newest_checkpoint(second.directory.checkpoints(), refused);
    CHECK(from.filename() == "step_000006.safetensors");
    CHECK(second.train(from).outcome == Outcome::kFinished);
    CHECK(same_checkpoint(whole.directory.checkpoints() / "step_000012.safetensors",
                          second.directory.checkpoints() / "step_000012.safetensors"));
  }
}

TEST_CASE("a run that its energy fails while it is measured in training measures it when resumed") {
  auto text = spec_text();
  text.replace(text.find(R"("every_steps": 4)"), 16, R"("every_steps": 0)");
  text.replace(text.rfind('}'), 1,
               R"(, "evaluation": {"every_steps": 5, "every_rows": 8, "during": ["ess"]}})");
  test::TempDir folder;
  Run(folder / "whole", text).train();
  // Twice a step, at two micro-batches; then for log Z, and for the samples of "ess".
  for (const int asked : {11, 12}) {
    CAPTURE(asked);
    const auto path = folder / fmt::format("broken{}", asked);
    {
      Run run(path, text);
      run.experiment.energy = std::make_shared<Failing>(run.experiment.energy, asked);
      CHECK(test::refusal([&] { run.train(); }) == "the reward has died");
    }
    Run rest(path, text);
    std::vector<std::string> refused;
    const auto from = newest_checkpoint(rest.directory.checkpoints(), refused);
    CHECK(from.filename() == "step_000005.safetensors");
    CHECK(rest.train(from).outcome == Outcome::kFinished);
    CHECK(read_numbers(path) == read_numbers(folder / "whole"));
  }
}

TEST_CASE("a loss that is not finite stops the run, and what led to it is kept") {
  test::TempDir folder;
  Run run(folder / "run", spec_text());
  run.experiment.training.optimizer.learning_rate = 1e30;
  const auto text = test::refusal([&] { run.train(); });
  CHECK(text.find("not_finite.safetensors") != std::string::npos);
  CHECK(fs::exists(run.directory.checkpoints() / "not_finite.safetensors"));
}
