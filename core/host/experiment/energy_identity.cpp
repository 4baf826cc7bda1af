#include <filesystem>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/inference/masking.h>

#include "energy_identity.h"
#include "spec_walker.h"

namespace marginalia {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kProbes = 16;  // states whose log f is part of the key

/// Finds the files that an energy and its parts name.
class FileFinder final : public SpecWalker {
 public:
  FileFinder(const DataPaths& paths, const Registry& registry)
      : SpecWalker(registry), paths_(paths) {}
  std::vector<EnergyFile> found;

  using SpecWalker::operator();
  void operator()(const char* name, Strings&, Of<std::string> field) override {
    if (!field.files_in || !json().contains(name)) return;
    const auto folder = paths_.find(json().value(field.files_in, ""));
    const auto& words = json().at(name);
    for (std::size_t i = 0; i < words.size(); ++i)
      add(folder / words[i].get<std::string>(), fmt::format("{}/{}", name, i));
  }
  void operator()(const char* name, FilePath&, Of<std::string>) override {
    const auto file = paths_.find(json().value(name, ""));
    if (!fs::is_directory(file)) add(find_packed(file), name);
  }

 private:
  void add(const fs::path& file, const std::string& name) {
    std::error_code none;
    if (fs::is_regular_file(file, none)) found.push_back({place(name), file.lexically_normal()});
  }
  const DataPaths& paths_;
};

/// SHA-256 of a file's bytes; empty where they cannot be read.
std::string compute_digest(const fs::path& file) {
  try {
    return sha256_hex(read_text(file));
  } catch (const Error&) {
    return "";
  }
}

/// Adds "plugin version" of each energy that is spoken of.
void add_versions(const Json& json, const Registry& registry, Json& versions) {
  if (!json.is_structured()) return;
  if (json.is_object() && json.contains("type") && json.at("type").is_string())
    if (const auto* d = registry.find("energy", json.at("type").get<std::string>()))
      versions[d->plugin] = d->version;
  for (const auto& part : json)
    add_versions(part, registry, versions);
}

}  // namespace

std::vector<EnergyFile> files_of_energy(const Json& resolved, const DataPaths& paths,
                                        const Registry& registry) {
  FileFinder finder(paths, registry);
  auto energy = resolved;
  finder.walk("energy", energy, "");
  return std::move(finder.found);
}

Json digests_of_energy(const Json& experiment, const DataPaths& paths, const Registry& registry) {
  Json digests = Json::object();
  if (!experiment.contains("energy")) return digests;
  for (const auto& [parameter, path] : files_of_energy(experiment.at("energy"), paths, registry))
    if (const auto digest = compute_digest(path); !digest.empty())
      digests[parameter] = {{"file", path.string()}, {"sha256", digest}};
  return digests;
}

std::vector<std::string> changed_files(const Json& recorded, const Json& now) {
  const auto shown = [](const std::string& digest) { return digest.substr(0, 12) + "..."; };
  std::vector<std::string> changed;
  for (const auto& [parameter, before] : recorded.items()) {
    const auto then = before.at("sha256").get<std::string>();
    const auto after = now.value(parameter, Json::object());
    if (after.value("sha256", "") == then) continue;
    changed.push_back(fmt::format(
        "{} (sha256 {} then, {} now)", after.value("file", before.at("file").get<std::string>()),
        shown(then), after.empty() ? "gone" : shown(after.at("sha256").get<std::string>())));
  }
  return changed;
}

Json compute_identity(const Energy& energy, const Json& resolved, const DataPaths& paths,
                      const Registry& registry) {
  Json versions = Json::object();
  add_versions(resolved, registry, versions);
  Stream stream(0, "reference/probes");
  const auto probes = energy.log_density(uniform_states(energy.space(), kProbes, stream));
  Json values = Json::array();
  for (std::int64_t n = 0; n < kProbes; ++n)
    values.push_back(fmt::format("{}", probes[n].item<double>()));  // -inf as well
  auto by_content = resolved;                                       // digests in the place of files
  for (const auto& [parameter, path] : files_of_energy(resolved, paths, registry))
    if (const auto digest = compute_digest(path); !digest.empty())
      by_content[Json::json_pointer(parameter)] = "sha256:" + digest;
  return {{"energy", by_content}, {"log_density", values}, {"plugins", versions}};
}

}  // namespace marginalia
