#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <iostream>
#include <string_view>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/energy_identity.h>
#include <marginalia/error.h>
#include <marginalia/evaluator.h>
#include <marginalia/files.h>
#include <marginalia/precision.h>
#include <marginalia/report.h>
#include <marginalia/samples.h>
#include <marginalia/study.h>
#include <marginalia/trainer.h>

#include "cli.h"
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

std::string now() {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(seconds));
}

Json plugins_of(const PluginHost& host) {
  Json plugins = Json::array();
  for (const auto& plugin : host.loaded())
    plugins.push_back({{"name", plugin.name},
                       {"version", plugin.version},
                       {"library", plugin.library.filename().string()}});
  return plugins;
}

Json space_of(const StateSpace& space) {
  return {{"dimension", space.dimension()},
          {"levels", space.levels()},
          {"shape", space.shape},
          {"alphabet", space.alphabet}};
}

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

std::int64_t parameter_count(Family& family) {
  std::int64_t count = 0;
  for (const auto& group : family.parameters())
    for (const auto& [_, parameter] : group.parameters)
      count += parameter.numel();
  return count;
}

/// The last value of "chain/split_r_hat" in metrics.jsonl, or NaN.
double chain_health(const fs::path& run) {
  double health = NAN;
  std::ifstream lines(run / "metrics.jsonl");
  for (std::string line; std::getline(lines, line);) {
    const auto json = Json::parse(line, nullptr, false);
    if (json.is_object()) health = json.value("chain/split_r_hat", health);
  }
  return health;
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

constexpr std::int64_t kCompleted = 6;  // rows shown with some of their variables redrawn

/// Measures with the checkpoint that answers; writes samples, evaluation.json and report.html.
void finish(Experiment& experiment, RunDirectory& run) {
  const auto step = load_model(checkpoint_of(run.path()), *experiment.family);
  const auto& wanted = experiment.evaluation;
  fmt::print(stderr, "evaluating step {} ...\n", step);
  Json evaluation{{"step", step}};
  evaluation.update(evaluate(experiment, {wanted.metrics, wanted.rows, split_named(wanted.split),
                                          experiment.seed, chain_health(run.path())}));
  run.write_evaluation(evaluation);
  write_samples(experiment, run.path(), wanted.samples);
  write_completions(experiment, run.path(), std::min(wanted.samples, kCompleted));
  run.update({{"evaluation_seconds", evaluation.at("seconds")}});
  print_results(evaluation);
}

/// Trains from `from`, then measures. Everything it learns on the way stands in the run directory.
void train_and_finish(Session& session, Experiment& experiment, RunDirectory& run,
                      const fs::path& from) {
  listen();
  Progress progress;
  TrainingHooks hooks{&stop_requested,
                      [&](const TrainingState& state, const TrainingParams& params, double share,
                          double loss) { progress.show(state, params, share, loss); }};
  try {
    const auto [outcome, state] = train(experiment, run, from, hooks);
    const bool interrupted = outcome == Outcome::kInterrupted;
    trained = !interrupted;
    run.update({{"steps", state.step},
                {"train_seconds", state.seconds},
                {"energy_evaluations", state.energy_evaluations},
                {"network_passes", state.passes},
                {"ended", now()},
                {"status", interrupted ? "interrupted" : "running"}});
    if (interrupted) {
      run.log("interrupted; checkpoint written");
      fmt::print(stderr, "\nstopped at step {}; go on with: marginalia resume {}\n", state.step,
                 run.path().string());
      session.exit_code = 130;
      return;
    }
    finish(experiment, run);
    run.update({{"ended", now()}, {"status", "finished"}});
    run.log("finished");
    write_report(run.path());
    fmt::print("report: {}\n", (run.path() / "report.html").string());
  } catch (const std::exception& e) {
    try {  // the disk may be what failed: then the message that matters is the first one
      run.log(std::string("failed: ") + message_of(e));
      run.update({{"ended", now()}, {"status", "failed"}, {"error", message_of(e)}});
    } catch (const std::exception&) {
    }
    fmt::print(stderr,
               "\nstopped by an error; once it is repaired, go on with: marginalia resume {}\n",
               run.path().string());
    throw;
  }
}

/// Refuses, before anything is written, to start from what is not there.
void check_start(const Experiment& experiment) {
  const auto& from = experiment.training.init;
  if (!from.empty() && !fs::exists(from))
    throw SpecError(
        fmt::format("/training: \"init\": {} is neither a run nor a checkpoint; train that "
                    "run first, or name another by training.init=RUN",
                    from));
}

}  // namespace

void run(Session& session, const RunArguments& a) {
  auto settings = a.settings;
  if (!a.precision.empty()) settings.push_back("training.precision=" + a.precision);
  const auto spec = Spec::from_file(a.spec, session.data()).with(settings);
  Experiment experiment(spec, session.registry(), session.options.device);
  check_start(experiment);
  warn_of_precision(experiment, {"training", "evaluation"});
  const fs::path path =
      a.out.empty() ? RunDirectory::free_path(RunDirectory::usual_name(a.spec, fs::current_path()))
                    : fs::path(a.out);
  auto run = RunDirectory::create(path, a.force);
  const auto files = digests_of_energy(experiment.resolved, spec.paths(), session.registry());
  run.set_record({{"marginalia_run", 1},
                  {"name", path.filename().string()},
                  {"spec", experiment.resolved},
                  {"spec_sha256", spec_hash(experiment.resolved)},
                  {"energy_files", files},
                  {"overrides", settings},
                  {"seed", experiment.seed},
                  {"space", space_of(experiment.space())},
                  {"plugins", plugins_of(session.host())},
                  {"version", MARGINALIA_VERSION},
                  {"build", build_text()},
                  {"commit", commit_text()},
                  {"host", host_name()},
                  {"device", experiment.device.str()},
                  {"precision", experiment.precision},
                  {"threads", session.threads()},
                  {"parameters", parameter_count(*experiment.family)},
                  {"started", now()},
                  {"ended", nullptr},
                  {"status", "running"}});
  run.log("started");
  fmt::print(stderr, "{} -> {}  ({} parameters, seed {}, {} threads, {})\n", a.spec,
             run.path().string(), parameter_count(*experiment.family), experiment.seed,
             session.threads(), experiment.device.str());
  train_and_finish(session, experiment, run, {});
}

/// The spec of a run that goes on, in another precision where one is asked for.
static Spec spec_to_resume(const RunDirectory& run, const fs::path& data, const Json& record,
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
static void check_hardware(const std::string& path, const Json& record,
                           const Experiment& experiment) {
  const auto began = record.value("precision", Json::object()).value("training", Json::object());
  if (experiment.training.precision != "bfloat16" || !began.value("in_hardware", false)) return;
  if (const auto here = bfloat16_on(experiment.device); !here.in_hardware)
    throw SpecError(fmt::format("{}: was begun where bfloat16 is multiplied in hardware, and here "
                                "it is not: {}; go on with "
                                "--precision float32, or with --precision bfloat16, which is slow",
                                path, here.why));
}

void resume(Session& session, const ResumeArguments& a) {
  const auto& [path, precision] = a;
  auto run = RunDirectory::open(path, true);
  const auto record = run.record();
  if (record.value("status", "") == "finished") {
    fmt::print(stderr, "{}: is finished; nothing to do\n", path);
    return;
  }
  // A reward that failed is repaired in its file: that is said, and the run goes on. Its record
  // stays that of the start, so that whoever asks is told as well.
  for (const auto& file : warn_of_changed_files(session, run))
    run.log("changed since training began: " + file);
  // The same numbers need the same threads and device.
  if (session.options.threads == 0) session.options.threads = record.value("threads", 0);
  session.hold_threads();
  const auto device = session.options.device.empty() ? record.value("device", std::string())
                                                     : session.options.device;
  Experiment experiment(spec_to_resume(run, session.data(), record, precision), session.registry(),
                        device);
  if (precision.empty()) check_hardware(path, record, experiment);
  warn_of_precision(experiment, {"training", "evaluation"});
  std::vector<std::string> refused;
  const auto from = newest_checkpoint(run.checkpoints(), refused);
  for (const auto& why : refused)
    fmt::print(stderr, "marginalia: warning: checkpoint passed over: {}\n", why);
  fmt::print(stderr, "resuming {} from {}\n", path,
             from.empty() ? "the start" : from.filename().string());
  run.log("resumed from " + (from.empty() ? "the start" : from.filename().string()));
  run.update({{"status", "running"}, {"ended", nullptr}});
  if (!precision.empty())
    run.update({{"spec", experiment.resolved},
                {"spec_sha256", spec_hash(experiment.resolved)},
                {"precision", experiment.precision}});
  train_and_finish(session, experiment, run, from);
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
    std::cout << check_study(session, a.spec).dump(2) << "\n";
    return;
  }
  const auto spec = Spec::from_file(a.spec, session.data()).with(a.settings);
  std::vector<std::string> names;
  gather_strings(spec.json(), names);
  Faults faults;
  auto resolved = Experiment::check(spec, session.registry_of(names), faults);
  if (!faults.empty()) {
    Faults all;
    resolved = Experiment::check(spec, session.registry(), all);
    all.throw_if_any();
  }
  std::cout << resolved.dump(2) << "\n";
}

/// Measures a run again, with other metrics if asked.
void evaluate(Session& session, const EvaluateArguments& a) {
  const auto& [path, checkpoint, metrics] = a;
  auto directory = RunDirectory::open(path, true);
  warn_of_changed_files(session, directory);
  auto spec = directory.spec(session.data());
  if (!metrics.empty()) spec = spec.with({"evaluation.metrics=" + Json(metrics).dump()});
  Experiment experiment(spec, session.registry(), session.options.device);
  warn_of_precision(experiment, {"evaluation"});
  const auto step =
      load_model(checkpoint.empty() ? checkpoint_of(path) : directory.checkpoints() / checkpoint,
                 *experiment.family);
  const auto target = fs::path(path) / "evaluation.json";
  const bool merge = !metrics.empty() && fs::exists(target);  // others that were measured stay
  auto all = merge ? Json::parse(read_text(target)) : Json::object();
  if (merge && all.value("step", step) != step)
    throw SpecError(fmt::format(
        "{}: holds figures of step {}, and these would be of step {}; measure all of them (without "
        "--metrics), or take that checkpoint (--checkpoint step_{:06}.safetensors)",
        target.string(), all.at("step").get<std::int64_t>(), step,
        all.at("step").get<std::int64_t>()));
  const auto& wanted = experiment.evaluation;
  Json evaluation{{"step", step}};
  evaluation.update(evaluate(experiment, {wanted.metrics, wanted.rows, split_named(wanted.split),
                                          experiment.seed, chain_health(path)}));
  if (merge) {
    for (const auto& [name, figures] : evaluation["metrics"].items()) {
      all["metrics"][name] = figures;
      if (all.contains("unavailable")) all["unavailable"].erase(name);
    }
    const auto why = evaluation.value("unavailable", Json::object());
    for (const auto& [name, reason] : why.items())
      all["unavailable"][name] = reason;
    if (all.value("unavailable", Json()).empty()) all.erase("unavailable");
    if (evaluation.contains("reference")) all["reference"] = evaluation["reference"];
    directory.write_evaluation(all);
  } else {
    directory.write_evaluation(evaluation);
  }
  print_results(evaluation);
}

}  // namespace marginalia::app
