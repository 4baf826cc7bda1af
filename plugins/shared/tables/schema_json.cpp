/// \file
/// A schema as JSON, which people edit: what they may say, and what is wrong with what they say.
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>

#include "schema.h"

namespace marginalia::tables {

namespace {

constexpr int kFormat = 1;

/// An object of JSON whose keys are taken one by one, and of which none may be left.
class Keys {
 public:
  Keys(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) fail("must be an object");
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw SpecError(fmt::format("{}: {}", where_, what));
  }

  /// The value of a key, of the type of `value`; that stays where there is no such key.
  template <class T>
  void take(const char* key, T& value) {
    known_.push_back(key);
    if (!json_.contains(key)) return;
    try {
      value = json_.at(key).get<T>();
    } catch (const nlohmann::json::exception&) {
      fail(fmt::format("\"{}\" must be {}, not {}", key, name_of(T{}), json_.at(key).dump()));
    }
  }
  bool has(const char* key) const { return json_.contains(key); }

  void end() const {
    for (const auto& [key, _] : json_.items())
      if (!std::ranges::count(known_, key))
        fail(fmt::format("\"{}\" is no key; it takes: {}", key, fmt::join(known_, ", ")));
  }

 private:
  static const char* name_of(bool) { return "true or false"; }
  static const char* name_of(double) { return "a number"; }
  static const char* name_of(std::int64_t) { return "a whole number"; }
  static const char* name_of(const std::string&) { return "a text"; }
  static const char* name_of(const std::vector<std::string>&) { return "a list of texts"; }
  static const char* name_of(const std::vector<std::int64_t>&) { return "a list of whole numbers"; }
  static const char* name_of(const Json&) { return "JSON"; }

  const Json& json_;
  std::string where_;
  std::vector<std::string> known_;
};

Json to_json(const Column& column) {
  Json json{{"name", column.name}, {"kind", to_string(column.kind)}};
  if (!column.why.empty()) json["why"] = column.why;
  if (column.missing_is_category) json["missing"] = "category";
  if (column.has_labels()) {
    json["labels"] = column.labels;
    json["counts"] = column.counts;
  }
  if (column.has_density()) {
    json["low"] = column.low;
    json["high"] = column.high;
  }
  if (column.kind == Kind::kNumber) json["decimals"] = column.decimals;
  if (column.kind == Kind::kDate) json["form"] = column.date.text();
  if (column.comma) json["decimal"] = "comma";
  json["present"] = column.present;
  json["gaps"] = column.missing;
  json["distinct"] = column.distinct;
  return json;
}

void check_labels(const Keys& keys, const Column& column) {
  if (column.labels.size() < 2)
    keys.fail(fmt::format("a {} needs two \"labels\" at least", to_string(column.kind)));
  std::set<std::string_view> seen;
  for (const auto& label : column.labels) {
    if (!seen.insert(label).second) keys.fail(fmt::format("label \"{}\" stands twice", label));
    if (column.kind == Kind::kInteger && (!parse(label) || parse(label)->decimals > 0))
      keys.fail(fmt::format("label \"{}\" of an integer is no whole number", label));
  }
  if (!column.counts.empty() && column.counts.size() != column.labels.size())
    keys.fail(
        fmt::format("{} \"counts\" of {} \"labels\"", column.counts.size(), column.labels.size()));
}

Column column_from_json(const Json& json, const std::string& where) {
  Column column;
  const auto has_name = json.is_object() && json.contains("name") && json.at("name").is_string();
  Keys keys(json, has_name
                      ? fmt::format("{}: column \"{}\"", where, json.at("name").get<std::string>())
                      : where);
  if (!has_name) keys.fail("a column needs a \"name\"");
  std::string kind, missing = "unknown", form, decimal = "point";
  std::int64_t decimals = 0;
  keys.take("name", column.name);
  keys.take("kind", kind);
  keys.take("why", column.why);
  keys.take("missing", missing);
  keys.take("labels", column.labels);
  keys.take("counts", column.counts);
  keys.take("low", column.low);
  keys.take("high", column.high);
  keys.take("decimals", decimals);
  keys.take("form", form);
  keys.take("decimal", decimal);
  keys.take("present", column.present);
  keys.take("gaps", column.missing);
  keys.take("distinct", column.distinct);
  keys.end();
  try {
    column.kind = kind_named(kind);
  } catch (const SpecError& e) {
    keys.fail(e.what());
  }
  if (missing != "unknown" && missing != "category")
    keys.fail(fmt::format("\"missing\" must be unknown or category, not \"{}\"", missing));
  column.missing_is_category = missing == "category";
  if (decimal != "point" && decimal != "comma")
    keys.fail(fmt::format("\"decimal\" must be point or comma, not \"{}\"", decimal));
  column.comma = decimal == "comma";
  if (decimals < -300 || decimals > 17) keys.fail("\"decimals\" must be -300 to 17");
  column.decimals = int(decimals);
  if (column.has_labels()) check_labels(keys, column);
  if (column.has_density() && !(column.low < column.high))
    keys.fail("\"low\" must be below \"high\"");
  if (column.kind != Kind::kDate) return column;
  const auto found = DateForm::of(form);
  if (!found) keys.fail(fmt::format("\"form\": \"{}\" is no form of a date, as Y-M-D", form));
  column.date = *found;
  return column;
}

}  // namespace

Json to_json(const Schema& schema) {
  Json json{{"marginalia_table", kFormat},
            {"file", schema.file},
            {"header", schema.header},
            {"rows", schema.rows},
            {"missing", schema.marks.missing}};
  if (!schema.marks.strip.empty()) json["strip"] = schema.marks.strip;
  json["columns"] = Json::array();
  for (const auto& column : schema.columns)
    json["columns"].push_back(to_json(column));
  return json;
}

Schema schema_from_json(const Json& json, const std::string& where) {
  Schema schema;
  Keys keys(json, where);
  std::int64_t format = 0;
  keys.take("marginalia_table", format);
  if (format != kFormat)
    keys.fail(fmt::format("needs \"marginalia_table\": {}, the version of the format", kFormat));
  keys.take("file", schema.file);
  keys.take("header", schema.header);
  keys.take("rows", schema.rows);
  keys.take("missing", schema.marks.missing);
  keys.take("strip", schema.marks.strip);
  Json columns = Json::array();
  keys.take("columns", columns);
  keys.end();
  if (!columns.is_array() || columns.empty()) keys.fail("needs \"columns\", a list of objects");
  for (const auto& column : columns)
    schema.columns.push_back(column_from_json(column, where));
  std::set<std::string_view> names;
  for (const auto& column : schema.columns)
    if (!names.insert(column.name).second)
      keys.fail(fmt::format("two columns are named \"{}\"", column.name));
  return schema;
}

}  // namespace marginalia::tables
