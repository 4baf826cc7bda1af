#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace marginalia {

/// Which rank of how many a process is, and where they meet.
struct Rendezvous {
  int rank = 0, size = 1;  ///< 0 <= rank < size
  int local_size = 1;      ///< ranks on this machine, which share its processors
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  ///< where a store of keys listens
  /// Rank 0 listens there; else who started the ranks does, as torchrun.
  bool by_rank_0 = true;
  int attempt = 0;                             ///< how often the ranks were restarted
  std::chrono::milliseconds patience{60'000};  ///< until all ranks have come
  /// Is told, by another thread, which rank shows no sign of life for 10 s, and that all would wait
  /// for it; null: who started the ranks listens for that.
  std::function<void(const std::string& who)> give_up = {};
};

/// Why no process can be one of several; "" where it can: Gloo was found when this was built.
std::string why_no_ranks();

/// The value of an environment variable, "" where it is unset.
using EnvironmentLookup = std::function<std::string(const char* name)>;
EnvironmentLookup process_environment();

/// Whose variables say which rank a process is.
enum class RankSource {
  kAny,   ///< torchrun's where they are set; else SLURM's in an srun step of more than one task
  kSlurm  ///< SLURM's
};

/// What torchrun's variables say (RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT), or
/// SLURM's (SLURM_PROCID, SLURM_STEP_NUM_TASKS or SLURM_NTASKS, SLURM_STEP_NODELIST or
/// SLURM_JOB_NODELIST, SLURM_JOB_ID), of which MASTER_ADDR and MASTER_PORT take the place where
/// they are set. None where a process is alone: no variable is set, or the size is 1. Throws
/// SpecError for a set of variables that is not whole, or a value out of range.
std::optional<Rendezvous> find_rendezvous(const EnvironmentLookup& variable, RankSource source);

/// The first name of a list of hosts as SLURM writes it: "n[08-10,12],m1" -> "n08".
std::string first_host(const std::string& list);

}  // namespace marginalia
