#pragma once

#include <filesystem>

#include <marginalia/files.h>

#include "program.h"

namespace marginalia::test {

/// A run of a second.
inline constexpr const char* kTiny = R"({"marginalia": 1, "seed": 1,
  "energy": {"type": "ising", "side": 3},
  "network": {"type": "lattice_conv", "channels": 4, "depth": 1, "prior": "belief_propagation"},
  "family": {"type": "mam", "label_sweeps": 4, "chain": {"count": 64, "burn_in": 20}},
  "training": {"steps": 40, "batch_size": 32, "log_every_steps": 10,
               "checkpoint": {"every_steps": 10}},
  "evaluation": {"rows": 50, "samples": 4, "metrics": ["log_z", "ess"]}})";

/// Trained, once for all who ask.
inline const std::filesystem::path& tiny_run() {
  static TempDir folder;
  static const std::filesystem::path run = folder / "run";
  if (!std::filesystem::exists(run)) {
    write_atomically(folder / "tiny.json", kTiny);
    const auto result = run_marginalia(
        fmt::format("run '{}' --out '{}'", (folder / "tiny.json").string(), run.string()));
    REQUIRE_MESSAGE(result.code == 0, result.err);
  }
  return run;
}

}  // namespace marginalia::test
