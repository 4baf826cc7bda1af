#include "rendezvous.h"

#include <charconv>
#include <cstdlib>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>

namespace marginalia {
namespace {

/// An integer of the environment.
int to_number(const char* name, const std::string& text, int least, int most) {
  int value = 0;
  const auto* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || at != end || value < least || value > most)
    throw SpecError(
        fmt::format("{}: must be an integer from {} to {}, not \"{}\"", name, least, most, text));
  return value;
}

constexpr int kMostRanks = 4096, kMostPort = 65535;

/// SLURM's name of a variable of a step, or that of the whole job.
std::pair<const char*, std::string> of_step(const EnvironmentLookup& variable, const char* step,
                                            const char* job) {
  auto value = variable(step);
  return value.empty() ? std::pair{job, variable(job)} : std::pair{step, std::move(value)};
}

/// A port that two jobs of one machine rarely share.
std::uint16_t port_of_job(const std::string& job) {
  constexpr int kFirst = 20000, kPorts = 10000;
  return std::uint16_t(kFirst + to_number("SLURM_JOB_ID", job, 0, INT32_MAX) % kPorts);
}

Rendezvous by_slurm(const EnvironmentLookup& variable) {
  const auto [name_of_size, size] = of_step(variable, "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS");
  const auto rank = variable("SLURM_PROCID");
  if (size.empty() || rank.empty())
    throw SpecError(fmt::format("--ranks slurm: {} is not set; start the ranks by srun",
                                rank.empty() ? "SLURM_PROCID" : "SLURM_NTASKS"));
  Rendezvous found;
  found.size = to_number(name_of_size, size, 1, kMostRanks);
  found.rank = to_number("SLURM_PROCID", rank, 0, found.size - 1);
  if (found.size == 1) return found;
  const auto address = variable("MASTER_ADDR"), port = variable("MASTER_PORT");
  found.address =
      !address.empty()
          ? address
          : first_host(of_step(variable, "SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST").second);
  if (found.address.empty())
    throw SpecError("SLURM_STEP_NODELIST: is not set, nor is MASTER_ADDR: where rank 0 is cannot "
                    "be told");
  found.port = port.empty() ? port_of_job(variable("SLURM_JOB_ID"))
                            : std::uint16_t(to_number("MASTER_PORT", port, 1, kMostPort));
  return found;
}

Rendezvous by_torchrun(const EnvironmentLookup& variable) {
  std::vector<const char*> missing;
  for (const auto* name : {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})
    if (variable(name).empty()) missing.push_back(name);
  if (!missing.empty())
    throw SpecError(fmt::format("of the variables of a rank {} {} not set; start the ranks by "
                                "marginalia launch, torchrun or srun",
                                fmt::join(missing, ", "), missing.size() == 1 ? "is" : "are"));
  Rendezvous found;
  found.size = to_number("WORLD_SIZE", variable("WORLD_SIZE"), 1, kMostRanks);
  found.rank = to_number("RANK", variable("RANK"), 0, found.size - 1);
  found.address = variable("MASTER_ADDR");
  found.port = std::uint16_t(to_number("MASTER_PORT", variable("MASTER_PORT"), 1, kMostPort));
  if (const auto local = variable("LOCAL_WORLD_SIZE"); !local.empty())
    found.local_size = to_number("LOCAL_WORLD_SIZE", local, 1, found.size);
  found.by_rank_0 = variable("TORCHELASTIC_USE_AGENT_STORE") != "True";
  if (const auto count = variable("TORCHELASTIC_RESTART_COUNT"); !count.empty())
    found.attempt = to_number("TORCHELASTIC_RESTART_COUNT", count, 0, INT32_MAX);
  return found;
}

/// Whether srun started this process, as one of several.
bool is_task_of_step(const EnvironmentLookup& variable) {
  const auto tasks = variable("SLURM_STEP_NUM_TASKS");
  return !variable("SLURM_PROCID").empty() && !tasks.empty() && tasks != "1";
}

}  // namespace

std::string why_no_ranks() {
  return MARGINALIA_NO_RANKS;
}

EnvironmentLookup process_environment() {
  return [](const char* name) {
    const auto* const value = std::getenv(name);
    return std::string(value ? value : "");
  };
}

std::string first_host(const std::string& list) {
  const auto open = list.find('['), close = list.find(']');
  if (open >= list.find(',') || close == std::string::npos) return list.substr(0, list.find(','));
  const auto number = list.substr(open + 1, list.find_first_of("-,]", open) - open - 1);
  const auto behind = list.substr(close + 1, list.find(',', close) - close - 1);
  return list.substr(0, open) + number + behind;
}

std::optional<Rendezvous> find_rendezvous(const EnvironmentLookup& variable, RankSource source) {
  std::optional<Rendezvous> found;
  if (source == RankSource::kSlurm)
    found = by_slurm(variable);
  else if (!variable("RANK").empty() || !variable("WORLD_SIZE").empty())
    found = by_torchrun(variable);
  else if (is_task_of_step(variable))
    found = by_slurm(variable);
  if (found && found->size == 1) found.reset();
  return found;
}

}  // namespace marginalia
