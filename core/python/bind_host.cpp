#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>
#include <nlohmann/json.hpp>

#include <marginalia/tool.h>

#include "bind.h"
#include "host.h"
#include "host/describe/manual.h"
#include "host/execution/answer.h"
#include "host/experiment/experiment.h"
#include "host/experiment/settings.h"
#include "records/plugins/plugin_folders.h"

namespace marginalia::python {
namespace {

namespace fs = std::filesystem;

/// The folder above this module's library that plugins are below, built or installed.
fs::path root_of(const fs::path& module_file) {
  constexpr int kDeepest = 5;  // PREFIX/lib/python3/dist-packages/marginalia/_host.so
  auto root = module_file.parent_path();
  for (int up = 0; up < kDeepest; ++up, root = root.parent_path())
    for (const auto& folder : plugin_folders_below(root))
      if (fs::is_directory(folder)) return root;
  return module_file.parent_path();
}

std::vector<fs::path> plugin_folders(const fs::path& module_file,
                                     const std::vector<fs::path>& more) {
  std::vector<PluginFolder> folders;
  for (const auto& folder : default_plugin_folders(root_of(module_file)))
    folders.push_back({folder, false});
  for (const auto& folder : more)
    folders.push_back({folder, true});
  std::vector<fs::path> there;
  for (const auto& folder : existing(folders))
    there.push_back(folder.path);
  return there;
}

/// Calls a verb that a plugin adds.  -> its exit code, and what it wrote.
py::tuple call_tool(const Host& host, const std::string& verb,
                    const std::vector<std::string>& words, int threads) {
  Told told{py::none(), py::none()};
  std::ostringstream out;
  int code = 0;
  {
    const py::gil_scoped_release free;
    const BorrowedThreads borrowed(threads);
    auto hooks = told.hooks();
    hooks.say = {};
    const ToolContext context{
        host.data(), threads, [&](const fs::path& run) {
          return lend(open_run(run, "", host.environment("", threads), hooks));
        }};
    const auto spec = Spec::from_text(Json{{"type", verb}}.dump(), "tool");
    const auto tool = host.plugins().registry().make<Tool>(spec, context);
    std::istringstream nothing;
    code = tool->run(words, nothing, out);
  }
  told.rethrow();
  return py::make_tuple(code, py::bytes(out.str()));
}

}  // namespace

void bind_host(py::module_& module) {
  py::class_<Host, std::shared_ptr<Host>>(module, "Host")
      .def(py::init([](const fs::path& module_file, const std::vector<fs::path>& more,
                       const std::optional<fs::path>& data) {
             const py::gil_scoped_release free;
             return std::make_shared<Host>(plugin_folders(module_file, more),
                                           data ? *data : default_data_directory());
           }),
           py::arg("module_file"), py::arg("plugins"), py::arg("data"))
      .def_property_readonly("refused", [](const Host& host) { return host.plugins().refused(); })
      .def_property_readonly("plugins",
                             [](const Host& host) {
                               std::vector<std::string> names;
                               for (const auto& plugin : host.plugins().loaded())
                                 names.push_back(plugin.name);
                               return names;
                             })
      .def("check",
           [](const Host& host, const std::string& text, const std::string& name,
              const fs::path& beside, const std::vector<std::string>& settings) {
             const auto& registry = host.plugins().registry();
             const auto resolved = [&] {
               const py::gil_scoped_release free;
               Faults faults;
               auto all = Experiment::check(
                   with_settings(host.spec(text, name, beside), settings, registry), registry,
                   faults);
               faults.throw_if_any();
               return all;
             }();
             return to_python(resolved);
           })
      .def("tool", &call_tool)
      .def("schema", [](const Host& host) { return spec_schema(host.plugins().registry()); })
      .def("page", [](const Host& host, const std::string& kind, const std::string& name) {
        const auto* const found = host.plugins().registry().find(kind, name);
        return found ? describe(*found) : std::string();
      });
}

}  // namespace marginalia::python
