/// \file
/// The program: reads the command line, answers what needs no tensor, and loads the rest for all
/// else, so that what LibTorch, OpenMP and malloc read at start is already set.
#include <algorithm>
#include <cstdio>
#include <iostream>

#include <fmt/format.h>

#include <marginalia/build_stamp.h>
#include <marginalia/error.h>

#include "heartbeat.h"
#include "heavy.h"
#include "launch.h"
#include "light.h"
#include "sdk/base/json_fault.h"
#include "verbs.h"

namespace marginalia::app {
namespace {

/// A program of verbs and the request that its command line makes.
struct Program {
  CLI::App cli{"Marginalia: generative models of discrete data that answer any marginal question",
               "marginalia"};
  Request request;
  bool any_refused = false;

  Program() {
    cli.set_version_flag("--version",
                         fmt::format("marginalia {} ({})", MARGINALIA_VERSION, kBuildStamp));
    cli.require_subcommand(1);
    add_verbs(cli, request);
  }

  std::vector<std::string> verbs() {
    std::vector<std::string> names;
    for (const auto* verb : cli.get_subcommands({})) {
      names.push_back(verb->get_name());
      std::ranges::copy(verb->get_aliases(), std::back_inserter(names));
    }
    return names;
  }

  Catalogue catalogue() {
    auto catalogue = load_catalogue(request.options);
    any_refused = !catalogue.refused().empty();
    warn_of_refused(catalogue.refused());
    return catalogue;
  }

  /// A verb that a plugin adds; its words are the tool's to read, but for options of the program.
  int tool(std::vector<std::string> words) {
    request.verb = words.front();
    request.tool.words = take_options({words.begin() + 1, words.end()}, request);
    const auto offered = catalogue();
    const auto tool = offered.find("tool", request.verb);
    if (!tool) {
      auto known = verbs();
      std::ranges::copy(offered.names("tool"), std::back_inserter(known));
      throw UnknownComponent(unknown_name("verb", request.verb, known));
    }
    if (!std::ranges::count(request.tool.words, "--help")) return serve_by_torch(request);
    std::cout << tool->usage << "\n";
    return 0;
  }

  /// What each rank is to run is read once here, so that what is wrong with it is said once.
  static int launch_checked(const LaunchArguments& a) {
    const std::vector<std::string> known{"run", "resume"};
    if (a.words.empty() || !std::ranges::count(known, a.words.front()))
      throw SpecError(fmt::format("launch starts run or resume, not \"{}\"",
                                  a.words.empty() ? "" : a.words.front()));
    Program inner;
    auto words = a.words;
    std::ranges::reverse(words);  // as CLI11 takes them
    inner.cli.parse(words);
    return launch(a, inner.request);
  }

  int serve() {
    const auto& verb = request.verb;
    if (verb == "list")
      list(catalogue(), request.list);
    else if (verb == "describe")
      describe(catalogue(), request.describe);
    else if (verb == "runs")
      list_runs(request.runs);
    else if (verb == "report")
      report(catalogue(), request.report);
    else if (verb == "data" && request.data.action == "list")
      list_data(catalogue(), request.data, request.options.data_directory());
    else if (verb == "launch")
      return launch_checked(request.launch);
    else if (verb == "new")
      make_project(catalogue(), request.new_plugin, verbs());
    else
      return serve_by_torch(request);
    return 0;
  }
};

int run_program(int argc, char** argv) {
  Program program;
  const std::string asked = argc > 1 ? argv[1] : "";
  try {
    if (!asked.empty() && asked.front() != '-' && !std::ranges::count(program.verbs(), asked))
      return program.tool({argv + 1, argv + argc});
    program.cli.parse(argc, argv);
    return program.serve();
  } catch (const Ended& ended) {
    return ended.code;
  } catch (const CLI::Success& e) {
    return program.cli.exit(e);
  } catch (const CLI::ParseError& e) {
    const auto verb = asked.empty() || asked.front() == '-' ? "" : asked + " ";
    fmt::print(stderr, "marginalia: {}\n  see marginalia {}--help\n", e.what(), verb);
    return 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "marginalia: {}\n", without_json_names(e.what()));
    return to_exit_code(e, program.any_refused);
  }
}

}  // namespace
}  // namespace marginalia::app

int main(int argc, char** argv) {
  marginalia::app::beat_for_launcher();
  return marginalia::app::run_program(argc, argv);
}
