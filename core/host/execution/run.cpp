#include <optional>
#include <random>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/precision.h>

#include "answer.h"
#include "host/describe/measurements.h"
#include "host/ranks/together.h"
#include "host/runs/samples.h"
#include "host/training/checkpoint.h"
#include "host/training/initialise.h"
#include "prior_training.h"
#include "records/report/report.h"
#include "records/runs/run_directory.h"
#include "run.h"
#include "run_parts.h"

namespace marginalia {
namespace {

namespace fs = std::filesystem;
using execution::now;
using execution::parameter_count;

constexpr std::int64_t kCompleted = 6;  // rows shown with some of their variables redrawn

void call(const std::function<void(const std::string&)>& hook, const std::string& text) {
  if (hook) hook(text);
}

/// Gives the family what it starts from, and says what that was.  -> the same, for the run's log;
/// empty where the spec names nothing. Throws SpecError where that cannot be had.
std::string take_initial_tensors(Experiment& experiment, const Hooks& hooks) {
  const auto& from = experiment.training.init;
  if (from.empty()) return "";
  const auto text = initialise(from, *experiment.family).text();
  call(hooks.say, text);
  return text;
}

/// A run that is trained and measured. Everything it learns on the way stands in its folder.
class Life {
  /// What fails stands in the run's record.
  template <class Work>
  auto recorded(Work work) {
    try {
      return work();
    } catch (const std::exception& e) {
      fail(describe_error(e));
      throw;
    }
  }

 public:
  Life(Experiment& experiment, RunDirectory& directory, const Environment& environment,
       const Hooks& hooks)
      : experiment_(experiment),
        directory_(directory),
        environment_(environment),
        facts_(collect_measurement_facts(environment.registry)),
        hooks_(hooks) {}

  RunResult go_on(const fs::path& checkpoint) {
    if (!begin(checkpoint)) return stopped_before();
    while (advance()) {
    }
    return end();
  }

  /// Makes ready for the first step.  -> false: told to stop.
  bool begin(const fs::path& checkpoint) {
    return recorded([&] {
      if (hooks_.begun) hooks_.begun(directory_.path());
      if (checkpoint.empty() &&
          !execution::train_prior(experiment_, directory_, environment_, hooks_))
        return false;
      loop_.emplace(experiment_, TrainingPlace{&directory_, environment_.ranks}, checkpoint,
                    TrainingHooks{hooks_.stop, hooks_.progress});
      return true;
    });
  }
  bool advance() {
    return recorded([&] { return loop_->advance(); });
  }
  RunResult end() {
    return recorded([&]() -> RunResult {
      const auto [outcome, state] = loop_->end();
      const bool is_interrupted = outcome == Outcome::kInterrupted;
      directory_.update({{"steps", state.step},
                         {"train_seconds", state.seconds},
                         {"energy_evaluations", state.energy_evaluations},
                         {"network_passes", state.passes},
                         {"ended", now()},
                         {"status", is_interrupted ? "interrupted" : "running"}});
      loop_.reset();
      if (is_interrupted) return interrupted(state.step, "checkpoint written");
      if (hooks_.trained) hooks_.trained();
      return {directory_.path(), outcome, state.step, finish()};
    });
  }
  /// Where `begin` was told to stop.
  RunResult stopped_before() {
    return interrupted(0, "before the first step; what the prior has learned is kept");
  }

  const TrainingLoop& loop() const { return *loop_; }

 private:
  RunResult interrupted(std::int64_t step, std::string_view what) {
    directory_.update({{"ended", now()}, {"status", "interrupted"}});
    directory_.log(fmt::format("interrupted: {}", what));
    return {directory_.path(), Outcome::kInterrupted, step, {}};
  }

  /// Measures with the checkpoint that answers; writes samples, evaluation.json and report.html.
  Json finish() {
    const auto path = directory_.path();
    const auto step = execution::load_finished(path, experiment_, environment_.ranks);
    for (const auto& warning : warn_of_training(*experiment_.family, hooks_))
      directory_.log("warning: " + warning);
    call(hooks_.say, fmt::format("evaluating step {} ...", step));
    auto evaluation = execution::make_evaluation(experiment_, step, path, environment_.ranks);
    directory_.write_evaluation(evaluation);
    const auto samples = experiment_.evaluation.samples;
    write_samples(experiment_, path, samples);
    write_completions(experiment_, path, std::min(samples, kCompleted));
    directory_.update({{"evaluation_seconds", evaluation.at("seconds")}});
    directory_.update({{"ended", now()}, {"status", "finished"}});
    directory_.log("finished");
    write_report(path, facts_);
    return evaluation;
  }

  void fail(const std::string& why) {
    try {  // the disk may be what failed: then the message that matters is the first one
      directory_.log("failed: " + why);
      directory_.update({{"ended", now()}, {"status", "failed"}, {"error", why}});
    } catch (const std::exception&) {
    }
  }

  Experiment& experiment_;
  RunDirectory& directory_;
  const Environment& environment_;
  MetricFacts facts_;
  const Hooks& hooks_;
  std::optional<TrainingLoop> loop_;
};

/// The spec of a run that goes on, in another precision where one is asked for.
Spec spec_to_resume(const RunDirectory& run, const fs::path& data, const Json& record,
                    const std::string& precision) {
  auto spec = run.spec(data);
  if (precision.empty()) return spec;
  const auto asked = Json::json_pointer("/precision/evaluation/asked");
  std::vector<std::string> settings{"training.precision=" + precision};
  if (record.contains(asked) && record.at(asked) == "auto")
    settings.emplace_back("evaluation.precision=auto");
  return spec.with(settings);
}

/// Numbers go on as they began: hardware that multiplied bfloat16 is not left without a word.
void check_hardware(const fs::path& folder, const Json& record, const Experiment& experiment) {
  const auto began = record.value("precision", Json::object()).value("training", Json::object());
  if (experiment.training.precision != "bfloat16" || !began.value("in_hardware", false)) return;
  if (const auto here = bfloat16_on(experiment.device); !here.in_hardware)
    throw SpecError(fmt::format("{}: was begun where bfloat16 is multiplied in hardware, and here "
                                "it is not: {}; go on with "
                                "--precision float32, or with --precision bfloat16, which is slow",
                                folder.string(), here.why));
}

}  // namespace

void open_parts(const Spec& spec, const Environment& environment, const Hooks& hooks) {
  Experiment experiment(spec, environment.registry, environment.device);
  take_initial_tensors(experiment, hooks);
  execution::open_drawing_model(experiment, environment, hooks);
}

namespace {

/// The folder of a new run, once all that it is built from was found good.
RunDirectory make_folder(const RunRequest& wanted, Experiment& experiment,
                         const Environment& environment, const Hooks& hooks) {
  const auto initial = take_initial_tensors(experiment, hooks);
  execution::open_drawing_model(experiment, environment, hooks);  // refused now, not later
  execution::warn_of_precision(experiment, {"training", "evaluation"}, hooks);
  auto directory = RunDirectory::create(wanted.folder, wanted.force);
  directory.set_record(execution::first_record(wanted, experiment, environment));
  if (const auto* dataset = experiment.dataset.get())
    if (const auto description = dataset->description(); !description.is_null())
      directory.write_description(description);
  directory.log("started");
  if (!initial.empty()) directory.log(initial);
  call(hooks.say,
       fmt::format("{} -> {}  ({} parameters, seed {}, {} threads, {})", wanted.spec.file(),
                   directory.path().string(), parameter_count(experiment), experiment.seed,
                   execution::count_threads(environment), experiment.device.str()));
  return directory;
}

/// The request with its precision among the settings.
RunRequest with_precision(RunRequest request) {
  if (request.precision.empty()) return request;
  request.overrides.push_back("training.precision=" + request.precision);
  request.spec = request.spec.with({request.overrides.back()});
  return request;
}

/// A seed that the spec does not name is drawn once for all ranks.
RunRequest with_common_seed(RunRequest request, Communicator* ranks) {
  if (!ranks) return request;
  const auto seed = ranks->broadcast(std::to_string(std::random_device()()));
  if (!request.spec.has("seed")) request.spec = request.spec.with({"seed=" + seed});
  return request;
}

}  // namespace

RunResult run(const RunRequest& request, const Environment& environment, const Hooks& hooks) {
  auto* const ranks = environment.ranks;
  const HeldThreads held(execution::count_threads(environment));
  const auto wanted = with_common_seed(with_precision(request), ranks);
  std::optional<Experiment> experiment;
  together(ranks,
           [&] { experiment.emplace(wanted.spec, environment.registry, environment.device); });
  if (ranks) execution::prepare_ranks(*ranks, *experiment, environment);
  std::optional<RunDirectory> directory;
  together(ranks, [&] {
    if (!ranks || ranks->is_first())
      directory.emplace(make_folder(wanted, *experiment, environment, hooks));
  });
  if (!directory) return execution::follow(wanted.folder, *experiment, {}, environment, hooks);
  return Life(*experiment, *directory, environment, hooks).go_on({});
}

SteppedRun::~SteppedRun() = default;

namespace {

class Stepped final : public SteppedRun {
 public:
  Stepped(const RunRequest& wanted, Environment environment, Hooks hooks)
      : environment_(std::move(environment)),
        hooks_(std::move(hooks)),
        experiment_(wanted.spec, environment_.registry, environment_.device),
        directory_(make_folder(wanted, experiment_, environment_, hooks_)),
        life_(experiment_, directory_, environment_, hooks_) {
    if (life_.begin({})) return;
    life_.stopped_before();
    throw Error("told to stop before training began");
  }
  bool advance() override { return life_.advance(); }
  RunResult end() override { return life_.end(); }
  const TrainingLoop& loop() const override { return life_.loop(); }

 private:
  Environment environment_;
  Hooks hooks_;
  Experiment experiment_;
  RunDirectory directory_;
  Life life_;
};

}  // namespace

std::unique_ptr<SteppedRun> run_in_steps(const RunRequest& request, Environment environment,
                                         Hooks hooks) {
  return std::make_unique<Stepped>(with_precision(request), std::move(environment),
                                   std::move(hooks));
}

namespace {

/// The same numbers need the same threads and device.
Environment as_begun(Environment environment, const Json& record) {
  if (environment.threads == 0) environment.threads = record.value("threads", 0);
  if (environment.device.empty()) environment.device = record.value("device", std::string());
  return environment;
}

/// What is drawn does not depend on the number of ranks, but in which order numbers are summed
/// does.
void check_ranks(const fs::path& folder, const Json& record, const Communicator* ranks) {
  const auto begun = record.value("ranks", 1), now = ranks ? ranks->size() : 1;
  if (begun == now) return;
  throw SpecError(fmt::format(
      "{}: was begun by {}, and would go on with {}: it would not end where it does unbroken, bit "
      "for bit; go on with {}",
      folder.string(), begun == 1 ? "one process" : fmt::format("{} ranks", begun),
      now == 1 ? "one" : std::to_string(now),
      begun == 1 ? "marginalia resume"
                 : fmt::format("marginalia launch --ranks {} resume", begun)));
}

/// The newest checkpoint that can be read; empty: there is none.
fs::path find_start(const RunDirectory& directory, const Hooks& hooks) {
  std::vector<std::string> refused;
  const auto from = newest_checkpoint(directory.checkpoints(), refused);
  for (const auto& why : refused)
    call(hooks.warn, "checkpoint passed over: " + why);
  return from;
}

/// Says in the run's records that it goes on.
void note_resumption(RunDirectory& directory, const ResumeRequest& request,
                     const Experiment& experiment, const Environment& environment,
                     const std::string& place) {
  directory.log("resumed from " + place);
  auto record = directory.record();
  record.update({{"status", "running"}, {"ended", nullptr}});
  record.erase("error");
  directory.set_record(record);
  if (environment.commit != directory.record().value("commit", ""))
    directory.update({{"resumed_at", environment.commit}});
  if (!request.precision.empty())
    directory.update({{"spec", experiment.resolved},
                      {"spec_sha256", spec_hash(experiment.resolved)},
                      {"precision", experiment.precision}});
}

}  // namespace

RunResult resume(const ResumeRequest& request, const Environment& environment, const Hooks& hooks) {
  const auto& [folder, precision] = request;
  auto* const ranks = environment.ranks;
  const bool writes = !ranks || ranks->is_first();
  std::optional<RunDirectory> directory;
  Json record;
  together(ranks, [&] {
    directory.emplace(RunDirectory::open(folder, writes));
    record = directory->record();
    check_ranks(folder, record, ranks);
  });
  if (record.value("status", "") == "finished") {
    call(hooks.say, folder.string() + ": is finished; nothing to do");
    if (writes && !fs::exists(folder / "report.html"))  // killed before it was written
      write_report(folder, MetricFacts(collect_measurement_facts(environment.registry)));
    return {folder, Outcome::kFinished, record.value("steps", std::int64_t{0}), {}};
  }
  // A reward that failed is repaired in its file: that is said, and the run goes on. Its record
  // stays that of the start, so that whoever asks is told as well.
  if (writes)
    for (const auto& file : warn_of_changed_files(*directory, environment, hooks))
      directory->log("changed since training began: " + file);
  const auto machine = as_begun(environment, record);
  const HeldThreads held(execution::count_threads(machine));
  std::optional<Experiment> experiment;
  fs::path from;
  together(ranks, [&] {
    experiment.emplace(spec_to_resume(*directory, environment.data, record, precision),
                       environment.registry, machine.device);
    if (precision.empty()) check_hardware(folder, record, *experiment);
    execution::warn_of_precision(*experiment, {"training", "evaluation"}, hooks);
    if (writes) from = find_start(*directory, hooks);
    if (writes && from.empty()) take_initial_tensors(*experiment, hooks);
  });
  if (ranks) {
    execution::prepare_ranks(*ranks, *experiment, environment);
    from = ranks->broadcast(from.string());
  }
  if (!writes) return execution::follow(folder, *experiment, from, environment, hooks);
  const auto place = from.empty() ? std::string("the start") : from.filename().string();
  call(hooks.say, fmt::format("resuming {} from {}", folder.string(), place));
  note_resumption(*directory, request, *experiment, environment, place);
  return Life(*experiment, *directory, environment, hooks).go_on(from);
}

}  // namespace marginalia
