#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <marginalia/registry.h>

namespace marginalia {

/// A plugin that was loaded.
struct LoadedPlugin {
  std::string name, version;
  std::filesystem::path library;
};

/// Loads one plugin library and adds its components to `registry`; throws PluginError, and adds
/// nothing, if it cannot.
///
/// The file is read as ELF before any code of it runs. A library stays loaded until the process
/// ends: its code backs every object it made, and LibTorch does not survive being unloaded
/// (docs/decisions/0002-plugins-are-never-unloaded.md).
LoadedPlugin load_plugin(const std::filesystem::path& library, Registry& registry);

/// The plugins of a host: where they were looked for, what came of it.
class PluginHost {
 public:
  /// Loads one library; throws PluginError where it is refused.
  void load(const std::filesystem::path& library);
  /// Loads every library of `folder` in name order. A refused one is kept as a message, or thrown
  /// when `required`.
  void load_folder(const std::filesystem::path& folder, bool required);

  Registry& registry() { return registry_; }
  const Registry& registry() const { return registry_; }
  const std::vector<LoadedPlugin>& loaded() const { return loaded_; }
  const std::vector<std::string>& refused() const { return refused_; }
  const std::vector<std::filesystem::path>& folders() const { return folders_; }

 private:
  Registry registry_;
  std::vector<LoadedPlugin> loaded_;
  std::vector<std::string> refused_;
  std::vector<std::filesystem::path> folders_;
};

}  // namespace marginalia
