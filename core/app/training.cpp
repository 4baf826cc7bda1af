#include <unistd.h>

#include <atomic>
#include <csignal>
#include <iostream>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>

#include "cli.h"
#include "host/execution/run.h"
#include "host/experiment/upgrade.h"
#include "host/study/read_study.h"
#include "host/study/upgrade_study.h"
#include "progress.h"

namespace marginalia::app {
namespace {

std::atomic<bool> stop_requested{false}, trained{false};

/// The first signal asks for a checkpoint and a stop; the second, being the default one, kills.
/// Once training is over its checkpoint is there: what remains to be measured can stop anywhere.
void on_signal(int) {
  stop_requested = true;
  if (!trained) return;
  constexpr std::string_view kText =
      "\nstopped before all was measured; marginalia resume measures again\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kText.data(), kText.size());
  _exit(130);
}

void listen() {
  trained = false;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

/// The chains that stood for exact samples: how they mixed, what they cost, where they are kept.
void print_reference(const Json& reference) {
  if (reference.contains("unavailable"))
    return fmt::print("{:<18} none: {}\n", "reference",
                      reference.at("unavailable").get<std::string>());
  const auto list = [&](const char* key) {
    std::string text;
    for (const auto& [name, value] : reference.at(key).items())
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name,
                          value.is_number() ? fmt::format("{:.4g}", value.get<double>()) : "-");
    return text;
  };
  fmt::print(
      "{:<18} {}: {} chains of {} draws, {:.0f} effective; split R-hat: {}; autocorrelation time "
      "in draws: {}; {:.3g} energy evaluations; {}\n",
      "reference", reference.at("method").get<std::string>(),
      reference.at("chains").get<std::int64_t>(), reference.at("draws").get<std::int64_t>(),
      reference.at("effective_samples").get<double>(), list("split_r_hat"),
      list("autocorrelation_time"), reference.at("energy_evaluations").get<double>(),
      reference.at("cache").get<std::string>());
}

/// The table that a run ends with: metric, estimator, value, standard error, unit, status.
void print_results(const Json& evaluation) {
  fmt::print("{:<18} {:<12} {:>14} {:>11}  {:<10} {}\n", "metric", "estimator", "value", "stderr",
             "unit", "status");
  for (const auto& [metric, figures] : evaluation.at("metrics").items())
    for (const auto& [estimator, figure] : figures.items()) {
      const auto& value = figure.at("value");
      fmt::print(
          "{:<18} {:<12} {:>14} {:>11}  {:<10} {}\n", metric, estimator,
          value.is_number() ? fmt::format("{:.6g}", value.get<double>()) : value.get<std::string>(),
          figure.contains("stderr") ? fmt::format("{:.2g}", figure.at("stderr").get<double>()) : "",
          figure.value("unit", ""), figure.value("status", ""));
    }
  if (evaluation.contains("reference")) print_reference(evaluation.at("reference"));
  if (evaluation.contains("unavailable"))
    for (const auto& [metric, why] : evaluation.at("unavailable").items())
      fmt::print("{:<18} not computed: {}\n", metric, why.get<std::string>());
}

/// Says so where a record names a tree whose changes were not committed: no commit has them.
void print_changes(const Json& record) {
  for (const auto* key : {"commit", "resumed_at"})
    if (const auto commit = record.value(key, std::string()); commit.ends_with("-dirty"))
      fmt::print("commit: {}: built with uncommitted changes, so no commit repeats this run\n",
                 commit);
}

/// What is shown of a run that goes on; signals end it.
class Shown {
 public:
  explicit Shown(Session& session) : session_(session), hooks_(session.hooks()) {
    hooks_.stop = &stop_requested;
    hooks_.begun = [this](const fs::path& folder) {
      folder_ = folder;
      listen();
    };
    hooks_.progress = [this](const TrainingState& state, const TrainingParams& params, double share,
                             double loss) { progress_.show(state, params, share, loss); };
    hooks_.trained = [] { trained = true; };
  }

  /// Calls `work`, which is given the hooks, and prints how it ended.
  template <class Work>
  void operator()(Work work) {
    try {
      print(work(hooks_));
    } catch (const std::exception&) {
      if (!folder_.empty())
        fmt::print(stderr,
                   "\nstopped by an error; once it is repaired, go on with: marginalia resume {}\n",
                   folder_.string());
      throw;
    }
  }

 private:
  void print(const RunResult& result) {
    if (result.outcome == Outcome::kInterrupted) {
      fmt::print(stderr, "\nstopped at step {}; go on with: marginalia resume {}\n", result.step,
                 result.folder.string());
      session_.exit_code = 130;
    } else if (!result.evaluation.is_null()) {
      print_results(result.evaluation);
      fmt::print("report: {}\n", (result.folder / "report.html").string());
      print_changes(RunDirectory::open(result.folder, false).record());
    }
  }

  Session& session_;
  Hooks hooks_;
  Progress progress_;
  fs::path folder_;  // once there is one
};

}  // namespace

void run(Session& session, const RunArguments& a) {
  const fs::path folder =
      a.out.empty() ? RunDirectory::free_path(RunDirectory::usual_name(a.spec, fs::current_path()))
                    : fs::path(a.out);
  const RunRequest request{Spec::from_file(a.spec, session.data()).with(a.settings), folder,
                           a.force, a.precision, a.settings};
  const auto environment = session.environment();
  Shown{session}([&](const Hooks& hooks) { return marginalia::run(request, environment, hooks); });
}

void resume(Session& session, const ResumeArguments& a) {
  const auto environment = session.environment();
  Shown{session}([&](const Hooks& hooks) {
    return marginalia::resume({a.run, a.precision}, environment, hooks);
  });
}

/// A study's experiments, by name.
static Json check_study(Session& session, const std::string& file) {
  Json specs = Json::object();
  for (const auto& e : read_study(file, session.data(), session.registry(), INT64_MAX).experiments)
    specs[e.name] = e.spec;
  return specs;
}

/// Every string in a spec: the names of components are among them.
static void gather_strings(const Json& json, std::vector<std::string>& strings) {
  if (json.is_string()) strings.push_back(json.get<std::string>());
  if (json.is_structured())
    for (const auto& [_, value] : json.items())
      gather_strings(value, strings);
}

/// A spec is checked with the plugins alone that it names; where it has faults, again with all of
/// them, whose names the messages then tell.
void check(Session& session, const CheckArguments& a) {
  if (a.settings.empty() && is_study(a.spec)) {
    std::cout << (a.upgrade ? upgraded_study(a.spec, session.data(), session.registry())
                            : check_study(session, a.spec))
                     .dump(2)
              << "\n";
    return;
  }
  const auto spec = Spec::from_file(a.spec, session.data()).with(a.settings);
  std::vector<std::string> names;
  gather_strings(spec.json(), names);
  Faults faults;
  auto resolved = Experiment::check(spec, session.load_registry(names), faults);
  if (!faults.empty()) {
    Faults all;
    resolved = Experiment::check(spec, session.registry(), all);
    all.throw_if_any();
  }
  if (a.upgrade) resolved = upgraded(spec, session.load_registry(names)).json();
  std::cout << resolved.dump(2) << "\n";
}

void evaluate(Session& session, const EvaluateArguments& a) {
  print_results(measure({a.run, a.checkpoint, a.metrics}, session.environment(), session.hooks()));
}

}  // namespace marginalia::app
