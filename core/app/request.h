#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "records/plugins/catalogue.h"

namespace marginalia::app {

namespace fs = std::filesystem;

/// What every verb takes.
struct Options {
  std::vector<std::string> plugins;
  std::string data, device;
  int threads = 0;  // 0: as many as this process may use

  fs::path data_directory() const;
  std::vector<PluginFolder> plugin_folders() const;
};

struct RunArguments {
  std::string spec, out, precision, ranks = "auto";
  std::vector<std::string> settings;
  bool force = false;
};

struct ResumeArguments {
  std::string run, precision, ranks = "auto";
};

struct LaunchArguments {
  int ranks = 0;
  int restarts = 3;  ///< at most
  int silence = 10;  ///< seconds after which a process without a sign of life is ended
  std::vector<std::string> words;  ///< of the verb that each rank runs
};

struct CheckArguments {
  std::string spec;
  std::vector<std::string> settings;
  bool upgrade = false, open = false;
};

struct EvaluateArguments {
  std::string run, checkpoint;
  std::vector<std::string> metrics;
};

/// What `marginals --certify` takes.
struct CertifyArguments {
  double confidence = 0.95, width = 0, seconds = 0, exact_width = 12;
  std::int64_t samples = 1 << 13;
};

/// What the verbs take that ask a trained run.
struct RunQuery {
  std::string run, checkpoint;
};

struct MarginalsArguments : RunQuery {
  std::string input, estimator, order = "random";
  std::int64_t orders = 5;
  bool certify = false, conformal = false;
  CertifyArguments certified;
};

struct ConditionalsArguments : RunQuery {
  std::string input;
};

struct SampleArguments : RunQuery {
  std::string given, order = "random";
  std::int64_t count = 1, steps = 0;
  bool most_probable = false;
};

struct ExactArguments {
  std::vector<std::string> words;  ///< specs and settings
  std::string input;
};

struct MostProbableArguments {
  std::vector<std::string> words;  ///< a run, or specs and settings
  std::string input, checkpoint;
  double seconds = 60, memory = 8;
};

struct ListArguments {
  std::string kind;
  bool json = false, queries = false;
};

struct DescribeArguments {
  std::string kind, name, write;
  bool all = false;
};

struct RunsArguments {
  std::string root = "runs", sort;
  std::vector<std::string> filters, columns;
  bool reverse = false, json = false;
};

struct StudyArguments {
  std::string file, out, precision, launcher = "local";
  std::vector<std::string> only, slurm;
  int jobs = 0;  // 0: one at a time here, as many as SLURM lets there
  bool dry_run = false, yes = false, runs_only = false;
};

struct ReproduceArguments {
  std::string path, out;
  int jobs = 1;
  bool all = false;
};

struct DataArguments {
  std::string action, name, from;
  std::vector<std::string> rest;  ///< a filter; of describe settings of the dataset
  bool json = false;

  std::string filter() const { return rest.empty() ? "" : rest.front(); }
};

/// Of a verb that a plugin adds.
struct ToolArguments {
  std::string checkpoint;
  std::vector<std::string> words;  ///< after the verb, but for options that the program reads
};

struct NewArguments {
  std::string kind, name, out, language = "c++";
};

/// What a command line asks for. The program reads it once; whoever answers, with LibTorch or
/// without, is handed this.
struct Request {
  std::string verb;
  Options options;

  RunArguments run;
  ResumeArguments resume;
  LaunchArguments launch;
  CheckArguments check;
  EvaluateArguments evaluate;
  std::string report;  ///< the run or study
  MarginalsArguments marginals;
  ConditionalsArguments conditionals;
  SampleArguments sample;
  ExactArguments exact;
  MostProbableArguments most_probable;
  ListArguments list;
  DescribeArguments describe;
  RunsArguments runs;
  StudyArguments study;
  ReproduceArguments reproduce;
  DataArguments data;
  NewArguments new_plugin;
  ToolArguments tool;
};

/// A line on stderr for each plugin that was refused.
void warn_of_refused(const std::vector<std::string>& refused);

/// What ends a request that failed: 1; 2 where the request itself is wrong; 3 where a plugin is
/// refused, or a name is missing while some are.
int to_exit_code(const std::exception& error, bool any_refused);

}  // namespace marginalia::app
