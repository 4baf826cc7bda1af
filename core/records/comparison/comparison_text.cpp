/// \file
/// A comparison as text: Markdown for people, LaTeX for papers, CSV for programs.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "comparison_layout.h"
#include "comparison_parts.h"
#include "sdk/base/text.h"

namespace marginalia {

using comparison::Cell, comparison::Column, comparison::Grid, comparison::Words;
using comparison::Test, comparison::to_text;
namespace {

bool is_short_whole(double value) {
  return value == std::round(value) && std::abs(value) < 1e7;
}

/// Prints four significant digits, and whole numbers below 1e7 as they are.
std::string plain(double value) {
  if (is_short_whole(value)) return fmt::format("{:.0f}", value);
  if (std::abs(value) >= 1e7 || std::abs(value) < 1e-4) return fmt::format("{:.3e}", value);
  return fmt::format("{:.4g}", value);
}

std::string markdown(const Grid& table) {
  auto text = table.title.empty() ? "" : fmt::format("{}:\n\n", table.title);
  text += fmt::format("| {} |\n|---|", fmt::join(table.heads, " | "));
  for (std::size_t i = 1; i < table.heads.size(); ++i)
    text += "---:|";
  text += "\n";
  for (const auto& row : table.rows)
    text += fmt::format("| {} |\n", fmt::join(row, " | "));
  if (!table.remarks.empty()) text += fmt::format("\n{}\n", fmt::join(table.remarks, "; "));
  return text + "\n";
}

std::string markdown_scaling(const comparison::Scaling& scaling) {
  if (scaling.metric.empty()) return "";
  if (scaling.why.empty()) return markdown(comparison::scaling_grid(scaling));
  return fmt::format("{}: none: {}.\n\n", comparison::scaling_grid(scaling).title, scaling.why);
}

// Marks of what is bold, which no name holds, until they are LaTeX.
constexpr const char *kBoldOpens = "\x01", *kBoldCloses = "\x02";

std::string latex_text(std::string text) {
  for (const auto& [what, by] : {std::pair{"&", "\\&"},
                                 {"%", "\\%"},
                                 {"$", "\\$"},
                                 {"#", "\\#"},
                                 {"_", "\\_"},
                                 {"{", "\\{"},
                                 {"}", "\\}"},
                                 {"\u00b1", "$\\pm$"},
                                 {"\u2264", "$\\leq$"},
                                 {"\u2265", "$\\geq$"},
                                 {"\u2193", "$\\downarrow$"},
                                 {"\u2191", "$\\uparrow$"},
                                 {"\u2013", "--"},
                                 {"<", "$<$"},
                                 {kBoldOpens, "\\textbf{"},
                                 {kBoldCloses, "}"}})
    text = replaced(text, what, by);
  return text;
}

std::string latex(const Grid& table) {
  const auto line = [](const Words& words) {
    Words cells;
    for (const auto& word : words)
      cells.push_back(latex_text(word));
    return fmt::format("{} \\\\\n", fmt::join(cells, " & "));
  };
  auto text = table.title.empty() ? "" : fmt::format("% {}\n", table.title);
  text += fmt::format("\\begin{{tabular}}{{l{}}}\n\\toprule\n{}\\midrule\n",
                      std::string(table.heads.size() - 1, 'r'), line(table.heads));
  for (const auto& row : table.rows)
    text += line(row);
  text += "\\bottomrule\n\\end{tabular}\n";
  for (const auto& remark : table.remarks)
    text += fmt::format("\\par{{\\footnotesize {}}}\n", latex_text(remark));
  return text;
}

std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  return fmt::format("\"{}\"", replaced(text, "\"", "\"\""));
}

/// All digits, as in comparison.json.
std::string csv_number(const std::optional<double>& value) {
  return value ? Json(*value).dump() : "";
}

/// A cell's words from "baseline" to "p_holm".
Words csv_difference(const Cell& cell) {
  if (!cell.difference) return Words(8);
  const auto& [difference, t, p, _] = cell.difference->test.paired;
  return {csv_text(cell.difference->baseline),
          difference.n > 0 ? csv_number(difference.mean) : "",
          csv_number(difference.error),
          std::to_string(difference.n),
          csv_number(t),
          t ? csv_number(difference.freedom) : "",
          csv_number(p),
          csv_number(cell.difference->test.p_holm)};
}

std::string csv_line(const std::string& row, const Column& column, const Cell& cell) {
  const auto if_best = [&](bool value) { return !cell.best ? "" : value ? "true" : "false"; };
  const Words words{csv_text(row),
                    csv_text(column.key),
                    column.is_cost ? "cost" : "quality",
                    csv_text(column.unit),
                    csv_text(cell.estimator),
                    csv_text(cell.status),
                    std::to_string(cell.values.size()),
                    cell.summary ? csv_number(cell.summary->mean) : "",
                    cell.summary ? csv_number(cell.error()) : "",
                    cell.summary ? cell.error_source() : "",
                    csv_number(cell.mean_rank),
                    if_best(true),
                    if_best(cell.significant),
                    fmt::format("{}", fmt::join(csv_difference(cell), ",")),
                    csv_text(cell.why)};
  return fmt::format("{}\n", fmt::join(words, ","));
}

}  // namespace

std::string number_text(double value, const std::optional<double>& error) {
  constexpr int kMostDecimals = 12;
  if (!std::isfinite(value)) return fmt::format("{}", value);
  if (!error || !std::isfinite(*error)) return plain(value);
  if (*error <= 0)  // all the same: there is no spread
    return is_short_whole(value) ? plain(value) : fmt::format("{:.6g}", value);
  const auto exponent = int(std::floor(std::log10(std::max(std::abs(value), *error))));
  const bool scaled = exponent < -4 || exponent > 7;
  const auto scale = scaled ? std::pow(10, exponent) : 1;
  const auto decimals = std::max(0, 1 - int(std::floor(std::log10(*error / scale))));
  if (decimals > kMostDecimals) return fmt::format("{:.6g} \u00b1 {:.1g}", value, *error);
  const auto text =
      fmt::format("{:.{}f} \u00b1 {:.{}f}", value / scale, decimals, *error / scale, decimals);
  return scaled ? fmt::format("({})e{}", text, exponent) : text;
}

std::string comparison::to_text(const Cell& cell) {
  if (!cell.summary) return "\u2013";
  const auto* sign = cell.status == "upper" ? "\u2264 " : cell.status == "lower" ? "\u2265 " : "";
  return sign + number_text(cell.summary->mean, cell.error());
}

std::string comparison::to_text(const Test& difference) {
  const auto& [n, mean, error, _] = difference.paired.difference;
  if (n == 0) return "\u2013";
  const auto text = (mean > 0 ? "+" : "") + number_text(mean, error);
  if (!difference.p_holm) return text;
  const auto p = *difference.p_holm;
  return text + (p < 0.001 ? " (p < 0.001)" : fmt::format(" (p = {:.2g})", p));
}

std::string markdown_table(const Comparison& made) {
  auto text = fmt::format("# {}\n\n", made.study);
  if (!made.note.empty()) text += made.note + "\n\n";
  for (const auto& grid : comparison::grids(made, {"**", "**"}))
    text += markdown(grid);
  text += markdown_scaling(made.scaling) + comparison::explanation(made, "Bold") + "\n";
  for (const auto& note : made.notes)
    text += fmt::format("\n- {}", replaced(note, "\n", "; "));
  return text + (made.notes.empty() ? "" : "\n");
}

std::string latex_table(const Comparison& made) {
  auto text =
      fmt::format("% {}: written by marginalia; needs \\usepackage{{booktabs}}\n", made.study);
  Words tables;
  for (const auto& grid : comparison::grids(made, {kBoldOpens, kBoldCloses}))
    tables.push_back(latex(grid));
  return text + fmt::format("{}", fmt::join(tables, "\n"));
}

std::string csv_table(const Comparison& made) {
  std::string text = "row,column,kind,unit,estimator,status,n,mean,stderr,stderr_of,mean_rank,"
                     "best,significant,baseline,difference,difference_stderr,pairs,t,df,p,p_holm,"
                     "why\n";
  for (const auto& row : made.table.rows)
    for (std::size_t c = 0; c < row.cells.size(); ++c)
      text += csv_line(row.name, made.table.columns[c], row.cells[c]);
  return text;
}

}  // namespace marginalia
