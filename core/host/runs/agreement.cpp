#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>

#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/files.h>

#include "agreement.h"
#include "host/experiment/energy_identity.h"

namespace marginalia {

namespace fs = std::filesystem;

namespace {

/// Numbers by name, in the order they were found; `error` is the standard error of one, else 0.
struct Number {
  Json value;
  double error = 0;
};
struct Numbers {
  std::vector<std::string> names;
  std::map<std::string, Number> by_name;
  void add(const std::string& name, const Json& value, double error = 0) {
    if (by_name.insert_or_assign(name, Number{value, error}).second) names.push_back(name);
  }
};

bool is_time(const std::string& name) {
  return name.find("seconds") != std::string::npos || name.find("_per_second") != std::string::npos;
}

Json read_json(const fs::path& file) {
  auto json = Json::parse(read_text(file), nullptr, false);
  if (!json.is_object()) throw Error(file.string() + ": is not one JSON object");
  return json;
}

void add_evaluation(Numbers& numbers, const Json& evaluation) {
  if (!evaluation.contains("metrics")) return;
  for (const auto& [metric, figures] : evaluation.at("metrics").items())
    for (const auto& [estimator, figure] : figures.items()) {
      const auto name = metric + "/" + estimator;
      if (is_time(name) || figure.value("unit", "") == "seconds" || !figure.contains("value"))
        continue;
      const auto error = figure.contains("stderr") && figure.at("stderr").is_number()
                             ? figure.at("stderr").get<double>()
                             : 0;
      numbers.add(name, figure.at("value"), error);
      if (figure.contains("stderr")) numbers.add(name + " stderr", figure.at("stderr"));
    }
}

void add_metrics(Numbers& numbers, const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  for (std::string line; std::getline(in, line);) {
    const auto json = Json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("step")) continue;
    for (const auto& [key, value] : json.items())
      if (key != "step" && !is_time(key))
        numbers.add(fmt::format("{} at step {}", key, json.at("step").dump()), value);
  }
}

/// A budget of seconds: how far it went depends on the machine's load.
bool ended_by_the_clock(const Json& record) {
  const auto place = Json::json_pointer("/spec/training/budget/seconds");
  return record.contains(place) && record.at(place).is_number() && record.at(place) > 0;
}

Numbers read_numbers(const fs::path& run) {
  Numbers numbers;
  const auto record = read_json(run / "run.json");
  const auto add_count = [&](const char* key) {
    if (record.contains(key)) numbers.add(key, record.at(key));
  };
  add_count("parameters");
  if (fs::exists(run / "evaluation.json"))
    add_evaluation(numbers, read_json(run / "evaluation.json"));
  if (ended_by_the_clock(record)) return numbers;
  for (const auto* key : {"steps", "energy_evaluations", "network_passes"})
    add_count(key);
  add_metrics(numbers, run / "metrics.jsonl");
  return numbers;
}

Agreement judged(const Number& a, const Number& b) {
  constexpr double kRounding = 1e-6, kErrors = 3;
  if (a.value == b.value) return Agreement::kIdentical;
  if (!a.value.is_number() || !b.value.is_number()) return Agreement::kDiffers;
  const auto x = a.value.get<double>(), y = b.value.get<double>();
  const auto allowed = std::max(kErrors * std::hypot(a.error, b.error),
                                kRounding * std::max(std::abs(x), std::abs(y)));
  return std::abs(x - y) <= allowed ? Agreement::kWithinError : Agreement::kDiffers;
}

}  // namespace

std::string_view to_string(Agreement agreement) {
  switch (agreement) {
    case Agreement::kIdentical:
      return "identical";
    case Agreement::kWithinError:
      return "within error";
    case Agreement::kDiffers:
      return "differs";
    case Agreement::kMissing:
      return "missing";
  }
  return "";
}

std::vector<ComparedNumber> compare_runs(const fs::path& recorded, const fs::path& again) {
  const auto before = read_numbers(recorded), now = read_numbers(again);
  std::vector<ComparedNumber> all;
  for (const auto& name : before.names) {
    const auto& was = before.by_name.at(name);
    const auto is = now.by_name.find(name);
    if (is == now.by_name.end())
      all.push_back({name, was.value, nullptr, Agreement::kMissing});
    else
      all.push_back({name, was.value, is->second.value, judged(was, is->second)});
  }
  for (const auto& name : now.names)
    if (!before.by_name.contains(name))
      all.push_back({name, nullptr, now.by_name.at(name).value, Agreement::kMissing});
  return all;
}

std::vector<std::string> changed_circumstances(const fs::path& recorded, const fs::path& again) {
  const auto before = read_json(recorded / "run.json"), now = read_json(again / "run.json");
  std::vector<std::string> changes;
  for (const auto* key : {"version", "build", "commit", "host", "device", "threads"})
    if (before.value(key, Json()) != now.value(key, Json()))
      changes.push_back(fmt::format("{}: {}, now {}", key, before.value(key, Json()).dump(),
                                    now.value(key, Json()).dump()));
  for (const auto& file : changed_files(before.value("energy_files", Json::object()),
                                        now.value("energy_files", Json::object())))
    changes.push_back("file of the energy: " + file);
  return changes;
}

}  // namespace marginalia
