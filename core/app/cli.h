#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <marginalia/experiment.h>
#include <marginalia/plugin_host.h>
#include <marginalia/run_directory.h>

namespace marginalia::app {

namespace fs = std::filesystem;

/// What every verb takes.
struct Options {
  std::vector<std::string> plugins;
  std::string data, device;
  int threads = 0;  // 0: as many as this process may use
};

/// A request being served: options, plugins, and the exit code to be.
class Session {
 public:
  Options options;

  /// Loads the plugins, on first use. Refused ones are warnings, unless --plugins named them.
  PluginHost& host();
  const Registry& registry() { return host().registry(); }
  fs::path data() const;
  int threads() const;
  /// A name that is not loaded, when plugins were refused: their fault, exit code 3.
  int exit_code_of(const std::exception& error) const;
  int exit_code = 0;

 private:
  std::unique_ptr<PluginHost> host_;
};

/// Adds a verb: its options, and what it does.
CLI::App* add_verb(CLI::App& program, Session& session, const std::string& name,
                   const std::string& what, const std::string& example,
                   std::function<void()> action);

/// The registers of verbs, one a file.
void add_training_verbs(CLI::App& program, Session& session);  // run resume check evaluate report
void add_query_verbs(CLI::App& program, Session& session);  // marginals conditionals sample exact
void add_inspection_verbs(CLI::App& program, Session& session);  // list describe doctor
void add_runs_verb(CLI::App& program, Session& session);         // runs
void add_study_verb(CLI::App& program, Session& session);        // study
void add_reproduce_verb(CLI::App& program, Session& session);    // reproduce
void add_data_verb(CLI::App& program, Session& session);         // data
void add_new_verb(CLI::App& program, Session& session);          // new

/// What --precision takes.
inline const std::vector<std::string> kPrecisions{"auto", "float32", "bfloat16", "float64"};

/// One warning, with what it costs as just measured, where bfloat16 is asked for of a device
/// without the hardware for it: by one of these sections of the spec, "training" or "evaluation".
void warn_of_precision(const Experiment& experiment, const std::vector<std::string>& sections);

/// A trained run, ready to answer.
struct LoadedRun {
  RunDirectory directory;
  Experiment experiment;
  std::int64_t step;
};
LoadedRun load_run(Session& session, const std::string& path, const std::string& checkpoint);

/// LibTorch's and the compiler's identity, the commit of the source tree where there is one.
std::string build_text();
std::string commit_text();

}  // namespace marginalia::app
