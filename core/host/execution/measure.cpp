#include <fmt/format.h>

#include <marginalia/error.h>

#include "answer.h"
#include "host/training/checkpoint.h"
#include "prior_training.h"
#include "records/runs/run_directory.h"
#include "run.h"
#include "run_parts.h"
#include "sdk/base/json_fault.h"

namespace marginalia {
namespace {

namespace fs = std::filesystem;

/// What was measured before, with the metrics of `now` in their places.
Json merged(Json before, const Json& now) {
  for (const auto& [name, figures] : now.at("metrics").items()) {
    before["metrics"][name] = figures;
    if (before.contains("unavailable")) before["unavailable"].erase(name);
  }
  const auto why = now.value("unavailable", Json::object());
  for (const auto& [name, reason] : why.items())
    before["unavailable"][name] = reason;
  if (before.value("unavailable", Json()).empty()) before.erase("unavailable");
  if (now.contains("reference")) before["reference"] = now["reference"];
  return before;
}

/// The figures that stay beside those of some metrics measured anew; null where none do.
Json kept_figures(const fs::path& run, std::int64_t step) {
  const auto file = run / "evaluation.json";
  if (!fs::exists(file)) return {};
  auto kept = read_json(file);
  if (const auto of = kept.value("step", step); of != step)
    throw SpecError(fmt::format(
        "{}: holds figures of step {}, and these would be of step {}; measure all of them (without "
        "--metrics), or take that checkpoint (--checkpoint step_{:06}.safetensors)",
        file.string(), of, step, of));
  return kept;
}

/// `names` as a spec lists metrics: those of `listed` with their settings, the rest by name alone.
Json named(const std::vector<std::string>& names, const Json& listed) {
  auto found = Json::array();
  for (const auto& name : names) {
    const auto before = found.size();
    for (const auto& one : listed)
      if (one.is_object() && one.value("type", "") == name) found.push_back(one);
    if (found.size() == before) found.push_back(name);
  }
  return found;
}

}  // namespace

Json measure(const MeasureRequest& request, const Environment& environment, const Hooks& hooks) {
  const HeldThreads held(execution::count_threads(environment));
  auto directory = RunDirectory::open(request.folder, true);
  warn_of_changed_files(directory, environment, hooks);
  auto spec = directory.spec(environment.data);
  const auto& metrics = request.metrics;
  if (!metrics.empty()) {
    const auto listed = spec.json().value("/evaluation/metrics"_json_pointer, Json());
    spec = spec.with({"evaluation.metrics=" + named(metrics, listed).dump()});
  }
  Experiment experiment(spec, environment.registry, environment.device);
  execution::warn_of_precision(experiment, {"evaluation"}, hooks);
  const auto file = request.checkpoint.empty() ? find_checkpoint(request.folder)
                                               : directory.checkpoints() / request.checkpoint;
  const auto step = load_model(file, *experiment.family, execution::prior_of(experiment));
  warn_of_training(*experiment.family, hooks);
  const auto kept = metrics.empty() ? Json() : kept_figures(request.folder, step);
  const auto evaluation = execution::make_evaluation(experiment, step, request.folder);
  directory.write_evaluation(kept.is_null() ? evaluation : merged(kept, evaluation));
  return evaluation;
}

}  // namespace marginalia
