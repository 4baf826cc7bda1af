#include "cli.h"

#include <dlfcn.h>
#include <sched.h>

#include <functional>
#include <iostream>
#include <map>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/checkpoint.h>
#include <marginalia/energy_identity.h>
#include <marginalia/error.h>
#include <marginalia/plugin.h>
#include <marginalia/precision.h>
#include <marginalia/reference.h>
#include <marginalia/tool.h>

namespace marginalia::app {

static PluginHost load_all(const Options& options) {
  PluginHost host;
  for (const auto& [path, required] : options.plugin_folders())
    host.load_folder(path, required);
  return host;
}

PluginHost& Session::host() {
  if (host_) return *host_;
  host_ = std::make_unique<PluginHost>(load_all(options));
  if (!part_) warn_of_refused(host_->refused());
  return *host_;
}

const Registry& Session::registry_of(const std::vector<std::string>& names) {
  if (host_) return registry();
  const auto kept = Catalogue::read(options.plugin_folders(), default_cache_directory());
  if (!kept) return registry();
  part_ = std::make_unique<PluginHost>();
  for (const auto& library : kept->libraries_of(names))
    part_->load(library);
  warn_of_refused(kept->refused());
  return part_->registry();
}

Catalogue Session::catalogue() {
  const auto folders = options.plugin_folders();
  if (auto kept = Catalogue::read(folders, default_cache_directory())) return *kept;
  return Catalogue(describe_all(host()), folders);
}

int Session::threads() const {
  if (options.threads > 0) return options.threads;
  cpu_set_t cpus;
  return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
}

void Session::hold_threads() {
  at::set_num_threads(threads());
  // Only an OpenBLAS with a pool of its own needs to be told; the others follow OpenMP.
  if (void* const set = dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))
    reinterpret_cast<void (*)(int)>(set)(threads());
  tbb_threads_.emplace(tbb::global_control::max_allowed_parallelism,
                       std::size_t(threads()) + 1);  // one reads batches ahead
}

std::vector<std::string> warn_of_changed_files(Session& session, const RunDirectory& run) {
  const auto record = run.record();
  auto changed = changed_files(
      record.value("energy_files", Json::object()),  // runs of old have none
      digests_of_energy(record.at("spec"), run.spec(session.data()).paths(), session.registry()));
  for (const auto& file : changed)
    fmt::print(stderr, "marginalia: warning: {}: changed since training read it\n", file);
  return changed;
}

void warn_of_precision(const Experiment& experiment, const std::vector<std::string>& sections) {
  const auto without_hardware = [&](const std::string& section) {
    return !experiment.precision.at(section).value("in_hardware", true);
  };
  if (std::ranges::none_of(sections, without_hardware)) return;
  const auto device = experiment.device;
  const auto ratio = product_rate(at::kFloat, device) / product_rate(at::kBFloat16, device);
  fmt::print(stderr,
             "marginalia: warning: bfloat16 is not multiplied in hardware here ({}): products take "
             "{:.2g} times as long as in float32, as just measured; \"auto\" is float32 "
             "here\n",
             bfloat16_on(device).why, ratio);
}

LoadedRun load_run(Session& session, const RunQuery& query) {
  auto directory = RunDirectory::open(query.run, false);
  warn_of_changed_files(session, directory);
  Experiment experiment(directory.spec(session.data()), session.registry(), session.options.device);
  warn_of_precision(experiment, {"evaluation"});
  fs::path file =
      query.checkpoint.empty() ? checkpoint_of(directory.path()) : fs::path(query.checkpoint);
  if (!fs::exists(file)) file = directory.checkpoints() / file;
  if (!fs::exists(file))
    throw SpecError(fmt::format("{}: has no such checkpoint; there is: {}", file.string(),
                                directory.checkpoints().string()));
  const auto step = load_model(file, *experiment.family);
  experiment.family->set_training(false);
  return {std::move(directory), std::move(experiment), step};
}

std::string build_text() {
  return kBuildStamp;
}

/// A verb that a plugin adds.
static void run_tool(Session& session, const std::string& verb,
                     const std::vector<std::string>& words) {
  const auto spec = Spec::from_text(Json{{"type", verb}}.dump(), "tool");
  const auto tool = session.registry_of({verb}).make<Tool>(spec);
  session.exit_code = tool->run(words, std::cin, std::cout);
}

using Verb = std::function<void(Session&, const Request&)>;

static const std::map<std::string, Verb>& verbs() {
  static const std::map<std::string, Verb> verbs{
      {"run", [](Session& s, const Request& r) { run(s, r.run); }},
      {"resume", [](Session& s, const Request& r) { resume(s, r.resume); }},
      {"check", [](Session& s, const Request& r) { check(s, r.check); }},
      {"evaluate", [](Session& s, const Request& r) { evaluate(s, r.evaluate); }},
      {"marginals", [](Session& s, const Request& r) { marginals(s, r.marginals); }},
      {"conditionals", [](Session& s, const Request& r) { conditionals(s, r.conditionals); }},
      {"sample", [](Session& s, const Request& r) { sample(s, r.sample); }},
      {"exact", [](Session& s, const Request& r) { exact(s, r.exact); }},
      {"doctor", [](Session& s, const Request&) { doctor(s); }},
      {"study", [](Session& s, const Request& r) { study(s, r.study); }},
      {"reproduce", [](Session& s, const Request& r) { reproduce(s, r.reproduce); }},
      {"data", [](Session& s, const Request& r) { data(s, r.data); }}};
  return verbs;
}

/// Calls `action` -> the exit code, with what went wrong said on stderr.
template <class Action>
static int guarded(Session& session, Action action) {
  try {
    session.hold_threads();
    action();
    return session.exit_code;
  } catch (const std::exception& e) {
    fmt::print(stderr, "marginalia: {}\n", message_of(e));
    return exit_code_of(e, session.any_refused());
  }
}

}  // namespace marginalia::app

// What the front program calls once it has loaded this library (front/heavy.h).
using namespace marginalia;

extern "C" __attribute__((visibility("default"))) int marginalia_serve(
    const app::Request& request) {
  app::Session session(request.options);
  return app::guarded(session, [&] {
    const auto verb = app::verbs().find(request.verb);
    if (verb == app::verbs().end())
      run_tool(session, request.verb, request.tool);
    else
      verb->second(session, request);
  });
}

extern "C" __attribute__((visibility("default"))) int marginalia_describe(
    const app::Options& options, Json& content) {
  app::Session session(options);
  return app::guarded(session, [&] { content = describe_all(app::load_all(options)); });
}
