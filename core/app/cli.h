#pragma once

#include <memory>
#include <optional>
#include <string>

#include <oneapi/tbb/global_control.h>

#include <marginalia/experiment.h>
#include <marginalia/plugin_host.h>
#include <marginalia/run_directory.h>

#include "request.h"

namespace marginalia::app {

/// A request being served: options, plugins, and the exit code to be.
class Session {
 public:
  explicit Session(const Options& wanted) : options(wanted) {}
  Options options;

  /// Loads the plugins, on first use. Refused ones are warnings, unless --plugins named them.
  PluginHost& host();
  const Registry& registry() { return host().registry(); }
  /// With the plugins alone that offer a component of one of these names, where it is known which.
  const Registry& registry_of(const std::vector<std::string>& names);
  Catalogue catalogue();  ///< what the plugins offer, as text
  fs::path data() const { return options.data_directory(); }
  int threads() const;
  /// Holds LibTorch, BLAS and TBB to threads(): each would make as many as there are cores.
  void hold_threads();
  bool any_refused() const { return host_ && !host_->refused().empty(); }
  int exit_code = 0;

 private:
  std::unique_ptr<PluginHost> host_, part_;
  std::optional<tbb::global_control> tbb_threads_;
};

// The verbs that need LibTorch; core/app/front answers the others.
void run(Session& session, const RunArguments& a);
void resume(Session& session, const ResumeArguments& a);
void check(Session& session, const CheckArguments& a);
void evaluate(Session& session, const EvaluateArguments& a);
void marginals(Session& session, const MarginalsArguments& a);
void conditionals(Session& session, const ConditionalsArguments& a);
void sample(Session& session, const SampleArguments& a);
void exact(Session& session, const ExactArguments& a);
void doctor(Session& session);
void study(Session& session, const StudyArguments& a);
void reproduce(Session& session, const ReproduceArguments& a);
void data(Session& session, const DataArguments& a);

/// One warning, with what it costs as just measured, where bfloat16 is asked for of a device
/// without the hardware for it: by one of these sections of the spec, "training" or "evaluation".
void warn_of_precision(const Experiment& experiment, const std::vector<std::string>& sections);

/// A trained run, ready to answer.
struct LoadedRun {
  RunDirectory directory;
  Experiment experiment;
  std::int64_t step;
};
/// Warns of the energy's files that are not what training read, before the energy is built from
/// them.  -> their names.
std::vector<std::string> warn_of_changed_files(Session& session, const RunDirectory& run);
LoadedRun load_run(Session& session, const RunQuery& query);

/// LibTorch's and the compiler's identity, the commit of the source tree where there is one.
std::string build_text();
std::string commit_text();

}  // namespace marginalia::app
