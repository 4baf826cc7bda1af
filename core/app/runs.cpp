#include <algorithm>
#include <iostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>

#include "cli.h"

namespace marginalia::app {
namespace {

/// The value at a dotted key; null where there is none.
Json at_key(const Json& json, const std::string& key) {
  const Json* node = &json;
  std::stringstream parts(key);
  for (std::string part; std::getline(parts, part, '.');) {
    if (!node->is_object() || !node->contains(part)) return {};
    node = &node->at(part);
  }
  return *node;
}

/// Of a run: a key of its spec, "metric/estimator" of its evaluation, or a key of run.json.
Json look_up(const Json& run, const std::string& key) {
  if (const auto slash = key.find('/'); slash != std::string::npos) {
    const auto figure = at_key(run, "evaluation.metrics");
    const auto metric = key.substr(0, slash), estimator = key.substr(slash + 1);
    if (figure.contains(metric) && figure[metric].contains(estimator))
      return figure[metric][estimator].at("value");
    return {};
  }
  const auto in_spec = at_key(run.at("spec"), key);
  return in_spec.is_null() ? at_key(run, key) : in_spec;
}

std::string text_of(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  return value.is_string() ? value.get<std::string>() : value.dump();
}

Json read_run(const fs::path& folder) {
  auto run = Json::parse(read_text(folder / "run.json"), nullptr, false);
  if (!run.is_object() || !run.contains("spec")) return {};
  run["path"] = folder.string();
  if (fs::exists(folder / "evaluation.json"))
    run["evaluation"] = Json::parse(read_text(folder / "evaluation.json"), nullptr, false);
  return run;
}

bool passes(const Json& run, const std::vector<std::string>& filters) {
  return std::ranges::all_of(filters, [&](const std::string& filter) {
    const auto equals = filter.find('=');
    if (equals == std::string::npos)
      throw SpecError(
          fmt::format("\"{}\": a filter is key=value, as in energy.type=ising", filter));
    return text_of(look_up(run, filter.substr(0, equals))) == filter.substr(equals + 1);
  });
}

void list_runs(const std::string& root, const std::vector<std::string>& filters,
               const std::string& sort, std::vector<std::string> columns) {
  if (!fs::is_directory(root)) throw SpecError(root + ": no such folder of runs");
  std::vector<Json> runs;
  const auto skip = fs::directory_options::skip_permission_denied;
  for (auto it = fs::recursive_directory_iterator(root, skip); it != fs::end(it); ++it)
    if (it->path().filename() == "run.json")
      if (auto run = read_run(it->path().parent_path()); run.is_object() && passes(run, filters))
        runs.push_back(std::move(run));
  const auto key = sort.empty() ? "started" : sort;
  std::ranges::stable_sort(runs, {}, [&](const Json& run) { return look_up(run, key); });
  if (columns.empty()) columns = {"status", "steps", "train_seconds", "started"};
  if (!sort.empty() && !std::ranges::count(columns, sort)) columns.push_back(sort);
  columns.insert(columns.begin(), "path");

  std::vector<std::vector<std::string>> rows{columns};
  for (const auto& run : runs) {
    rows.emplace_back();
    for (const auto& column : columns)
      rows.back().push_back(text_of(look_up(run, column)));
  }
  for (const auto& row : rows) {
    for (std::size_t c = 0; c < row.size(); ++c) {
      std::size_t width = 0;
      for (const auto& other : rows)
        width = std::max(width, other[c].size());
      fmt::print("{:<{}}{}", row[c], width, c + 1 < row.size() ? "  " : "\n");
    }
  }
}

}  // namespace

void add_runs_verb(CLI::App& program, Session& session) {
  struct Arguments {
    std::string root = "runs", sort;
    std::vector<std::string> filters, columns;
  };
  const auto a = std::make_shared<Arguments>();
  auto* verb = add_verb(program, session, "runs", "the runs below a folder, as a table",
                        "marginalia runs --where energy.type=ising --sort ess/importance",
                        [a] { list_runs(a->root, a->filters, a->sort, a->columns); });
  verb->add_option("root", a->root, "folder; else runs")->type_name("DIR");
  verb->add_option("--where", a->filters, "key=value of the spec, of run.json, or metric/estimator")
      ->type_name("key=value");
  verb->add_option("--sort", a->sort, "key or metric/estimator")->type_name("KEY");
  verb->add_option("--columns", a->columns, "keys or metric/estimator")
      ->delimiter(',')
      ->type_name("A,B");
}

}  // namespace marginalia::app
