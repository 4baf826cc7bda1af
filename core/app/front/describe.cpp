/// \file
/// `marginalia list` and `describe`: what the plugins offer.
#include <algorithm>
#include <iostream>

#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/spec.h>

#include "light.h"

namespace marginalia::app {
namespace {

void check_kind(const std::string& kind) {
  if (!std::ranges::count(component_kinds(), kind))
    throw SpecError(unknown_name("kind", kind, component_kinds()));
}

void list_components(const Catalogue& catalogue, const ListArguments& a) {
  Json all = Json::array();
  for (const auto& c : catalogue.components()) {
    if (!a.kind.empty() && c.kind != a.kind) continue;
    if (a.json)
      all.push_back({{"kind", c.kind},
                     {"name", c.name},
                     {"summary", c.summary},
                     {"plugin", c.plugin},
                     {"version", c.version}});
    else
      fmt::print("{:<8} {:<18} {}\n", c.kind, c.name, c.summary);
  }
  if (a.json) std::cout << all.dump(2) << "\n";
}

/// Families against questions.
void list_queries(const Catalogue& catalogue, bool as_json) {
  if (as_json) {
    std::cout << catalogue.queries().dump(2) << "\n";
    return;
  }
  const auto print = [](const std::string& family, const std::string& source,
                        const std::string& query, const std::string& estimator,
                        const std::string& status, const std::string& passes) {
    fmt::print("{:<19} {:<8} {:<24} {:<16} {:<9} {}\n", family, source, query, estimator, status,
               passes);
  };
  print("family", "from", "query", "estimator", "status",
        "passes a row: S known, U unknown, D all");
  for (const auto& row : catalogue.queries())
    print(row.at("family"), row.at("source"), row.at("query"), row.at("estimator"),
          row.at("status"), row.at("passes"));
}

/// docs/reference/*.md and docs/spec.schema.json, as the tests compare them.
void describe_all(const Catalogue& catalogue, const fs::path& folder) {
  for (const auto& [name, text] : catalogue.pages().items()) {
    const auto page = text.get<std::string>();
    if (!folder.empty()) {
      fs::create_directories((folder / name).parent_path());
      write_atomically(folder / name, page);
    } else if (name.ends_with(".md")) {
      std::cout << page << "\n";
    }
  }
}

}  // namespace

void list(const Catalogue& catalogue, const ListArguments& a) {
  if (!a.kind.empty()) check_kind(a.kind);
  if (!a.queries) return list_components(catalogue, a);
  if (!a.kind.empty() && a.kind != "family")
    throw SpecError(fmt::format("list --queries: only families answer queries, not {}", a.kind));
  list_queries(catalogue, a.json);
}

void describe(const Catalogue& catalogue, const DescribeArguments& a) {
  if (a.all) return describe_all(catalogue, a.write);
  if (a.name.empty()) throw SpecError("describe: needs KIND NAME, or --all");
  check_kind(a.kind);
  const auto component = catalogue.find(a.kind, a.name);
  if (!component) throw UnknownComponent(unknown_name(a.kind, a.name, catalogue.names(a.kind)));
  std::cout << component->page;
}

}  // namespace marginalia::app
