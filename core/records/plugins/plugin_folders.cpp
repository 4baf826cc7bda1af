#include <algorithm>
#include <cstdlib>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include <marginalia/error.h>

#include "plugin_folders.h"

namespace marginalia {

namespace fs = std::filesystem;

std::vector<PluginFolder> existing(const std::vector<PluginFolder>& folders) {
  std::vector<PluginFolder> there;
  std::error_code failed;
  for (const auto& [path, required] : folders) {
    if (!fs::is_directory(path, failed)) {
      if (required) throw PluginError(fmt::format("{}: no such folder of plugins", path.string()));
      continue;
    }
    const auto canonical = fs::canonical(path);
    if (!std::ranges::count(there, canonical, &PluginFolder::path))
      there.push_back({canonical, required});
  }
  return there;
}

std::vector<fs::path> plugin_libraries(const fs::path& folder) {
  std::set<fs::path> libraries;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".so") libraries.insert(entry.path());
  return {libraries.begin(), libraries.end()};
}

std::vector<fs::path> plugin_folders_below(const fs::path& root) {
  return {root / "plugins", root / MARGINALIA_INSTALLED_PLUGINS};
}

std::vector<fs::path> default_plugin_folders() {
  return default_plugin_folders(fs::canonical("/proc/self/exe").parent_path().parent_path());
}

std::vector<fs::path> default_plugin_folders(const fs::path& root) {
  auto folders = plugin_folders_below(root);
  if (const char* listed = std::getenv("MARGINALIA_PLUGINS")) {
    std::stringstream all(listed);
    for (std::string folder; std::getline(all, folder, ':');)
      if (!folder.empty()) folders.emplace_back(folder);
  }
  return folders;
}

}  // namespace marginalia
