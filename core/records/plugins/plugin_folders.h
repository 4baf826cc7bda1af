#pragma once

#include <filesystem>
#include <vector>

namespace marginalia {

/// A folder that plugins are loaded from. Libraries of a required one must load.
struct PluginFolder {
  std::filesystem::path path;
  bool required = false;
};

/// Where plugins are looked for without being asked: beside the program, built or installed, and
/// in $MARGINALIA_PLUGINS (folders separated by ':').
std::vector<std::filesystem::path> default_plugin_folders();
/// The same of another root than the folder above that of the program.
std::vector<std::filesystem::path> default_plugin_folders(const std::filesystem::path& root);
/// Where plugins are below a root, built or installed; they need not be there.
std::vector<std::filesystem::path> plugin_folders_below(const std::filesystem::path& root);

/// The ones among `folders` that exist, in canonical form, each once. Throws PluginError where a
/// required one does not.
std::vector<PluginFolder> existing(const std::vector<PluginFolder>& folders);

/// The libraries in a folder, in the order in which they are loaded.
std::vector<std::filesystem::path> plugin_libraries(const std::filesystem::path& folder);

}  // namespace marginalia
