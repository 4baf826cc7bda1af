/// \file
/// comparison.json: its keys, in their order.
#include <nlohmann/json.hpp>

#include "comparison_parts.h"

namespace marginalia::comparison {
namespace {

Json or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json();
}

/// `make` of each element.
template <typename T>
Json to_json_array(const std::vector<T>& all, Json (*make)(const T&)) {
  Json list = Json::array();
  for (const auto& one : all)
    list.push_back(make(one));
  return list;
}

Json to_json(const Costs& costs) {
  Json json = Json::object();
  for (const auto& cost : kCosts)
    json[cost.key] = costs.*cost.total;
  return json;
}

Json to_json(const Curve& curve) {
  return {{"step", curve.step},
          {"seconds", curve.seconds},
          {"value", curve.value},
          {"passes", curve.passes},
          {"energy_evaluations", curve.energy_evaluations}};
}

/// What an experiment is, without what it measured.
Json brief_json(const Experiment& e) {
  Json json{{"name", e.name},
            {"row", e.row},
            {"pair", e.pair},
            {"settings", e.settings},
            {"spec_sha256", e.spec_sha256},
            {"run", e.run},
            {"standing", to_string(e.state)}};
  if (!e.reason.empty()) json["reason"] = e.reason;
  if (!e.is_finished()) return json;
  json.update(e.circumstances);
  json["rows_a_step"] = e.rows_per_step;
  json["costs"] = to_json(e.costs);
  return json;
}

Json to_json(const Experiment& e) {
  auto json = brief_json(e);
  if (!e.is_finished()) return json;
  auto& measurements = json["figures"] = Json::object();
  for (const auto& measurement : e.measurements)
    measurements[measurement.key] = measurement.recorded;
  for (const auto& [metric, why] : e.unavailable)
    json["unavailable"][metric] = why;
  auto& curves = json["curves"] = Json::object();
  for (const auto& curve : e.curves)
    curves[curve.key] = to_json(curve);
  return json;
}

Json to_json(const Column& column) {
  Json json{
      {"key", column.key},     {"metric", column.metric},
      {"label", column.label}, {"kind", column.is_cost ? "cost" : "quality"},
      {"unit", column.unit},   {"better", column.better.empty() ? Json() : Json(column.better)}};
  if (!column.at.empty()) json["of"] = column.at;
  if (column.names_estimator) json["names_estimator"] = true;
  return json;
}

Json to_json(const PairedTest& test) {
  Json json{{"n", test.difference.n},
            {"mean", test.difference.n > 0 ? Json(test.difference.mean) : Json()},
            {"stderr", or_null(test.difference.error)},
            {"t", or_null(test.t)},
            {"p", or_null(test.p)}};
  if (test.t) json["df"] = test.difference.freedom;
  if (!test.untested.empty()) json["untested"] = test.untested;
  return json;
}

Json to_json(const Difference& difference) {
  auto json = to_json(difference.test.paired);
  if (difference.test.p_holm) json["p_holm"] = *difference.test.p_holm;
  json["from"] = difference.baseline;
  json["text"] = to_text(difference.test);
  return json;
}

Json pair_json(const Pair& pair, const std::vector<Row>& rows) {
  auto json = to_json(pair.test.paired);
  json["a"] = rows[pair.a].name;
  json["b"] = rows[pair.b].name;
  json["column"] = pair.column;
  if (pair.test.p_holm) json["p_holm"] = *pair.test.p_holm;
  return json;
}

Json cell_json(const Cell& cell, const Column& column) {
  Json values = Json::object();
  for (const auto& [experiment, value] : cell.values)
    values[experiment] = value;
  Json json{{"column", column.key}, {"n", cell.values.size()}, {"values", values}};
  if (cell.summary) {
    json["mean"] = cell.summary->mean;
    json["stderr"] = or_null(cell.error());
    json["stderr_of"] = cell.error_source();
  }
  if (cell.mean_rank) json["mean_rank"] = *cell.mean_rank;
  if (!cell.estimator.empty()) json["estimator"] = cell.estimator;
  if (!cell.status.empty()) json["status"] = cell.status;
  if (!cell.lacks.empty()) json["lacks"] = cell.lacks;
  if (!cell.why.empty()) json["why"] = cell.why;
  json["text"] = to_text(cell);
  if (cell.difference) json["difference"] = to_json(*cell.difference);
  if (cell.best) {
    json["best"] = true;
    json["significant"] = cell.significant;
  }
  return json;
}

/// Columns and rows.
Json table_json(const Table& table) {
  Json rows = Json::array();
  for (const auto& row : table.rows) {
    Json cells = Json::array();
    for (std::size_t c = 0; c < row.cells.size(); ++c)
      cells.push_back(cell_json(row.cells[c], table.columns[c]));
    rows.push_back({{"row", row.name}, {"cells", cells}});
  }
  return {{"columns", to_json_array<Column>(table.columns, to_json)}, {"rows", rows}};
}

Json pairs_json(const Table& table) {
  Json pairs = Json::array();
  for (const auto& pair : table.pairs)
    pairs.push_back(pair_json(pair, table.rows));
  return pairs;
}

Json to_json(const Series& series) {
  return {
      {"label", series.label}, {"colour", series.colour}, {"style", series.style}, {"x", series.x},
      {"y", series.y},         {"low", series.low},       {"high", series.high},   {"n", series.n}};
}

Json to_json(const PlotAxis& axis) {
  return {{"label", axis.label}, {"log", axis.log}};
}

Json to_json(const Plot& plot) {
  Json json{{"id", plot.id},        {"group", plot.group},
            {"title", plot.title},  {"x", to_json(plot.x)},
            {"y", to_json(plot.y)}, {"series", to_json_array<Series>(plot.series, to_json)}};
  if (!plot.axis.empty()) json["axis"] = plot.axis;
  if (plot.diagonal) json["diagonal"] = true;
  return json;
}

Json to_json(const Checkpoint& c) {
  return {{"experiment", c.experiment},
          {"parameters", c.parameters},
          {"data", c.data},
          {"compute", c.compute},
          {"loss", c.loss},
          {"last", c.last}};
}

Json to_json(const Extrapolation& one) {
  return {{"experiment", one.checkpoint.experiment},
          {"x", one.x},
          {"data", one.checkpoint.data},
          {"seen", one.checkpoint.loss},
          {"predicted", one.predicted}};
}

Json to_json(const HeldOut& held_out) {
  Json json{{"points", held_out.points}};
  if (!held_out.why.empty()) {
    json["why"] = held_out.why;
    return json;
  }
  json["of"] = to_json_array<Extrapolation>(held_out.of, to_json);
  json["relative_error_rms"] = held_out.error_rms;
  json["constant_relative_error_rms"] = held_out.constant_error_rms;
  return json;
}

Json to_json(const ScalingLaw& law) {
  Json json = Json::object();
  if (!law.target.empty()) json["target"] = law.target;
  json["axis"] = law.axis;
  json.update({{"formula", law.with_data ? "L = E + A N^-alpha + B D^-beta" : "L = E + A x^-alpha"},
               {"points", law.points}});
  if (!law.fit) {
    json["why"] = law.why;
    return json;
  }
  json["E"] = law.fit->floor;
  json["A"] = law.fit->scale;
  json["alpha"] = law.fit->exponent;
  if (law.with_data) {
    json["B"] = law.fit->data_scale;
    json["beta"] = law.fit->data_exponent;
  }
  json["residual_rms"] = law.fit->residual;
  if (law.alpha_error) json["alpha_stderr"] = *law.alpha_error;
  if (law.beta_error) json["beta_stderr"] = *law.beta_error;
  json["held_out"] = to_json(law.held_out);
  return json;
}

Json to_json(const Scaling& scaling) {
  if (scaling.metric.empty()) return Json::object();
  Json json{{"metric", scaling.metric},
            {"points", to_json_array<Checkpoint>(scaling.points, to_json)},
            {"laws", to_json_array<ScalingLaw>(scaling.laws, to_json)}};
  if (!scaling.why.empty()) json["why"] = scaling.why;
  return json;
}

/// All of a comparison but its experiments.
Json head_json(const Comparison& made, const Json& table) {
  return {{"marginalia_comparison", 1},
          {"study", made.study},
          {"note", made.note},
          {"written", made.written},
          {"budget", made.budget},
          {"columns", made.columns},
          {"against", made.against},
          {"baseline", made.baseline},
          {"alpha", made.alpha},
          {"test", made.test},
          {"correction", made.correction},
          {"samples", made.samples},
          {"notes", made.notes},
          {"facts", made.facts},
          {"table", table},
          {"scaling", to_json(made.scaling)},
          {"figures", to_json_array<Plot>(made.plots, to_json)}};
}

}  // namespace
}  // namespace marginalia::comparison

namespace marginalia {

Json to_json(const Comparison& made) {
  using namespace comparison;
  auto table = table_json(made.table);
  table["pairs"] = pairs_json(made.table);
  auto json = head_json(made, table);
  json["experiments"] = to_json_array<Experiment>(made.experiments, to_json);
  return json;
}

Json page_json(const Comparison& made) {
  using namespace comparison;
  auto json = head_json(made, table_json(made.table));
  json["experiments"] = to_json_array<Experiment>(made.experiments, brief_json);
  return json;
}

}  // namespace marginalia
