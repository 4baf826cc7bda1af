#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <marginalia/source.h>
#include <marginalia/spec.h>

#include "plugin_folders.h"

namespace marginalia {

/// What the plugins of some folders offer, as text: what `list` and `describe` print, found when
/// the plugins were last loaded and kept as JSON, so that it can be told without loading any.
///
/// It holds as long as the folders hold the same libraries, told apart by their build ids. It is
/// kept beside the plugins (descriptions.json) where there is one folder that can be written to,
/// else in the cache directory.
class Catalogue {
 public:
  struct Component {
    std::string kind, name, summary, plugin, version;
    std::string page;                 ///< as Markdown
    std::vector<PublicFile> sources;  ///< of a dataset or energy
    std::string usage;                ///< of a tool
  };

  /// The one kept for these folders, or nothing where it must be made anew.
  static std::optional<Catalogue> read(const std::vector<PluginFolder>& folders,
                                       const std::filesystem::path& cache);
  /// content: what `describe_all` (reference.h) says of the plugins in these folders.
  Catalogue(Json content, std::vector<PluginFolder> folders)
      : content_(std::move(content)), folders_(std::move(folders)) {}
  /// Keeps it where it can; what cannot be written is made again the next time.
  void keep(const std::filesystem::path& cache) const;

  std::vector<Component> components() const;  ///< by kind, then name
  std::optional<Component> find(const std::string& kind, const std::string& name) const;
  std::vector<std::string> names(const std::string& kind) const;
  /// The libraries of the components that have one of these names, whatever their kind.
  std::vector<std::filesystem::path> find_libraries(const std::vector<std::string>& names) const;
  std::vector<std::string> refused() const;  ///< why libraries were refused, a text each
  /// What metrics declare of their measurements: {METRIC: [{"estimator", "label", ...}]}.
  Json measurement_facts() const;
  const Json& queries() const { return content_.at("queries"); }  ///< rows of the query matrix
  const Json& pages() const { return content_.at("pages"); }      ///< docs/: file name to text

 private:
  Json content_;
  std::vector<PluginFolder> folders_;
};

}  // namespace marginalia
