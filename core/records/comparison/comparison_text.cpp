/// \file
/// A comparison as text: Markdown for people, LaTeX for papers, CSV for programs.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "comparison_parts.h"
#include "sdk/base/text.h"

namespace marginalia {

using comparison::Cell, comparison::Column, comparison::Scaling, comparison::ScalingLaw;
using comparison::Test, comparison::to_text;
namespace {

using Words = std::vector<std::string>;

/// Prints four significant digits, and whole numbers below 1e7 as they are.
std::string plain(double value) {
  if (value == std::round(value) && std::abs(value) < 1e7) return fmt::format("{:.0f}", value);
  if (std::abs(value) >= 1e7 || std::abs(value) < 1e-4) return fmt::format("{:.3e}", value);
  return fmt::format("{:.4g}", value);
}

std::string to_heading(const Column& column) {
  const auto* arrow = column.better.empty() ? "" : column.better == "lower" ? " \u2193" : " \u2191";
  return column.label + (column.unit.empty() ? "" : ", " + column.unit) + arrow;
}

/// Heads and rows of a table, as they are printed.
struct Grid {
  Words heads;
  std::vector<Words> rows;
};

/// Every row; a cell that is the best, and significantly so, stands between `before` and `after`.
Grid main_table(const Comparison& comparison, const char* before, const char* after) {
  Grid made{{"row"}, {}};
  for (const auto& column : comparison.table.columns)
    made.heads.push_back(to_heading(column));
  for (const auto& row : comparison.table.rows) {
    auto& words = made.rows.emplace_back(Words{row.name});
    for (const auto& cell : row.cells)
      words.push_back(cell.significant ? before + to_text(cell) + after : to_text(cell));
  }
  return made;
}

/// The differences to the baseline; no rows where there is nothing to compare.
Grid difference_table(const Comparison& comparison) {
  Grid made{{"less " + comparison.baseline}, {}};
  for (const auto& column : comparison.table.columns)
    if (!column.is_cost) made.heads.push_back(to_heading(column));
  if (made.heads.size() < 2) return made;
  for (const auto& row : comparison.table.rows) {
    if (row.name == comparison.baseline) continue;
    auto& words = made.rows.emplace_back(Words{row.name});
    for (const auto& cell : row.cells)
      if (cell.difference) words.push_back(to_text(*cell.difference));
  }
  return made;
}

std::string markdown(const Grid& table) {
  if (table.rows.empty()) return "";
  auto text = fmt::format("| {} |\n|---|", fmt::join(table.heads, " | "));
  for (std::size_t i = 1; i < table.heads.size(); ++i)
    text += "---:|";
  text += "\n";
  for (const auto& row : table.rows)
    text += fmt::format("| {} |\n", fmt::join(row, " | "));
  return text;
}

std::string law_text(const ScalingLaw& law) {
  if (!law.fit)
    return fmt::format("| {} | {} | not fitted: {} | | | |\n", law.axis, law.points, law.why);
  auto exponents = number_text(law.fit->exponent, law.alpha_error);
  if (law.with_data) exponents += ", " + number_text(law.fit->data_exponent, law.beta_error);
  const auto error = [&](double rms) {
    return law.held_out.why.empty() ? fmt::format("{:.2g} %", 100 * rms) : law.held_out.why;
  };
  return fmt::format("| {} | {} | {} | {} | {} | {} |\n", law.axis, law.points, exponents,
                     plain(law.fit->floor), error(law.held_out.error_rms),
                     error(law.held_out.constant_error_rms));
}

std::string markdown_scaling(const Scaling& scaling) {
  if (scaling.metric.empty()) return "";
  auto text = fmt::format("\nPower laws of {}: L = E + A x^-exponent.\n\n", scaling.metric);
  if (!scaling.why.empty()) return text + "None: " + scaling.why + ".\n";
  text += "| against | points | exponent | E | error of what was held out | of a constant |\n"
          "|---|---:|---:|---:|---:|---:|\n";
  for (const auto& law : scaling.laws)
    text += law_text(law);
  return text;
}

std::string explanation(const Comparison& comparison) {
  return fmt::format("Mean and standard error over the runs of a row; of one run, its own. "
                     "Differences are paired; p: {}; {}. Bold: the best, where it differs from "
                     "every other row at {} (all pairs of rows counted).\n",
                     comparison.test, comparison.correction, comparison.alpha);
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
  auto text = fmt::format("\\begin{{tabular}}{{l{}}}\n\\toprule\n{}\\midrule\n",
                          std::string(table.heads.size() - 1, 'r'), line(table.heads));
  for (const auto& row : table.rows)
    text += line(row);
  return text + "\\bottomrule\n\\end{tabular}\n";
}

std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  return fmt::format("\"{}\"", replaced(text, "\"", "\"\""));
}

/// All digits, as in comparison.json.
std::string csv_number(const std::optional<double>& value) {
  return value ? Json(*value).dump() : "";
}

/// A cell's words from "difference" to "p_holm".
Words csv_difference(const Cell& cell) {
  if (!cell.difference) return Words(6);
  const auto& [difference, t, p, _] = cell.difference->paired;
  return {csv_number(difference.mean),
          csv_number(difference.error),
          std::to_string(difference.n),
          csv_number(t),
          csv_number(p),
          csv_number(cell.difference->p_holm)};
}

std::string csv_line(const std::string& row, const Column& column, const Cell& cell) {
  const bool has_mean = !cell.values.empty();
  const auto if_best = [&](bool value) { return !cell.best ? "" : value ? "true" : "false"; };
  const Words words{csv_text(row),
                    csv_text(column.key),
                    column.is_cost ? "cost" : "quality",
                    csv_text(column.unit),
                    csv_text(cell.estimator),
                    csv_text(cell.status),
                    std::to_string(cell.summary.n),
                    has_mean ? csv_number(cell.summary.mean) : "",
                    csv_number(cell.error()),
                    has_mean ? cell.error_source() : "",
                    if_best(true),
                    if_best(cell.significant),
                    fmt::format("{}", fmt::join(csv_difference(cell), ",")),
                    csv_text(cell.why)};
  return fmt::format("{}\n", fmt::join(words, ","));
}

}  // namespace

std::string number_text(double value, const std::optional<double>& error) {
  if (!std::isfinite(value)) return fmt::format("{}", value);
  if (!error || !std::isfinite(*error)) return plain(value);
  if (*error <= 0) return fmt::format("{:.6g}", value);  // all the same: there is no spread
  const auto exponent = int(std::floor(std::log10(std::max(std::abs(value), *error))));
  const bool scaled = exponent < -4 || exponent > 7;
  const auto scale = scaled ? std::pow(10, exponent) : 1;
  const auto decimals = std::clamp(1 - int(std::floor(std::log10(*error / scale))), 0, 12);
  const auto text =
      fmt::format("{:.{}f} \u00b1 {:.{}f}", value / scale, decimals, *error / scale, decimals);
  return scaled ? fmt::format("({})e{}", text, exponent) : text;
}

std::string comparison::to_text(const Cell& cell) {
  if (cell.values.empty()) return "\u2013";
  const auto* sign = cell.status == "upper" ? "\u2264 " : cell.status == "lower" ? "\u2265 " : "";
  return sign + number_text(cell.summary.mean, cell.error());
}

std::string comparison::to_text(const Test& difference) {
  const auto& [n, mean, error] = difference.paired.difference;
  if (n == 0) return "\u2013";
  const auto text = (mean > 0 ? "+" : "") + number_text(mean, error);
  if (!difference.p_holm) return text;
  const auto p = *difference.p_holm;
  return text + (p < 0.001 ? " (p < 0.001)" : fmt::format(" (p = {:.2g})", p));
}

std::string markdown_table(const Comparison& comparison) {
  auto text = fmt::format("# {}\n\n", comparison.study);
  if (!comparison.note.empty()) text += comparison.note + "\n\n";
  text += markdown(main_table(comparison, "**", "**"));
  if (const auto differences = markdown(difference_table(comparison)); !differences.empty())
    text += fmt::format("\n{}", differences);
  text += markdown_scaling(comparison.scaling) + "\n" + explanation(comparison);
  for (const auto& note : comparison.notes)
    text += fmt::format("\n- {}", replaced(note, "\n", "; "));
  return text + (comparison.notes.empty() ? "" : "\n");
}

std::string latex_table(const Comparison& comparison) {
  auto text = fmt::format("% {}: written by marginalia; needs \\usepackage{{booktabs}}\n",
                          comparison.study);
  text += latex(main_table(comparison, kBoldOpens, kBoldCloses));
  if (const auto differences = difference_table(comparison); !differences.rows.empty())
    text += fmt::format("\n{}", latex(differences));
  return text;
}

std::string csv_table(const Comparison& comparison) {
  std::string text = "row,column,kind,unit,estimator,status,n,mean,stderr,stderr_of,best,"
                     "significant,difference,difference_stderr,pairs,t,p,p_holm,why\n";
  for (const auto& row : comparison.table.rows)
    for (std::size_t c = 0; c < row.cells.size(); ++c)
      text += csv_line(row.name, comparison.table.columns[c], row.cells[c]);
  return text;
}

}  // namespace marginalia
