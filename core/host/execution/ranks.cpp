#include <algorithm>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/build_stamp.h>
#include <marginalia/files.h>

#include "host/evaluation/evaluator.h"
#include "host/ranks/together.h"
#include "host/training/checkpoint.h"
#include "host/training/gradient_buckets.h"
#include "prior_training.h"
#include "run_parts.h"

namespace marginalia::execution {
namespace {

/// A sum over some training rows, evenly spread.
std::string digest_rows(const Dataset& dataset) {
  const auto size = dataset.size(Split::kTrain), rows = std::min<std::int64_t>(size, 256);
  if (rows == 0) return "";
  const auto x =
      dataset.rows(Split::kTrain, (torch::arange(rows) * size).div(rows, "floor")).contiguous();
  return sha256_hex({reinterpret_cast<const char*>(x.data_ptr<std::int64_t>()),
                     std::size_t(x.numel()) * sizeof(std::int64_t)});
}

/// What ranks must have in common.
Json describe_facts(const Experiment& experiment, const Environment& environment) {
  Json facts{{"spec", experiment.resolved}, {"build", kBuildStamp}, {"commit", environment.commit}};
  if (const auto* dataset = experiment.dataset.get())
    facts["data"] = {{"train", dataset->size(Split::kTrain)},
                     {"valid", dataset->size(Split::kValid)},
                     {"test", dataset->size(Split::kTest)},
                     {"rows_sha256", digest_rows(*dataset)}};
  return facts;
}

}  // namespace

void prepare_ranks(Communicator& ranks, Experiment& experiment, const Environment& environment) {
  Json facts;
  together(&ranks, [&] {
    check_data_parallel(experiment, ranks.size());
    facts = describe_facts(experiment, environment);
  });
  check_alike(ranks, facts.dump());
  broadcast_parameters(ranks, experiment.family->parameters());
}

std::int64_t load_finished(const std::filesystem::path& run, Experiment& experiment,
                           Communicator* ranks) {
  std::filesystem::path file;
  together(ranks, [&] {
    if (!ranks || ranks->is_first()) file = find_checkpoint(run);
  });
  if (ranks) file = ranks->broadcast(file.string());
  std::int64_t step = 0;
  together(ranks, [&] { step = load_model(file, *experiment.family, prior_of(experiment)); });
  return step;
}

RunResult follow(const std::filesystem::path& folder, Experiment& experiment,
                 const std::filesystem::path& checkpoint, const Environment& environment,
                 const Hooks& hooks) {
  if (hooks.begun) hooks.begun(folder);
  TrainingLoop loop(experiment, {nullptr, environment.ranks}, checkpoint, {hooks.stop, {}});
  while (loop.advance()) {
  }
  const auto [outcome, state] = loop.end();
  if (outcome == Outcome::kFinished) {
    load_finished(folder, experiment, environment.ranks);
    answer_along(*experiment.family, *environment.ranks);
  }
  return {folder, outcome, state.step, {}};
}

}  // namespace marginalia::execution
