#include <filesystem>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/inference/masking.h>
#include <marginalia/unpack.h>

#include "energy_identity.h"

namespace marginalia {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kProbes = 16;  // states whose log f is part of the key

/// Walks the parameters of an energy and of its parts for the files that they name.
class FileFinder final : public ParamVisitor {
 public:
  FileFinder(const DataPaths& paths, const Registry& registry)
      : paths_(paths), registry_(registry) {}
  std::vector<EnergyFile> found;

  /// json: the resolved parameters of a component, which stand at `place`.
  void walk(const char* kind, const Json& json, const std::string& place) {
    const auto* component = registry_.find(kind, json.value("type", ""));
    if (!component) return;
    frames_.push_back({&json, place});
    component->visit(*this);
    frames_.pop_back();
  }

  void operator()(const char*, bool&, Of<bool>) override {}
  void operator()(const char*, double&, Of<double>) override {}
  void operator()(const char*, std::int64_t&, Of<std::int64_t>) override {}
  void operator()(const char*, std::string&, Of<std::string>) override {}
  void operator()(const char*, Integers&, Of<Integers>) override {}
  void operator()(const char*, Numbers&, Of<Numbers>) override {}
  void operator()(const char*, Named&, Of<double>) override {}
  void operator()(const char*, Count&, Of<std::int64_t>) override {}
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
  void operator()(const char* name, AnyChild& value, Of<bool>) override {
    if (json().contains(name)) walk(value.kind(), json().at(name), place(name));
  }

 private:
  struct Frame {
    const Json* json;
    std::string place;
  };
  const Json& json() const { return *frames_.back().json; }
  std::string place(const std::string& name) const { return frames_.back().place + "/" + name; }

  void add(const fs::path& file, const std::string& name) {
    std::error_code none;
    if (fs::is_regular_file(file, none)) found.push_back({place(name), file.lexically_normal()});
  }

  std::size_t begin_list(const char* name, const char*, std::size_t, Of<bool>) override {
    list_ = name;
    return json().contains(name) ? json().at(name).size() : 0;
  }
  void element(std::size_t index, AnyChild& value) override {
    const auto list = list_;  // a part may have lists of its own
    walk(value.kind(), json().at(list)[index], place(fmt::format("{}/{}", list, index)));
    list_ = list;
  }
  void end_list() override {}
  void begin_section(const char* name, const char*) override {
    static const Json none = Json::object();  // in a run of old, from before the section
    frames_.push_back({json().contains(name) ? &json().at(name) : &none, place(name)});
  }
  void end_section() override { frames_.pop_back(); }

  const DataPaths& paths_;
  const Registry& registry_;
  std::vector<Frame> frames_;
  std::string list_;
};

/// SHA-256 of a file's bytes; empty where they cannot be read.
std::string digest_of(const fs::path& file) {
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
  finder.walk("energy", resolved, "");
  return std::move(finder.found);
}

Json digests_of_energy(const Json& experiment, const DataPaths& paths, const Registry& registry) {
  Json digests = Json::object();
  if (!experiment.contains("energy")) return digests;
  for (const auto& [parameter, path] : files_of_energy(experiment.at("energy"), paths, registry))
    if (const auto digest = digest_of(path); !digest.empty())
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

Json identity_of(const Energy& energy, const Json& resolved, const DataPaths& paths,
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
    if (const auto digest = digest_of(path); !digest.empty())
      by_content[Json::json_pointer(parameter)] = "sha256:" + digest;
  return {{"energy", by_content}, {"log_density", values}, {"plugins", versions}};
}

}  // namespace marginalia
