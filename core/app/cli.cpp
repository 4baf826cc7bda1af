#include "cli.h"

#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/tool.h>

#include "front/heartbeat.h"
#include "host/describe/manual.h"
#include "host/ranks/together.h"

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
  if (!part_ && !follows()) warn_of_refused(host_->refused());
  return *host_;
}

const Registry& Session::load_registry(const std::vector<std::string>& names) {
  if (host_) return registry();
  const auto kept = Catalogue::read(options.plugin_folders(), default_cache_directory());
  if (!kept) return registry();
  part_ = std::make_unique<PluginHost>();
  for (const auto& library : kept->find_libraries(names))
    part_->load(library);
  warn_of_refused(kept->refused());
  return part_->registry();
}

Catalogue Session::catalogue() {
  const auto folders = options.plugin_folders();
  if (auto kept = Catalogue::read(folders, default_cache_directory())) return *kept;
  return Catalogue(describe_all(host()), folders);
}

Environment Session::environment() {
  auto& plugins = host();
  return {plugins.registry(), plugins.loaded(), data(),      options.device,
          options.threads,    commit_text(),    ranks_.get()};
}

/// Nothing ends a wait for another rank but the end of the process.
static void end_for_silence(const std::string& who) {
  fmt::print(
      stderr,
      "marginalia: {} has shown no sign of life for 10 s: it hangs, or cannot be reached; go "
      "on with marginalia resume\n",
      who);
  _exit(1);
}

Communicator* Session::join_ranks(const std::string& source) {
  auto found = find_rendezvous(process_environment(),
                               source == "slurm" ? RankSource::kSlurm : RankSource::kAny);
  // A launcher listens itself, and starts all again.
  if (found && !std::getenv(kHeartbeatVariable)) found->give_up = end_for_silence;
  if (found) ranks_ = std::make_unique<Communicator>(*found);
  return ranks_.get();
}

std::string Session::resume_command() const {
  return ranks_ ? fmt::format("marginalia launch --ranks {} resume", ranks_->size())
                : "marginalia resume";
}

Hooks Session::hooks() const {
  if (follows()) return {};
  return {
      .say = [](const std::string& text) { fmt::print(stderr, "{}\n", text); },
      .warn =
          [](const std::string& text) { fmt::print(stderr, "marginalia: warning: {}\n", text); }};
}

OpenRun load_run(Session& session, const RunQuery& query) {
  return open_run(query.run, query.checkpoint, session.environment(), session.hooks());
}

/// A verb that a plugin adds.
static void run_tool(Session& session, const std::string& verb, const ToolArguments& a) {
  const ToolContext context{session.data(), session.options.threads,
                            [&](const fs::path& run) {
                              return lend(load_run(session, {run.string(), a.checkpoint}));
                            },
                            [](const std::string& text) { fmt::print(stderr, "{}\n", text); }};
  const auto spec = Spec::from_text(Json{{"type", verb}}.dump(), "tool");
  const auto tool = session.load_registry({verb}).make<Tool>(spec, context);
  session.exit_code = tool->run(a.words, std::cin, std::cout);
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
      {"most-probable", [](Session& s, const Request& r) { most_probable(s, r.most_probable); }},
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
    const auto& wanted = session.options.threads;
    const HeldThreads held(wanted > 0 ? wanted : usable_processors());
    action();
    return session.exit_code;
  } catch (const std::exception& e) {
    if (!dynamic_cast<const SaidByRank0*>(&e))
      fmt::print(stderr, "marginalia: {}\n", describe_error(e));
    return to_exit_code(e, session.any_refused());
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
