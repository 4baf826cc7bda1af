#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli.h"

namespace marginalia::app {

/// What the words of a verb that asks energies come to: SPEC... [key=value ...].
struct EnergyWords {
  std::vector<fs::path> files;        ///< specs and UAI models
  std::vector<std::string> settings;  ///< of all of them
  bool several = false;               ///< whether more than one may be meant: words, or a folder
};

/// A word without "=" is a spec, a UAI model (NAME.uai, packed or not) or a folder of either.
/// Throws SpecError, naming the verb, where none is left.
EnergyWords read_energy_words(const std::vector<std::string>& words, const std::string& verb);

/// The energy of a spec; of a UAI model that of its factors, with the evidence of NAME.uai.evid
/// beside it.
std::shared_ptr<Energy> energy_of(const fs::path& file, const std::vector<std::string>& settings,
                                  Session& session);

/// Calls answer(energy) for each, and prints what it says, with "file" where several are meant;
/// what is wrong with one is then its line's "error", and the exit code 2.
void answer_each(const EnergyWords& words, Session& session,
                 const std::function<Json(const Energy&)>& answer);

}  // namespace marginalia::app
