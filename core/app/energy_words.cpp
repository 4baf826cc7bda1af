#include "energy_words.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>

#include "host/experiment/settings.h"
#include "lines.h"

namespace marginalia::app {
namespace {

/// A file's name without .gz or .zip.
std::string unpacked_name(const fs::path& file) {
  const auto packed = file.extension() == ".gz" || file.extension() == ".zip";
  return (packed ? file.stem() : file.filename()).string();
}

bool is_uai(const fs::path& file) {
  return fs::path(unpacked_name(file)).extension() == ".uai";
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && (is_uai(entry.path()) || entry.path().extension() == ".json"))
      files.push_back(entry.path());
  if (files.empty())
    throw SpecError(fmt::format("{}: holds no spec (.json) and no model (.uai)", folder.string()));
  std::ranges::sort(files);
  return files;
}

/// The spec that a UAI model stands for.
Spec spec_of_model(const fs::path& file) {
  Json energy{{"type", "factor_graph"}, {"file", fs::absolute(file).string()}};
  const auto evidence = fs::absolute(file).parent_path() / (unpacked_name(file) + ".evid");
  for (const auto* packing : {"", ".gz", ".zip"})
    if (const auto packed = evidence.string() + packing; fs::exists(packed)) {
      energy["evidence"] = packed;
      break;
    }
  return Spec::from_text(Json{{"marginalia", 2}, {"energy", energy}}.dump(), file.string());
}

}  // namespace

EnergyWords read_energy_words(const std::vector<std::string>& words, const std::string& verb) {
  EnergyWords result;
  for (const auto& word : words) {
    if (word.find('=') != std::string::npos) {
      result.settings.push_back(word);
    } else if (fs::is_directory(word)) {
      std::ranges::copy(files_in(word), std::back_inserter(result.files));
      result.several = true;
    } else {
      result.files.emplace_back(word);
    }
  }
  if (result.files.empty())
    throw SpecError(verb + ": needs a spec, a UAI model, or a folder of either");
  result.several = result.several || result.files.size() > 1;
  return result;
}

std::shared_ptr<Energy> energy_of(const fs::path& file, const std::vector<std::string>& settings,
                                  Session& session) {
  if (is_uai(file) && !fs::exists(file))
    throw SpecError(fmt::format("{}: there is no such file", file.string()));
  const auto spec = is_uai(file) ? spec_of_model(file) : Spec::from_file(file, session.data());
  return Experiment::make_energy(with_settings(spec, settings, session.registry()),
                                 session.registry());
}

void answer_each(const EnergyWords& words, Session& session,
                 const std::function<Json(const Energy&)>& answer) {
  const auto answer_to = [&](const fs::path& file) {
    return answer(*energy_of(file, words.settings, session));
  };
  if (!words.several) return print(answer_to(words.files[0]));
  for (const auto& file : words.files) {
    Json line{{"file", file.string()}};
    try {
      line.update(answer_to(file));
    } catch (const std::exception& e) {
      line["error"] = describe_error(e);
      session.exit_code = 2;
    }
    print(line);
  }
}

}  // namespace marginalia::app
