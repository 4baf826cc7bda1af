#include <filesystem>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/energy_identity.h>
#include <marginalia/files.h>
#include <marginalia/masking.h>

namespace marginalia {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kProbes = 16;  // states whose log f is part of the key

/// The contents of the file that `text` names, beside the spec or in the data directory, as a
/// digest; anything else as it is.
Json digest_of(const std::string& text, const DataPaths& paths) {
  for (const auto& folder : {paths.beside, paths.data}) {
    std::error_code none;
    if (const auto file = folder / text; fs::is_regular_file(file, none))
      return "sha256:" + sha256_hex(read_text(file));
  }
  return text;
}

/// The same JSON with digests in the place of files.
Json by_content(Json json, const DataPaths& paths) {
  if (json.is_string()) return digest_of(json.get<std::string>(), paths);
  if (json.is_structured())
    for (auto& part : json)
      part = by_content(part, paths);
  return json;
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

Json identity_of(const Energy& energy, const Json& resolved, const DataPaths& paths,
                 const Registry& registry) {
  Json versions = Json::object();
  add_versions(resolved, registry, versions);
  Stream stream(0, "reference/probes");
  const auto probes = energy.log_density(uniform_states(energy.space(), kProbes, stream));
  Json values = Json::array();
  for (std::int64_t n = 0; n < kProbes; ++n)
    values.push_back(fmt::format("{}", probes[n].item<double>()));  // -inf as well
  return {{"energy", by_content(resolved, paths)}, {"log_density", values}, {"plugins", versions}};
}

}  // namespace marginalia
