#include <unistd.h>

#include <atomic>
#include <csignal>
#include <ctime>
#include <iostream>
#include <optional>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>

#include "cli.h"
#include "host/describe/measurements.h"
#include "host/execution/run.h"
#include "host/experiment/settings.h"
#include "host/experiment/upgrade.h"
#include "host/ranks/together.h"
#include "host/study/read_study.h"
#include "host/study/upgrade_study.h"
#include "progress.h"
#include "records/report/results_table.h"

namespace marginalia::app {
namespace {

std::atomic<bool> stop_requested{false}, trained{false};
std::atomic<std::time_t> requested_at{0};

/// Whether a signal is the one before, come by another way: SLURM sends SIGTERM to all processes of
/// a job, and those that have started this one pass on theirs.
bool is_echo(int signal) {
  constexpr std::time_t kSeconds = 2;
  return signal == SIGTERM && std::time(nullptr) - requested_at <= kSeconds;
}

/// The first signal asks for a checkpoint and a stop, the second kills.
/// Once training is over its checkpoint is there: what remains to be measured can stop anywhere.
void on_signal(int signal) {
  if (stop_requested.exchange(true)) {
    if (is_echo(signal)) return;
    std::signal(signal, SIG_DFL);
    std::raise(signal);  // once this has returned
    return;
  }
  requested_at = std::time(nullptr);
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
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

/// A number of a record: "-" where it is unknown, a word such as "-inf" as it is.
std::string number_text(const Json& value, int digits) {
  if (value.is_string()) return value.get<std::string>();
  return value.is_number() ? fmt::format("{:.{}g}", value.get<double>(), digits) : "-";
}

/// The chains that stood for exact samples: how they mixed, what they cost, where they are kept.
void print_reference(const Json& reference) {
  if (reference.contains("unavailable"))
    return fmt::print("{:<18} none: {}\n", "reference",
                      reference.at("unavailable").get<std::string>());
  const auto list = [&](const char* key) {
    std::string text;
    for (const auto& [name, value] : reference.at(key).items())
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, number_text(value, 4));
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

/// What a run ends with.
void print_results(const Json& evaluation, const Registry& registry) {
  fmt::print("{}", results_table(evaluation.at("metrics"),
                                 MetricFacts(collect_measurement_facts(registry))));
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
    if (session.follows()) return;
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
      if (!folder_.empty() && !session_.follows())
        fmt::print(stderr, "\nstopped by an error; once it is repaired, go on with: {} {}\n",
                   session_.resume_command(), folder_.string());
      throw;
    }
  }

 private:
  void print(const RunResult& result) {
    if (result.outcome == Outcome::kInterrupted) session_.exit_code = 130;
    if (session_.follows()) return;
    if (result.outcome == Outcome::kInterrupted) {
      fmt::print(stderr, "\nstopped at step {}; go on with: {} {}\n", result.step,
                 session_.resume_command(), result.folder.string());
    } else if (!result.evaluation.is_null()) {
      print_results(result.evaluation, session_.registry());
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

static RunRequest read_request(Session& session, const RunArguments& a) {
  const fs::path folder =
      a.out.empty() ? RunDirectory::free_path(RunDirectory::usual_name(a.spec, fs::current_path()))
                    : fs::path(a.out);
  const auto spec = Spec::from_file(a.spec, session.data());
  return {with_settings(spec, a.settings, session.registry()), folder, a.force, a.precision,
          a.settings};
}

void run(Session& session, const RunArguments& a) {
  std::optional<RunRequest> request;
  together(session.join_ranks(a.ranks), [&] { request = read_request(session, a); });
  const auto environment = session.environment();
  Shown{session}([&](const Hooks& hooks) { return marginalia::run(*request, environment, hooks); });
}

void resume(Session& session, const ResumeArguments& a) {
  session.join_ranks(a.ranks);
  const auto environment = session.environment();
  Shown{session}([&](const Hooks& hooks) {
    return marginalia::resume({a.run, a.precision}, environment, hooks);
  });
}

/// A study's experiments, by name.
static Json specs_of_study(Session& session, const std::string& file) {
  Json specs = Json::object();
  for (const auto& e : read_study(file, session.data(), session.registry(), INT64_MAX).experiments)
    specs[e.name] = e.spec;
  return specs;
}

/// Opens what each experiment of a study would; those that differ in the seed alone open the same.
static void open_study(Session& session, const std::string& file, const Json& specs) {
  const DataPaths paths{fs::absolute(file).parent_path(), session.data(),
                        default_cache_directory()};
  std::set<std::string> opened;
  for (const auto& [name, spec] : specs.items()) {
    auto seedless = spec;
    seedless.erase("seed");
    if (opened.insert(seedless.dump()).second)
      open_parts(Spec::from_text(spec.dump(), fmt::format("{}: {}", file, name), paths),
                 session.environment(), session.hooks());
  }
}

static void check_study(Session& session, const CheckArguments& a) {
  Json shown;
  if (!a.upgrade || a.open) shown = specs_of_study(session, a.spec);
  if (a.open) open_study(session, a.spec, shown);
  if (a.upgrade) shown = upgraded_study(a.spec, session.data(), session.registry());
  std::cout << shown.dump(2) << "\n";
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
  if (a.settings.empty() && is_study(a.spec)) return check_study(session, a);
  const auto given = Spec::from_file(a.spec, session.data());
  std::vector<std::string> names;
  gather_strings(given.with(a.settings).json(), names);
  const auto& some = session.load_registry(names);
  const auto spec = with_settings(given, a.settings, some);
  Faults faults;
  auto resolved = Experiment::check(spec, some, faults);
  if (!faults.empty()) {
    Faults all;
    resolved = Experiment::check(spec, session.registry(), all);
    all.throw_if_any();
  }
  if (a.open) open_parts(spec, session.environment(), session.hooks());
  if (a.upgrade) resolved = upgraded(spec, some).json();
  std::cout << resolved.dump(2) << "\n";
}

void evaluate(Session& session, const EvaluateArguments& a) {
  const auto environment = session.environment();
  print_results(measure({a.run, a.checkpoint, a.metrics}, environment, session.hooks()),
                environment.registry);
}

}  // namespace marginalia::app
