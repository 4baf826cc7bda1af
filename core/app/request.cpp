#include "request.h"

#include <fmt/format.h>

#include <marginalia/error.h>

namespace marginalia::app {

fs::path Options::data_directory() const {
  return data.empty() ? default_data_directory() : fs::path(data);
}

std::vector<PluginFolder> Options::plugin_folders() const {
  std::vector<PluginFolder> folders;
  for (const auto& folder : default_plugin_folders())
    folders.push_back({folder, false});
  for (const auto& folder : plugins)
    folders.push_back({folder, true});
  return folders;
}

void warn_of_refused(const std::vector<std::string>& refused) {
  for (const auto& why : refused)
    fmt::print(stderr, "marginalia: warning: plugin refused: {}\n", why);
}

int to_exit_code(const std::exception& error, bool any_refused) {
  if (dynamic_cast<const PluginError*>(&error)) return 3;
  if (!dynamic_cast<const SpecError*>(&error)) return 1;
  return any_refused && dynamic_cast<const UnknownComponent*>(&error) ? 3 : 2;
}

}  // namespace marginalia::app
