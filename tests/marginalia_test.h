#pragma once

#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/energy.h>
#include <marginalia/error.h>
#include <marginalia/oracle.h>
#include <marginalia/plugin_host.h>

#include <doctest/doctest.h>  // last: LibTorch's CHECK aborts, and the later definition wins

namespace marginalia::test {

/// Every plugin of the build.
inline const Registry& loaded_registry() {
  static const Registry registry = [] {
    PluginHost host;
    host.load_folder(MARGINALIA_PLUGIN_DIR, true);
    return host.registry();
  }();
  return registry;
}

template <class Interface>
std::shared_ptr<Interface> make(const std::string& json) {
  return loaded_registry().make<Interface>(Spec::from_text(json, "spec.json"));
}

/// An empty folder that goes with the object.
class TempDir {
 public:
  TempDir() {
    auto pattern = (std::filesystem::temp_directory_path() / "marginalia-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// A text file that goes with the test.
struct TextFile {
  TempDir folder;
  std::filesystem::path path = folder / "values.txt";
  explicit TextFile(const std::string& text) { std::ofstream(path) << text; }
};

/// $MARGINALIA_DATA where it has `file`, else empty, and the test says that it is skipped.
inline std::filesystem::path real_data(const std::string& file) {
  const auto* data = std::getenv("MARGINALIA_DATA");
  if (data && std::filesystem::exists(std::filesystem::path(data) / file)) return data;
  MESSAGE("skipped: needs ", file, " in $MARGINALIA_DATA, which is ",
          std::string(data ? data : "not set"));
  return {};
}

/// The text of the Error that `action` throws; "accepted" when it throws none.
template <class F>
std::string refusal(F action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

}  // namespace marginalia::test
