#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace marginalia::app {

/// A call of this program in a process of its own.
struct Job {
  std::vector<std::string> arguments;  ///< after the program's name
  std::filesystem::path log;           ///< its stdout and stderr are appended here
};

/// How a job ended.
struct JobEnd {
  int code = 0;    ///< exit status; of no meaning when a signal ended it
  int signal = 0;  ///< that ended it, or 0
  double seconds = 0;
  std::string not_started;  ///< why there was no process at all; empty otherwise
};

struct JobHooks {
  std::function<void(std::size_t job)> started;
  std::function<void(std::size_t job, const JobEnd&)> ended;
};

/// Runs the jobs in their order, at most `at_once` at a time.
///
/// SIGINT and SIGTERM are passed on to the jobs that run as SIGTERM, each time again, and no other
/// job is started. Jobs are told likewise when this process dies.  -> whether all were run.
bool run_jobs(const std::vector<Job>& jobs, int at_once, const JobHooks& hooks);

/// Runs another program and waits.  -> its stdout. Throws Error when it cannot be started, or
/// fails.
std::string run_for_output(const std::string& program, const std::vector<std::string>& arguments);

/// This program's own file.
std::filesystem::path this_program();

}  // namespace marginalia::app
