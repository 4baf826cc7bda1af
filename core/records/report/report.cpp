#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>

#include "report.h"
#include "report_page.h"
#include "sdk/base/text.h"

namespace marginalia {
namespace {

namespace fs = std::filesystem;

constexpr int kRunFormat = 1;
constexpr std::size_t kCurvePoints = 4000;         // drawn of one curve
constexpr std::size_t kSampleRows = 100;           // shown of one file
constexpr std::uintmax_t kPictureBytes = 8 << 20;  // embedded of all pictures together

Json read_run_record(const fs::path& run) {
  constexpr auto kAdvice = "name a directory that \"marginalia run\" wrote";
  if (!fs::is_directory(run))
    throw Error(fmt::format("{}: no such directory; {}", run.string(), kAdvice));
  const auto file = run / "run.json";
  if (!fs::exists(file))
    throw Error(fmt::format("{}: is not a run, it holds no run.json; {}", run.string(), kAdvice));
  auto record = Json::parse(read_text(file), nullptr, false);
  if (!record.is_object())
    throw Error(fmt::format("{}: must be one JSON object; {}", file.string(), kAdvice));
  const auto format = record.find("marginalia_run");
  if (format == record.end())
    throw Error(fmt::format("{}: \"marginalia_run\" must be {}, and is missing; {}", file.string(),
                            kRunFormat, kAdvice));
  if (*format != kRunFormat)
    throw Error(
        fmt::format("{}: \"marginalia_run\" must be {}, not {}; read it with the marginalia "
                    "that wrote it",
                    file.string(), kRunFormat, format->dump()));
  return record;
}

/// One curve as it comes in; a step written twice counts once, with its last value.
struct Curve {
  struct Point {
    double seconds, value;
  };
  std::map<double, Point> points;  // by step
  std::size_t not_finite = 0;
};

/// At most kCurvePoints of a curve: the smallest and the largest of each stretch, so that no spike
/// is lost.
Json thinned(const Curve& curve) {
  const std::vector<std::pair<double, Curve::Point>> all(curve.points.begin(), curve.points.end());
  std::vector<std::size_t> kept;
  const auto stretches = kCurvePoints / 2;
  if (all.size() <= kCurvePoints) {
    for (std::size_t i = 0; i < all.size(); ++i)
      kept.push_back(i);
  } else {
    const auto lower = [&](std::size_t i, std::size_t j) {
      return all[i].second.value < all[j].second.value;
    };
    for (std::size_t stretch = 0; stretch < stretches; ++stretch) {
      std::vector<std::size_t> members;
      const auto end = all.size() * (stretch + 1) / stretches;
      for (auto i = all.size() * stretch / stretches; i < end; ++i)
        members.push_back(i);
      const auto [low, high] = std::minmax_element(members.begin(), members.end(), lower);
      kept.push_back(std::min(*low, *high));
      if (*low != *high) kept.push_back(std::max(*low, *high));
    }
  }
  Json steps = Json::array(), seconds = Json::array(), values = Json::array();
  for (const auto i : kept) {
    steps.push_back(all[i].first);
    seconds.push_back(all[i].second.seconds);
    values.push_back(all[i].second.value);
  }
  return {{"steps", steps},
          {"seconds", seconds},
          {"values", values},
          {"points", all.size()},
          {"thinned", all.size() > kCurvePoints},
          {"not_finite", curve.not_finite}};
}

/// What a page says about its own sources: what was missing, torn or left out.
using Notes = std::vector<std::string>;

/// Calls `use` with each line of a JSON Lines file that is an object; the rest become a note.
template <class Use>
void for_each_line(const fs::path& file, const std::string& name, Notes& notes, const Use& use) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    notes.push_back(name + " cannot be read");
    return;
  }
  std::size_t number = 0, torn = 0, first_torn = 0;
  bool last_is_torn = false;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto object = Json::parse(line, nullptr, false);
    last_is_torn = !object.is_object();
    if (!last_is_torn) use(object);
    if (last_is_torn && ++torn == 1) first_torn = number;
  }
  if (torn == 1 && last_is_torn)
    notes.push_back(fmt::format("the last line of {} (line {}) is incomplete and left out: the run "
                                "was writing it, or was stopped while writing",
                                name, number));
  else if (torn > 0)
    notes.push_back(fmt::format("{} line(s) of {} are not JSON objects and left out; the first is "
                                "line {}",
                                torn, name, first_torn));
}

Json read_curves(const fs::path& run, Notes& notes) {
  const auto file = run / "metrics.jsonl";
  if (!fs::exists(file)) {
    notes.push_back("there is no metrics.jsonl, so there are no learning curves");
    return Json::array();
  }
  std::vector<std::string> keys;  // in the order of their first appearance
  std::map<std::string, Curve, std::less<>> curves;
  for_each_line(file, "metrics.jsonl", notes, [&](const Json& line) {
    const auto step = line.find("step");
    if (step == line.end() || !step->is_number()) return;
    const auto seconds = line.find("seconds");
    const double at = seconds != line.end() && seconds->is_number() ? seconds->get<double>() : NAN;
    for (const auto& [key, value] : line.items()) {
      if (key == "step" || key == "seconds" || !(value.is_number() || value.is_null())) continue;
      if (!curves.contains(key)) keys.push_back(key);
      auto& curve = curves[key];
      const double number = value.is_null() ? NAN : value.get<double>();
      if (std::isfinite(number))
        curve.points.insert_or_assign(step->get<double>(), Curve::Point{at, number});
      else
        ++curve.not_finite;
    }
  });
  Json result = Json::array();
  for (const auto& key : keys) {
    result.push_back(thinned(curves[key]));
    result.back()["key"] = key;
  }
  return result;
}

Json read_evaluation(const fs::path& run, Notes& notes) {
  const auto file = run / "evaluation.json";
  if (!fs::exists(file)) return nullptr;
  auto evaluation = Json::parse(read_text(file), nullptr, false);
  if (evaluation.is_object()) return evaluation;
  notes.push_back("evaluation.json is not one JSON object; \"marginalia evaluate\" writes it anew");
  return nullptr;
}

/// The files of run/samples with this ending, by name.
std::vector<fs::path> sample_files(const fs::path& run, std::string_view ending) {
  std::vector<fs::path> files;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator(run / "samples", absent))
    if (entry.path().extension() == ending && entry.is_regular_file())
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

Json read_samples(const fs::path& run, Notes& notes) {
  Json result = Json::array();
  for (const auto& file : sample_files(run, ".jsonl")) {
    Json rows = Json::array();
    std::size_t count = 0;
    const auto name = "samples/" + file.filename().string();
    for_each_line(file, name, notes, [&](const Json& row) {
      if (++count <= kSampleRows) rows.push_back(row);
    });
    result.push_back({{"file", name}, {"count", count}, {"rows", rows}});
  }
  return result;
}

/// What the run's dataset says of its columns, where it has any: without all but the first labels,
/// and without what only programs read.
Json read_columns(const fs::path& run, Notes& notes) {
  constexpr std::size_t kLabels = 8;
  const auto file = run / "dataset.json";
  if (!fs::exists(file)) return nullptr;
  const auto description = Json::parse(read_text(file), nullptr, false);
  const Json::json_pointer at("/schema/columns");
  if (!description.is_object() || !description.contains(at) || !description.at(at).is_array()) {
    notes.push_back("dataset.json does not say what the columns are");
    return nullptr;
  }
  auto columns = description.at(at);
  for (auto& column : columns)
    for (const auto* key : {"labels", "counts"})
      if (column.is_object() && column.contains(key) && column.at(key).is_array() &&
          column.at(key).size() > kLabels) {
        column["labels_left_out"] = column.at(key).size() - kLabels;
        column.at(key).erase(column.at(key).begin() + kLabels, column.at(key).end());
      }
  return {{"rows", description.value(Json::json_pointer("/schema/rows"), Json())},
          {"columns", columns},
          {"gap_tests", description.value("gap_tests", Json::array())}};
}

/// What an energy said of all the samples, as write_samples left it.
Json read_scores(const fs::path& run, Notes& notes) {
  const auto file = run / "samples" / "scores.json";
  if (!fs::exists(file)) return Json::array();
  auto scores = Json::parse(read_text(file), nullptr, false);
  if (scores.is_array()) return scores;
  notes.push_back("samples/scores.json is not a list and left out");
  return Json::array();
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t j) {
      return j < bytes.size() ? static_cast<unsigned char>(bytes[j]) : 0u;
    };
    const unsigned bits = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    for (unsigned digit = 0; digit < 4; ++digit)
      text += i + digit <= bytes.size() ? kDigits[bits >> (18 - 6 * digit) & 63] : '=';
  }
  return text;
}

Json read_pictures(const fs::path& run, Notes& notes) {
  Json result = Json::array();
  std::uintmax_t total = 0;
  for (const auto& file : sample_files(run, ".png")) {
    const auto name = "samples/" + file.filename().string();
    if (total + fs::file_size(file) > kPictureBytes) {
      notes.push_back(fmt::format("{} is left out: the page holds at most {} MiB of pictures", name,
                                  kPictureBytes >> 20));
      continue;
    }
    const auto bytes = read_text(file);
    if (!bytes.starts_with("\x89PNG\r\n\x1a\n")) {
      notes.push_back(name + " is no PNG picture and left out");
      continue;
    }
    total += bytes.size();
    result.push_back({{"file", name}, {"source", "data:image/png;base64," + base64(bytes)}});
  }
  return result;
}

/// The metrics that a run's page speaks of: those measured, in its curves, refused, or asked for.
std::vector<std::string> metrics_in(const Json& data) {
  std::set<std::string> metrics;
  const auto add_keys = [&](const Json& object) {
    if (!object.is_object()) return;
    for (const auto& [key, _] : object.items())
      metrics.insert(key.substr(0, key.find('/')));
  };
  const auto& evaluation = data.at("evaluation");
  if (evaluation.is_object()) {
    add_keys(evaluation.value("metrics", Json()));
    add_keys(evaluation.value("unavailable", Json()));
  }
  for (const auto& curve : data.at("curves")) {  // "eval/nll/masked", "train/elbo"
    const std::string key = curve.at("key");
    const auto begin = key.find('/') + 1;
    metrics.insert(key.substr(begin, key.find('/', begin) - begin));
  }
  const auto asked = Json::json_pointer("/spec/evaluation/metrics");
  if (const auto& run = data.at("run"); run.contains(asked) && run.at(asked).is_array())
    for (const auto& metric : run.at(asked)) {
      const auto type = metric.is_object() ? metric.value("type", Json()) : metric;
      if (type.is_string()) metrics.insert(type.get<std::string>());
    }
  return {metrics.begin(), metrics.end()};
}

}  // namespace

void write_report(const fs::path& run, const MetricFacts& facts) try {
  Notes notes;
  const auto record = read_run_record(run);
  const auto name = record.find("name");
  const auto title =
      name != record.end() && name->is_string()
          ? name->get<std::string>()
          : fs::absolute(run / "run.json").lexically_normal().parent_path().filename().string();
  Json data = {{"name", title},
               {"written", utc_text(std::chrono::system_clock::now())},
               {"run", record},
               {"curves", read_curves(run, notes)},
               {"evaluation", read_evaluation(run, notes)},
               {"table", read_columns(run, notes)},
               {"samples", read_samples(run, notes)},
               {"scores", read_scores(run, notes)},
               {"pictures", read_pictures(run, notes)}};
  data["notes"] = notes;
  data["facts"] = facts.of(metrics_in(data));
  write_atomically(run / "report.html",
                   report_page({title, data, "evaluation.json and metrics.jsonl beside it"}));
} catch (const fs::filesystem_error& e) {
  throw Error(fmt::format("{}: {}; the run directory must be readable and writable", run.string(),
                          e.what()));
}

}  // namespace marginalia
