/// \file
/// `marginalia data list`, and what its other actions share with it.
#include "../data_items.h"

#include <fnmatch.h>

#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>

#include "light.h"

namespace marginalia::app {

/// FILTER is how the path below the data directory, or the file's name, begins; it may have * and
/// ?.
static bool matches(const std::string& filter, const std::string& file) {
  const auto pattern = filter + "*";
  return fnmatch(pattern.c_str(), file.c_str(), 0) == 0 ||
         fnmatch(pattern.c_str(), fs::path(file).filename().c_str(), 0) == 0;
}

/// "dataset" or "energy": what is called so.
static std::string find_kind(const Catalogue& catalogue, const std::string& name) {
  std::vector<std::string> known;
  for (const auto* kind : {"dataset", "energy"}) {
    if (catalogue.find(kind, name)) return kind;
    std::ranges::copy(catalogue.names(kind), std::back_inserter(known));
  }
  throw UnknownComponent(unknown_name("dataset or energy", name, known));
}

std::vector<Item> chosen(const Catalogue& catalogue, const DataArguments& a) {
  if (a.rest.size() > 1)
    throw SpecError(fmt::format("data {}: one FILTER, not {}", a.action, a.rest.size()));
  const auto kind = a.name.empty() ? "" : find_kind(catalogue, a.name);
  std::vector<Item> items;
  std::vector<std::string> files;
  for (const auto& d : catalogue.components())
    for (const auto& source : d.sources) {
      if (!a.name.empty() && d.name != a.name) continue;
      files.push_back(source.file);
      if (matches(a.filter(), source.file)) items.push_back({d.name, source});
    }
  if (files.empty() && !a.name.empty())
    throw SpecError(fmt::format("{} \"{}\" has no public files; its spec names files of your own",
                                kind, a.name));
  if (items.empty() && !files.empty())
    throw SpecError(fmt::format("no file of {} begins with \"{}\"; there is:\n  {}", a.name,
                                a.filter(), fmt::join(files, "\n  ")));
  return items;
}

std::size_t name_width(const std::vector<Item>& items) {
  std::size_t width = 10;
  for (const auto& item : items)
    width = std::max(width, item.component.size());
  return width;
}

const char* to_string(FileState state) {
  switch (state) {
    case FileState::kPartial:
      return "partial";
    case FileState::kPresent:
      return "there";
    case FileState::kVerified:
      return "whole";
    case FileState::kDamaged:
      return "damaged";
    case FileState::kMissing:
      break;
  }
  return "missing";
}

void list_data(const Catalogue& catalogue, const DataArguments& a, const fs::path& data) {
  const auto items = chosen(catalogue, a);
  for (const auto& [component, source] : items)
    fmt::print("{:<{}} {:<8} {:<44} {:>9}  {}\n", component, name_width(items),
               to_string(find(source, data).state), source.file, source.bytes, source.url);
}

}  // namespace marginalia::app
