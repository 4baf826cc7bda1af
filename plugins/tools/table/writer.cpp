#include "writer.h"

#include <cmath>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/json.h>

#include "shared/tables/cells.h"

namespace marginalia::tables {

Field number_field(double value, int digits) {
  if (std::isnan(value)) return {};
  return {fmt::format("{:.{}g}", value, digits), true};
}

std::vector<Field> fields_of(const std::vector<std::string_view>& record) {
  std::vector<Field> fields;
  for (const auto field : record)
    fields.push_back({std::string(field)});
  return fields;
}

Writer::Writer(std::vector<std::string> columns, bool json, const std::string& file,
               std::ostream& out)
    : columns_(std::move(columns)),
      json_(json),
      file_(file),
      unfinished_(file.empty() ? "" : file + ".unfinished"),
      out_(file.empty() ? out : opened_) {
  if (!file_.empty()) {
    opened_.open(unfinished_);
    if (!opened_)
      throw SpecError(fmt::format("{}: cannot be written: {}", unfinished_, std::strerror(errno)));
  }
  if (json_) return;
  std::vector<Field> names;
  for (const auto& name : columns_)
    names.push_back({name});
  row(names);
}

Writer::~Writer() {
  std::error_code ignored;
  if (opened_.is_open()) std::filesystem::remove(unfinished_, ignored);
}

void Writer::row(const std::vector<Field>& fields) {
  if (!json_) {
    for (std::size_t i = 0; i < fields.size(); ++i)
      out_ << (i > 0 ? "," : "") << write_field(fields[i].text);
    out_ << '\n';
    return;
  }
  Json line = Json::object();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto& field = fields[i];
    line[columns_[i]] = field.text.empty() ? Json()
                        : field.is_number  ? Json::parse(field.text, nullptr, false)
                                           : Json(field.text);
    if (line[columns_[i]].is_discarded()) line[columns_[i]] = field.text;  // inf
  }
  out_ << line.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
}

void Writer::finish() {
  out_.flush();
  if (!out_) throw Error(fmt::format("{}: could not be written", file_.empty() ? "stdout" : file_));
  if (file_.empty()) return;
  opened_.close();
  std::filesystem::rename(unfinished_, file_);
}

}  // namespace marginalia::tables
