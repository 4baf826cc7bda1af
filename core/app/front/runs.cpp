#include <algorithm>
#include <iostream>

#include <fmt/format.h>
#include <tbb/parallel_for.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/text_file.h>

#include "light.h"
#include "run_keys.h"
#include "sdk/base/json_fault.h"

namespace marginalia::app {
namespace {

Json look_up(const Json& run, const std::string& key) {
  const auto* const found = find_in(run, key);
  return found ? *found : Json();
}

std::string to_text(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// "ess/importance>=0.9": a key, how it compares, and with what.
struct Filter {
  std::string key, relation, value;

  bool passes(const Json& run) const {
    const auto found = look_up(run, key);
    if (relation == "=") return to_text(found) == value || found == number();
    if (relation == "!=") return to_text(found) != value && found != number();
    const auto bound = number();
    if (!found.is_number()) return false;
    if (relation == "<") return found < bound;
    if (relation == ">") return found > bound;
    return relation == "<=" ? found <= bound : found >= bound;
  }
  Json number() const {
    if (const auto number = parse_number(value); !number.fault) return number.value;
    const auto json = Json::parse(value, nullptr, false);
    return json.is_discarded() ? Json(value) : json;
  }
};

Filter parse_filter(const std::string& text) {
  const auto at = text.find_first_of("!<>=");
  for (const std::string relation : {"!=", "<=", ">=", "=", "<", ">"}) {
    if (at == std::string::npos || at == 0 || text.compare(at, relation.size(), relation) != 0)
      continue;
    Filter filter{text.substr(0, at), relation, text.substr(at + relation.size())};
    const bool orders = relation != "=" && relation != "!=";
    if (orders && !filter.number().is_number()) break;
    return filter;
  }
  throw SpecError(fmt::format("\"{}\": a filter is key=value, !=, or <, <=, >, >= a number, as in "
                              "energy.type=ising or ess/importance>=0.9",
                              text));
}

/// The folders below `root` that hold a run.json; what is inside them is not looked at.
std::vector<fs::path> run_folders(const fs::path& root) {
  std::vector<fs::path> folders;
  if (fs::exists(root / "run.json")) return {root};
  const auto skip = fs::directory_options::skip_permission_denied;
  for (auto it = fs::recursive_directory_iterator(root, skip); it != fs::end(it); ++it) {
    if (!it->is_directory() || !fs::exists(it->path() / "run.json")) continue;
    folders.push_back(it->path());
    it.disable_recursion_pending();
  }
  return folders;
}

/// run.json with its path, and its evaluation where that is wanted; a string says what is wrong.
Json read_run(const fs::path& folder, bool with_evaluation) try {
  auto run = Json::parse(read_text(folder / "run.json"), nullptr, false);
  if (!run.is_object() || !run.contains("spec"))
    return (folder / "run.json").string() + ": is not a record of a run";
  run["path"] = folder.string();
  if (with_evaluation && fs::exists(folder / "evaluation.json"))
    run["evaluation"] = Json::parse(read_text(folder / "evaluation.json"), nullptr, false);
  return run;
} catch (const std::exception& e) {
  return without_json_names(e.what());
}

/// The runs below the root; those that cannot be read are named on stderr.
std::vector<Json> all_runs(const RunsArguments& a, bool with_evaluation) {
  const auto folders = run_folders(a.root);
  std::vector<Json> all(folders.size()), runs;
  tbb::parallel_for(std::size_t{0}, folders.size(),
                    [&](std::size_t i) { all[i] = read_run(folders[i], with_evaluation); });
  for (auto& run : all)
    if (run.is_string())
      warn(run.get<std::string>());
    else
      runs.push_back(std::move(run));
  return runs;
}

/// The runs that pass, sorted. Keys that none of all has are refused.
std::vector<Json> chosen_runs(const RunsArguments& a) {
  std::vector<Filter> filters;
  auto asked = a.columns;
  for (const auto& text : a.filters) {
    filters.push_back(parse_filter(text));
    asked.push_back(filters.back().key);
  }
  if (!a.sort.empty()) asked.push_back(a.sort);
  const bool with_evaluation = std::ranges::any_of(asked, [](const std::string& key) {
    return key.find('/') != std::string::npos || key.starts_with("evaluation");
  });
  auto runs = all_runs(a, with_evaluation);
  check_keys(runs, asked);
  std::erase_if(runs, [&](const Json& run) {
    return !std::ranges::all_of(filters, [&](const Filter& f) { return f.passes(run); });
  });
  const auto key = a.sort.empty() ? "started" : a.sort;
  const auto before = [&](const Json& left, const Json& right) {  // what has no value comes last
    const auto x = look_up(left, key), y = look_up(right, key);
    if (x.is_null() || y.is_null()) return !x.is_null() && y.is_null();
    return a.reverse ? y < x : x < y;
  };
  std::ranges::stable_sort(runs, before);
  return runs;
}

void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c)
      widths[c] = std::max(widths[c], row[c].size());
  std::string text;
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c)
      text += c + 1 < row.size() ? fmt::format("{:<{}}  ", row[c], widths[c]) : row[c] + "\n";
  std::cout << text;
}

}  // namespace

void list_runs(const RunsArguments& a) {
  if (!fs::is_directory(a.root)) throw SpecError(a.root + ": no such folder of runs");
  auto columns = a.columns;
  if (columns.empty()) columns = {"status", "steps", "train_seconds", "started"};
  if (!a.sort.empty() && !std::ranges::count(columns, a.sort)) columns.push_back(a.sort);
  columns.insert(columns.begin(), "path");
  std::vector<std::vector<std::string>> rows{columns};
  for (const auto& run : chosen_runs(a)) {
    Json line = Json::object();
    rows.emplace_back();
    for (const auto& column : columns) {
      line[column] = look_up(run, column);
      rows.back().push_back(to_text(line[column]));
    }
    if (a.json) std::cout << line.dump() << "\n";
  }
  if (!a.json) print_table(rows);
}

}  // namespace marginalia::app
