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

#include <doctest/doctest.h>  // last: LibTorch's CHECK aborts, and the later definition wins

#include "host/plugins/plugin_host.h"

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

/// How many cases have said that they were skipped.
inline int& skips() {
  static int count = 0;
  return count;
}
/// Says why a case, or the rest of it, is skipped.
inline void skip(const std::string& why) {
  ++skips();
  MESSAGE("skipped: ", why);
}

/// $MARGINALIA_DATA where it has `file`, else empty, and the test says that it is skipped. Such
/// cases stand in the suite "data/FOLDER", which has a CTest entry of its own.
inline std::filesystem::path real_data(const std::string& file) {
  const auto* data = std::getenv("MARGINALIA_DATA");
  if (data && std::filesystem::exists(std::filesystem::path(data) / file)) return data;
  skip("needs " + file + " in $MARGINALIA_DATA, which is " + (data ? data : "not set"));
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
