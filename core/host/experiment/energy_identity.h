#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <marginalia/energy.h>
#include <marginalia/registry.h>
#include <marginalia/spec.h>

namespace marginalia {

/// A file that an energy is made of, and the parameter that names it: a JSON pointer into the
/// energy's resolved spec, as "/base/file".
struct EnergyFile {
  std::string parameter;
  std::filesystem::path path;
};

/// The files that an energy's parameters name, its parts' among them, and that are there: FilePath
/// parameters, and the words of a command (Field::files_in).
std::vector<EnergyFile> files_of_energy(const Json& resolved, const DataPaths& paths,
                                        const Registry& registry);

/// {parameter: {"file": its path, "sha256": of its bytes}} for each of them: "energy_files" of
/// run.json. Empty where the experiment has no energy. A file that cannot be read, as a program may
/// be that can be started all the same, is left out.
Json digests_of_energy(const Json& experiment, const DataPaths& paths, const Registry& registry);

/// The recorded files that are not what they were: "reward.py (sha256 ab12... then, cd34... now)".
std::vector<std::string> changed_files(const Json& recorded, const Json& now);

/// What an energy is, as a key to what is kept of it: {"energy": its resolved spec with the
/// contents of its files in the place of their names (SHA-256), "log_density": log f at 16 fixed
/// states, "plugins": the versions of those that make it}.
Json compute_identity(const Energy& energy, const Json& resolved, const DataPaths& paths,
                      const Registry& registry);

}  // namespace marginalia
