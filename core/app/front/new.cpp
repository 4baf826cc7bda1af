/// \file
/// `marginalia new KIND NAME`: a project of one's own from the templates (plugins/template).
#include <algorithm>
#include <cctype>
#include <iostream>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/spec.h>

#include "light.h"

namespace marginalia::app {
namespace {

/// Names of ours that the templates use: a class of a template's own would hide them.
constexpr std::string_view kOurNames =
    " Answer Better Capability ColumnKind Dataset Energy Evaluation Family FamilyContext HeadSet "
    "Heads "
    "LocalConditionals Measurement MeasurementInfo Metric Network NetworkContext NetworkInput "
    "Offer "
    "Oracle ParamVisitor ParameterGroup Params PlotKind Query QueryKind Route SpecError Split "
    "StateSpace StateVisitor Status Step Stream Tensor Tool Unavailable ";

/// What stands for what in a template.
using Words = std::vector<std::pair<std::string, std::string>>;

/// "my_energy" -> "MyEnergy".
std::string class_name(const std::string& name) {
  std::string result;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '_') continue;
    const bool first = i == 0 || name[i - 1] == '_';
    result += first ? static_cast<char>(std::toupper(name[i])) : name[i];
  }
  return result;
}

void check_name(const std::string& name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (name.empty() || !std::ranges::all_of(name, fits) || !std::isalpha(name.front()))
    throw SpecError(fmt::format("\"{}\" cannot be a component's name; it is made of small letters, "
                                "digits and _, and begins with a letter, as my_energy",
                                name));
  if (kOurNames.find(" " + class_name(name) + " ") != kOurNames.npos)
    throw SpecError(
        fmt::format("\"{}\": the class {} would hide Marginalia's own; take another name", name,
                    class_name(name)));
}

/// A name that is free: no component of the kind has it and, for a tool, no verb.
void check_free(const Catalogue& catalogue, const std::vector<std::string>& verbs,
                const std::string& kind, const std::string& name) {
  if (const auto taken = catalogue.find(kind, name))
    throw SpecError(fmt::format("{} \"{}\" is already offered by plugin {}; take another name",
                                kind, name, taken->plugin));
  if (kind == "tool" && std::ranges::count(verbs, name))
    throw SpecError(fmt::format("\"{}\" is a verb of the program; take another name", name));
}

/// Where the program is installed, or built: the folder above its own.
fs::path prefix() {
  return fs::canonical("/proc/self/exe").parent_path().parent_path();
}

fs::path templates() {
  const fs::path installed = prefix() / MARGINALIA_TEMPLATES;
  const fs::path built = fs::path(MARGINALIA_SOURCE_DIR) / "plugins" / "template";
  for (const auto& folder : {installed, built})
    if (fs::is_directory(folder / "common")) return folder;
  throw Error(
      fmt::format("{}: the templates are not there; install Marginalia again", installed.string()));
}

std::string fill(std::string text, const Words& words) {
  for (const auto& [from, to] : words)
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
      text.replace(at, from.size(), to);
  return text;
}

/// Every file of `from`, filled in, into `project`.
void copy_filled(const fs::path& from, const fs::path& project, const Words& words) {
  for (const auto& entry : fs::directory_iterator(from)) {
    auto name = fill(entry.path().filename().string(), words);
    if (name.ends_with(".in")) name.resize(name.size() - 3);
    write_atomically(project / name, fill(read_text(entry.path()), words));
  }
}

/// "0.1.0" -> "0.1": what find_package asks for.
std::string major_minor(const std::string& version) {
  return version.substr(0, version.find('.', version.find('.') + 1));
}

}  // namespace

void make_project(const Catalogue& catalogue, const NewArguments& a,
                  const std::vector<std::string>& verbs) {
  const auto& [kind, name, out, language] = a;
  const bool in_python = language == "python";
  const fs::path project = out.empty() ? name : out;
  if (!std::ranges::count(component_kinds(), kind))
    throw SpecError(unknown_name("kind", kind, component_kinds()));
  if (in_python && kind != "energy")
    throw SpecError(
        fmt::format("--language python: there is a template of an energy, and none of a "
                    "{}; what else may be written in Python: docs/guides/from-python.md",
                    kind));
  check_name(name);
  check_free(catalogue, verbs, kind, name);
  if (fs::exists(fs::symlink_status(project)))
    throw SpecError(
        fmt::format("{}: exists already; name another folder with --out", project.string()));
  const auto source = templates();
  const Words words{{"@NAME@", name},
                    {"@CLASS@", class_name(name)},
                    {"@VERSION@", major_minor(MARGINALIA_VERSION)},
                    {"@PREFIX@", prefix().string()}};
  fs::create_directories(project);
  if (!in_python) copy_filled(source / "common", project, words);
  copy_filled(source / (in_python ? kind + "-python" : kind), project, words);
  std::cout << project.string() << "\n";
  if (in_python) {
    fmt::print(stderr,
               "an energy to start from is in {}; next:\n\n  cd {}\n  marginalia run spec.json\n",
               (project / (name + ".py")).string(), project.string());
    return;
  }
  fmt::print(stderr, "{} {} to start from is in {}; next:\n\n", kind == "energy" ? "an" : "a", kind,
             (project / (name + ".cpp")).string());
  fmt::print(stderr, "  cd {}\n  cmake --preset release\n  cmake --build --preset release\n",
             project.string());
  fmt::print(
      stderr, "{}\n",
      kind == "tool"
          ? fmt::format("  echo ising | MARGINALIA_PLUGINS=build/plugins marginalia {}", name)
          : "  marginalia run spec.json --plugins build/plugins");
}

}  // namespace marginalia::app
