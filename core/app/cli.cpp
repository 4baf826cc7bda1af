#include "cli.h"

#include <sched.h>

#include <iostream>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/checkpoint.h>
#include <marginalia/error.h>
#include <marginalia/plugin.h>
#include <marginalia/precision.h>
#include <marginalia/tool.h>

namespace marginalia::app {

PluginHost& Session::host() {
  if (host_) return *host_;
  auto host = std::make_unique<PluginHost>();
  for (const auto& folder : default_plugin_folders())
    host->load_folder(folder, false);
  for (const auto& folder : options.plugins)
    host->load_folder(folder, true);
  for (const auto& why : host->refused())
    fmt::print(stderr, "marginalia: warning: plugin refused: {}\n", why);
  host_ = std::move(host);
  return *host_;
}

fs::path Session::data() const {
  return options.data.empty() ? default_data_directory() : fs::path(options.data);
}

int Session::threads() const {
  if (options.threads > 0) return options.threads;
  cpu_set_t cpus;
  return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
}

int Session::exit_code_of(const std::exception& error) const {
  if (dynamic_cast<const PluginError*>(&error)) return 3;
  if (!dynamic_cast<const SpecError*>(&error)) return 1;
  const std::string text = error.what();
  const bool missing = text.find(" is called \"") != std::string::npos;
  return missing && host_ && !host_->refused().empty() ? 3 : 2;
}

CLI::App* add_verb(CLI::App& program, Session& session, const std::string& name,
                   const std::string& what, const std::string& example,
                   std::function<void()> action) {
  auto* verb = program.add_subcommand(name, what);
  auto& options = session.options;
  verb->add_option("--plugins", options.plugins, "a folder of plugins; may be repeated")
      ->type_name("DIR")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  verb->add_option("--data", options.data, "data directory; else $MARGINALIA_DATA")
      ->type_name("DIR");
  verb->add_option("--threads", options.threads, "of tensor maths; else every core")
      ->type_name("N")
      ->check(CLI::Range(1, 4096));
  verb->add_option("--device", options.device, "auto, cpu, cuda or cuda:N; else the spec's");
  verb->footer("Example:\n  " + example);
  verb->callback([&session, action] {
    at::set_num_threads(session.threads());
    action();
  });
  return verb;
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

LoadedRun load_run(Session& session, const std::string& path, const std::string& checkpoint) {
  auto directory = RunDirectory::open(path, false);
  Experiment experiment(directory.spec(session.data()), session.registry(), session.options.device);
  warn_of_precision(experiment, {"evaluation"});
  fs::path file = checkpoint.empty() ? checkpoint_of(directory.path()) : fs::path(checkpoint);
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
static void run_tool(Session& session, const std::vector<std::string>& words) {
  const auto tool =
      session.registry().make<Tool>(Spec::from_text(Json{{"type", words.front()}}.dump(), "tool"));
  const std::vector<std::string> arguments(words.begin() + 1, words.end());
  if (std::ranges::count(arguments, "--help"))
    std::cout << tool->usage() << "\n";
  else
    session.exit_code = tool->run(arguments, std::cin, std::cout);
}

static int run_program(int argc, char** argv) {
  Session session;
  CLI::App program(
      "Marginalia: generative models of discrete data that answer any marginal question",
      "marginalia");
  program.set_version_flag("--version",
                           fmt::format("marginalia {} ({})", MARGINALIA_VERSION, build_text()));
  program.require_subcommand(1);
  add_training_verbs(program, session);
  add_query_verbs(program, session);
  add_inspection_verbs(program, session);
  add_runs_verb(program, session);
  add_study_verb(program, session);
  add_reproduce_verb(program, session);
  add_data_verb(program, session);
  add_new_verb(program, session);
  try {
    std::vector<std::string> verbs;
    for (const auto* verb : program.get_subcommands({}))
      verbs.push_back(verb->get_name());
    const std::string asked = argc > 1 ? argv[1] : "";
    if (!asked.empty() && asked.front() != '-' && !std::ranges::count(verbs, asked)) {
      const auto tools = session.registry().names("tool");
      if (std::ranges::count(tools, asked)) {
        run_tool(session, std::vector<std::string>(argv + 1, argv + argc));
        return session.exit_code;
      }
      verbs.insert(verbs.end(), tools.begin(), tools.end());
      throw SpecError(unknown_name("verb", asked, verbs));
    }
    program.parse(argc, argv);
    return session.exit_code;
  } catch (const CLI::Success& e) {
    return program.exit(e);
  } catch (const CLI::ParseError& e) {
    fmt::print(stderr, "marginalia: {}\n  see marginalia {}--help\n", e.what(),
               argc > 1 && argv[1][0] != '-' ? std::string(argv[1]) + " " : "");
    return 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "marginalia: {}\n", message_of(e));
    return session.exit_code_of(e);
  }
}

}  // namespace marginalia::app

extern "C" __attribute__((visibility("default"))) int marginalia_main(int argc, char** argv) {
  return marginalia::app::run_program(argc, argv);
}
