#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <marginalia/spec.h>

#include "environment.h"

/// The life of a run: begun, gone on with, measured again. None of these functions knows a command
/// line, a terminal or a signal; several may run in one process, at once on threads of their own.
namespace marginalia {

struct RunRequest {
  Spec spec;
  std::filesystem::path folder;             ///< of the run; must not be there
  bool force = false;                       ///< or is renamed to FOLDER.old
  std::string precision = {};               ///< of training, in the place of the spec's
  std::vector<std::string> overrides = {};  ///< settings that `spec` has already, for run.json
};

struct ResumeRequest {
  std::filesystem::path folder;
  std::string precision = {};  ///< to go on in; empty: the run's own
};

struct RunResult {
  std::filesystem::path folder;
  Outcome outcome = Outcome::kFinished;
  std::int64_t step = 0;  ///< where training stands
  Json evaluation;        ///< evaluation.json; null where training was interrupted
};

/// Trains and measures what a spec asks for. Throws SpecError before anything is written; what
/// fails later stands in run.json, and the run can be resumed.
RunResult run(const RunRequest& request, const Environment& environment, const Hooks& hooks = {});

/// A run whose loop is the caller's, who holds LibTorch to its threads.
class SteppedRun {
 public:
  virtual ~SteppedRun();
  /// One optimisation step, and what is due after it.  -> whether there is another.
  virtual bool advance() = 0;
  /// Measures a run that was trained to its end; leaves any other to be resumed.
  virtual RunResult end() = 0;
  virtual const TrainingLoop& loop() const = 0;
};
/// `run` up to its first step.
std::unique_ptr<SteppedRun> run_in_steps(const RunRequest& request, Environment environment,
                                         Hooks hooks = {});

/// Builds what a run of `spec` begins with: reads its data, the files of its energy and what it
/// starts from, and writes nothing. Throws what `run` would.
void open_parts(const Spec& spec, const Environment& environment, const Hooks& hooks = {});

/// Goes on from the newest checkpoint: a run interrupted and resumed ends bit for bit where an
/// unbroken one does, on one machine with the same threads. Of a finished run nothing is done.
RunResult resume(const ResumeRequest& request, const Environment& environment,
                 const Hooks& hooks = {});

struct MeasureRequest {
  std::filesystem::path folder;
  std::string checkpoint = {};  ///< a file of checkpoints/; empty: the one that answers
  /// In the place of the spec's, with its settings where it lists them; what else was measured is
  /// kept. None: all of the spec's.
  std::vector<std::string> metrics = {};
};

/// Measures a run again, into its evaluation.json.  -> what was measured now.
Json measure(const MeasureRequest& request, const Environment& environment,
             const Hooks& hooks = {});

}  // namespace marginalia
