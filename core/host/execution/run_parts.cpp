#include "run_parts.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include <torch/types.h>

#include <marginalia/build_stamp.h>
#include <marginalia/precision.h>

#include "host/evaluation/evaluator.h"
#include "host/experiment/energy_identity.h"
#include "host/experiment/precision_record.h"
#include "records/runs/run_directory.h"
#include "sdk/base/text.h"

namespace marginalia::execution {

namespace fs = std::filesystem;

std::string now() {
  return utc_text(std::chrono::system_clock::now());
}

int count_threads(const Environment& environment) {
  if (environment.threads > 0) return environment.threads;
  const auto sharing = environment.ranks ? environment.ranks->local_size() : 1;
  return std::max(1, usable_processors() / sharing);
}

std::int64_t parameter_count(const Experiment& experiment) {
  std::int64_t count = 0;
  for (const auto& group : experiment.family->parameters())
    for (const auto& [_, parameter] : group.parameters)
      count += parameter.numel();
  return count;
}

namespace {

Json list_plugins(const Environment& environment) {
  Json plugins = Json::array();
  for (const auto& plugin : environment.plugins)
    plugins.push_back({{"name", plugin.name},
                       {"version", plugin.version},
                       {"library", plugin.library.filename().string()}});
  return plugins;
}

/// "cardinalities" where variables differ in them; else all have "levels".
Json describe_space(const StateSpace& space) {
  Json json{{"dimension", space.dimension()},
            {"levels", space.levels()},
            {"shape", space.shape},
            {"alphabet", space.alphabet}};
  if (space.mixed()) json["cardinalities"] = space.cardinalities;
  return json;
}

std::string machine_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

/// What of the processor decides which kernels compute, and so the last digits: its vectors, and
/// what multiplies bfloat16 or is kept from it. "AVX-512, AMX".
std::string processor_class() {
  std::string vectors = "no AVX2";
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) vectors = "AVX2";
  if (__builtin_cpu_supports("avx512f")) vectors = "AVX-512";
#endif
  const auto bfloat16 = bfloat16_on(at::kCPU);
  const bool is_told = bfloat16.in_hardware || bfloat16.why.starts_with("limited");
  return is_told ? vectors + ", " + bfloat16.why : vectors;
}

/// The last value of kChainHealth in metrics.jsonl; NaN where there is none, or it is unknown.
double chain_health(const fs::path& run) {
  double health = NAN;
  std::ifstream lines(run / "metrics.jsonl");
  for (std::string line; std::getline(lines, line);) {
    const auto json = Json::parse(line, nullptr, false);
    if (json.is_object() && json.contains(kChainHealth))
      health = json[kChainHealth].is_number() ? json[kChainHealth].get<double>() : NAN;
  }
  return health;
}

}  // namespace

/// What run.json says when a run begins.
Json first_record(const RunRequest& request, const Experiment& experiment,
                  const Environment& environment) {
  const auto files =
      digests_of_energy(experiment.resolved, request.spec.paths(), environment.registry);
  Json record{{"marginalia_run", 1},
              {"name", request.folder.filename().string()},
              {"spec", experiment.resolved},
              {"spec_sha256", spec_hash(experiment.resolved)},
              {"energy_files", files},
              {"overrides", request.overrides},
              {"seed", experiment.seed},
              {"space", describe_space(experiment.space())},
              {"plugins", list_plugins(environment)},
              {"version", MARGINALIA_VERSION},
              {"build", kBuildStamp},
              {"commit", environment.commit},
              {"host", machine_name()},
              {"processor", processor_class()},
              {"device", experiment.device.str()},
              {"precision", experiment.precision},
              {"threads", count_threads(environment)},
              {"parameters", parameter_count(experiment)},
              {"started", now()},
              {"ended", nullptr},
              {"status", "running"}};
  if (environment.ranks) record["ranks"] = environment.ranks->size();
  return record;
}

void warn_of_precision(const Experiment& experiment, const std::vector<std::string>& sections,
                       const Hooks& hooks) {
  if (!hooks.warn) return;
  const auto text = precision_warning(experiment.precision, sections, experiment.device);
  if (!text.empty()) hooks.warn(text);
}

Json make_evaluation(Experiment& experiment, std::int64_t step, const fs::path& run,
                     Communicator* ranks) {
  const auto& wanted = experiment.evaluation;
  Json evaluation{{"step", step}};
  evaluation.update(evaluate(experiment, {wanted.metrics, wanted.rows, split_named(wanted.split),
                                          experiment.seed, chain_health(run), false, ranks}));
  return evaluation;
}

}  // namespace marginalia::execution
