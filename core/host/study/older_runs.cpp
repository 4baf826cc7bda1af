#include "older_runs.h"

#include <algorithm>

#include "host/experiment/experiment.h"
#include "host/experiment/upgrade.h"
#include "records/runs/run_directory.h"

namespace marginalia {

/// The hash that a recorded spec has today; empty where it is not a spec of today's components.
static std::string hash_today(const Json& recorded, const Registry& registry) {
  Faults faults;
  const auto resolved =
      Experiment::check(Spec::from_text(recorded.dump(), "run.json"), registry, faults);
  return faults.empty() ? spec_hash(resolved) : "";
}

void recognise_older_runs(Study& study, const std::vector<Json>& records,
                          const Registry& registry) {
  for (const auto& record : records) {
    const auto& spec = record.at("spec");
    if (!is_of_older_format(spec)) continue;
    const auto experiment =
        std::ranges::find(study.experiments, hash_today(spec, registry), &StudyExperiment::hash);
    if (experiment != study.experiments.end())
      experiment->older_hashes.push_back(record.value("spec_sha256", spec_hash(spec)));
  }
}

}  // namespace marginalia
