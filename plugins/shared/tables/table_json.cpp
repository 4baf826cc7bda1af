/// \file
/// A table as a run keeps it: the schema, and how each column's values are levels.
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>

#include "rows.h"

namespace marginalia::tables {
namespace {

constexpr int kTableFormat = 1;
constexpr std::array<const char*, 4> kShapes{"atom", "uniform", "below", "above"};

Json to_json(const Encoding& encoding) {
  Json pieces = Json::array();
  for (const auto& piece : encoding.pieces())
    pieces.push_back({kShapes[std::size_t(piece.shape)], piece.first, piece.last, piece.ratio,
                      piece.rows, piece.seen});
  return {{"low", encoding.low()}, {"high", encoding.high()}, {"pieces", pieces}};
}

Piece piece_from_json(const Json& json) {
  const auto name = json.at(0).get<std::string>();
  const auto shape = std::find(kShapes.begin(), kShapes.end(), name) - kShapes.begin();
  if (shape == std::ssize(kShapes)) throw SpecError(fmt::format("\"{}\" is no shape", name));
  return {Piece::Shape(shape),
          json.at(1).get<std::int64_t>(),
          json.at(2).get<std::int64_t>(),
          json.at(3).get<double>(),
          json.at(4).get<std::int64_t>(),
          json.size() > 5 ? json.at(5).get<std::int64_t>() : 0};
}

Encoding encoding_from_json(const Column& column, const Json& json) {
  std::vector<Piece> pieces;
  for (const auto& piece : json.at("pieces"))
    pieces.push_back(piece_from_json(piece));
  return {column, std::move(pieces), json.at("low").get<std::int64_t>(),
          json.at("high").get<std::int64_t>()};
}

}  // namespace

Json to_json(const Table& table) {
  Json bins = Json::object();
  for (std::int64_t i = 0; i < table.variables.count(); ++i)
    if (const auto& encoding = table.variables[i]; encoding.column().has_density())
      bins[encoding.column().name] = to_json(encoding);
  return {{"marginalia_columns", kTableFormat}, {"schema", to_json(table.schema)}, {"bins", bins}};
}

Table table_from_json(const Json& json, const std::string& where) {
  if (!json.is_object() || json.value("marginalia_columns", 0) != kTableFormat)
    throw SpecError(
        fmt::format("{}: is no description of a table of format {}", where, kTableFormat));
  auto schema = schema_from_json(json.at("schema"), where);
  std::vector<Encoding> encodings;
  try {
    for (const auto& column : schema.columns)
      if (column.has_density())
        encodings.push_back(encoding_from_json(column, json.at("bins").at(column.name)));
      else if (column.is_variable())
        encodings.emplace_back(column, std::vector<double>(), 0);
  } catch (const nlohmann::json::exception& e) {
    throw SpecError(fmt::format("{}: {}", where, e.what()));
  }
  return {std::move(schema), Variables(std::move(encodings))};
}

}  // namespace marginalia::tables
