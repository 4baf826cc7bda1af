#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <marginalia/dataset.h>
#include <marginalia/energy.h>
#include <marginalia/family.h>

namespace marginalia {

/// Something that is written in Python: what a spec says of it.
struct PythonSource {
  std::filesystem::path file;  ///< empty: what this process has defined under `name`
  std::string name;
  std::string parameters = "{}";  ///< a JSON object, handed over as keyword arguments
};

/// What the module of Python makes of such sources: the symbol `kPythonParts` of its library, by
/// which plugins reach it. All throw SpecError for what is not there or is not what it should be.
struct PythonParts {
  const char* stamp;  ///< kBuildStamp of the module, which must be the plugin's
  std::shared_ptr<Energy> (*energy)(const PythonSource&);
  std::shared_ptr<Dataset> (*dataset)(const PythonSource&);
  std::shared_ptr<Family> (*family)(const PythonSource&, const FamilyContext&);
};
inline constexpr const char* kPythonParts = "marginalia_python_parts_2";

}  // namespace marginalia
