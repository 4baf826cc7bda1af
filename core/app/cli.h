#pragma once

#include <memory>
#include <string>

#include "host/execution/answer.h"
#include "host/execution/environment.h"
#include "host/plugins/plugin_host.h"
#include "host/ranks/communicator.h"
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
  const Registry& load_registry(const std::vector<std::string>& names);
  Catalogue catalogue();  ///< what the plugins offer, as text
  fs::path data() const { return options.data_directory(); }
  Environment environment();  ///< with all plugins
  Hooks hooks() const;        ///< that say and warn on stderr; of ranks, rank 0's alone
  /// The ranks that this process is one of, by torchrun's variables or SLURM's, which it meets on
  /// the first call; null: it is alone. source: "auto" or "slurm", whose variables count.
  Communicator* join_ranks(const std::string& source);
  /// Whether another rank says what is to be said.
  bool follows() const { return ranks_ && !ranks_->is_first(); }
  /// What a run that stopped is gone on with; its folder follows.
  std::string resume_command() const;
  bool any_refused() const { return host_ && !host_->refused().empty(); }
  int exit_code = 0;

 private:
  std::unique_ptr<PluginHost> host_, part_;
  std::unique_ptr<Communicator> ranks_;
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
void most_probable(Session& session, const MostProbableArguments& a);
void doctor(Session& session);
void study(Session& session, const StudyArguments& a);
void reproduce(Session& session, const ReproduceArguments& a);
void data(Session& session, const DataArguments& a);

/// A trained run, ready to answer.
OpenRun load_run(Session& session, const RunQuery& query);

/// The commit of the source tree; "" where there is none.
std::string commit_text();

}  // namespace marginalia::app
