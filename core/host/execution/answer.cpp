#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/inference/conditioning.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/routed.h>

#include "answer.h"
#include "host/experiment/energy_identity.h"
#include "host/experiment/precision_record.h"
#include "host/training/checkpoint.h"
#include "prior_training.h"

namespace marginalia {

namespace fs = std::filesystem;

std::vector<std::string> warn_of_changed_files(const RunDirectory& run,
                                               const Environment& environment, const Hooks& hooks) {
  const auto record = run.record();
  auto changed =
      changed_files(record.value("energy_files", Json::object()),  // runs of old have none
                    digests_of_energy(record.at("spec"), run.spec(environment.data).paths(),
                                      environment.registry));
  if (hooks.warn)
    for (const auto& file : changed)
      hooks.warn(file + ": changed since training read it");
  return changed;
}

namespace {

class LentRun final : public TrainedRun {
 public:
  explicit LentRun(OpenRun run)
      : run_(std::move(run)), description_(run_.directory.description()) {}
  const std::filesystem::path& folder() const override { return run_.directory.path(); }
  const Json& spec() const override { return run_.experiment.resolved; }
  const Family& family() const override { return *run_.experiment.family; }
  const Dataset* dataset() const override { return run_.experiment.dataset.get(); }
  const Json& description() const override { return description_; }

 private:
  OpenRun run_;
  Json description_;
};

}  // namespace

std::shared_ptr<const TrainedRun> lend(OpenRun run) {
  return std::make_shared<const LentRun>(std::move(run));
}

Tensor find_colours(const Networks& networks) {
  for (const auto* role : {"conditional", ""})
    if (const auto it = networks.all().find(role); it != networks.all().end())
      return it->second->colours();
  return {};
}

std::vector<std::string> warn_of_training(const Family& family, const Hooks& hooks) {
  auto warnings = family.warnings();
  if (hooks.warn)
    for (const auto& warning : warnings)
      hooks.warn(warning);
  return warnings;
}

static fs::path checkpoint_file(const RunDirectory& run, const std::string& asked) {
  fs::path file = asked.empty() ? find_checkpoint(run.path()) : fs::path(asked);
  if (!fs::exists(file)) file = run.checkpoints() / file;
  if (!fs::exists(file))
    throw SpecError(fmt::format("{}: has no such checkpoint; there is: {}", file.string(),
                                run.checkpoints().string()));
  return file;
}

OpenRun open_run(const fs::path& folder, const std::string& checkpoint,
                 const Environment& environment, const Hooks& hooks) {
  auto directory = RunDirectory::open(folder, false);
  warn_of_changed_files(directory, environment, hooks);
  Experiment experiment(directory.spec(environment.data), environment.registry, environment.device);
  if (hooks.warn)
    if (const auto text =
            precision_warning(experiment.precision, {"evaluation"}, experiment.device);
        !text.empty())
      hooks.warn(text);
  const auto step = load_model(checkpoint_file(directory, checkpoint), *experiment.family,
                               execution::prior_of(experiment));
  experiment.family->set_training(false);
  warn_of_training(*experiment.family, hooks);
  return {std::move(directory), std::move(experiment), step};
}

struct Answers::Others {
  std::optional<Support> support;  // of the energy, where there is one
  std::optional<ExactAnswers> exact;
  std::optional<Routed> routed;
};

Tensor exact_log_marginal(const Oracle& oracle, const Tensor& partial, const Tensor& given) {
  const auto sum = oracle.log_sum(partial);
  if (!given.defined()) return sum - oracle.log_z();
  const auto below = oracle.log_sum(given);
  if (const auto rows = (below == -INFINITY).nonzero(); rows.size(0) > 0)
    throw ImpossibleGiven(rows[0].item<std::int64_t>());
  return sum - below;
}

/// What a question is conditioned on; undefined: nothing.
static Tensor find_condition(const Query& query) {
  return query.kind == QueryKind::kLogMarginal ? query.given : query.partial;
}

Answers::Answers(const OpenRun& run, std::string estimator)
    : run_(run), estimator_(std::move(estimator)), others_(std::make_unique<Others>()) {
  const auto& experiment = run.experiment;
  const auto where = run.directory.path().string();
  if (experiment.energy) others_->support.emplace(*experiment.energy);
  if (estimator_ == "exact") {
    if (!experiment.energy)
      throw SpecError(where + ": \"exact\" asks the energy's oracle, and this run has no energy");
    const auto oracle = others_->exact.emplace(*experiment.energy).oracle();
    if (!oracle)
      throw SpecError(
          fmt::format("{}: no exact answer: {}", experiment.energy->label(), oracle.reason));
  }
  if (estimator_ == Routed::kName) {
    if (const auto why = Routed::obstacle(*experiment.family, experiment.energy.get());
        !why.empty())
      throw SpecError(where + ": " + why);
    others_->routed.emplace(*experiment.family, *experiment.energy);
  }
}

Answers::~Answers() = default;

void Answers::check_given(const Tensor& given) const {
  if (!others_->support || (given == kUnknown).all().item<bool>()) return;
  const auto [rows, which, _] = at::unique_dim(given, 0, true, true);
  const auto excluded = others_->support->excludes(rows).index_select(0, which).nonzero();
  if (excluded.size(0) > 0) throw ImpossibleGiven(excluded[0].item<std::int64_t>());
}

Answer Answers::operator()(Query query, Stream& stream) const {
  if (const auto given = find_condition(query); given.defined()) check_given(given);
  if (others_->routed) return others_->routed->log_marginal(query.partial, query.given, stream);
  query.estimator = estimator_;
  if (!others_->exact) return run_.experiment.family->answer(query, stream);
  const auto oracle = others_->exact->oracle();
  Answer answer;
  answer.value = exact_log_marginal(*oracle.value, query.partial, query.given);
  answer.estimator = estimator_;
  answer.status = Status::kExact;
  return answer;
}

}  // namespace marginalia
