/// \file
/// A comparison as text: Markdown for people, LaTeX for papers, CSV for programs.
#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "comparison.h"
#include "sdk/base/text.h"

namespace marginalia {
namespace {

using Words = std::vector<std::string>;

/// So many significant digits, whole numbers whole.
std::string plain(double value) {
  if (value == std::round(value) && std::abs(value) < 1e7) return fmt::format("{:.0f}", value);
  if (std::abs(value) >= 1e7 || std::abs(value) < 1e-4) return fmt::format("{:.3e}", value);
  return fmt::format("{:.4g}", value);
}

std::string head_of(const Json& column) {
  const std::string label = column.at("label"), unit = column.at("unit");
  const auto better = column.at("better");
  const auto* arrow = better.is_null() ? "" : better == "lower" ? " \u2193" : " \u2191";
  return label + (unit.empty() ? "" : ", " + unit) + arrow;
}

bool is_quality(const Json& column) {
  return column.at("kind") == "quality";
}

/// "**0.0123**" for a best cell that is so significantly.
std::string cell_text(const Json& cell, const char* before, const char* after) {
  const auto text = cell.at("text").get<std::string>();
  return cell.value("significant", false) ? before + text + after : text;
}

/// Heads and rows of a table.
struct Table {
  Words heads;
  std::vector<Words> rows;
};

/// Every row, with what is best between `before` and `after`.
Table main_table(const Json& comparison, const char* before, const char* after) {
  const auto& table = comparison.at("table");
  Table made{{"row"}, {}};
  for (const auto& column : table.at("columns"))
    made.heads.push_back(head_of(column));
  for (const auto& row : table.at("rows")) {
    made.rows.push_back({row.at("row").get<std::string>()});
    for (const auto& cell : row.at("cells"))
      made.rows.back().push_back(cell_text(cell, before, after));
  }
  return made;
}

/// The differences to the baseline; no rows where there is nothing to compare.
Table difference_table(const Json& comparison) {
  const auto& table = comparison.at("table");
  Table made{{"less " + comparison.at("baseline").get<std::string>()}, {}};
  for (const auto& column : table.at("columns"))
    if (is_quality(column)) made.heads.push_back(head_of(column));
  if (made.heads.size() < 2) return made;
  for (const auto& row : table.at("rows")) {
    if (row.at("row") == comparison.at("baseline")) continue;
    made.rows.push_back({row.at("row").get<std::string>()});
    for (const auto& cell : row.at("cells"))
      if (cell.contains("difference")) made.rows.back().push_back(cell.at("difference").at("text"));
  }
  return made;
}

std::string markdown(const Table& table) {
  if (table.rows.empty()) return "";
  auto text = fmt::format("| {} |\n|---|", fmt::join(table.heads, " | "));
  for (std::size_t i = 1; i < table.heads.size(); ++i)
    text += "---:|";
  text += "\n";
  for (const auto& row : table.rows)
    text += fmt::format("| {} |\n", fmt::join(row, " | "));
  return text;
}

std::string law_text(const Json& law) {
  if (law.contains("why"))
    return fmt::format("| {} | {} | not fitted: {} | | | |\n", law.at("axis").get<std::string>(),
                       law.at("points").get<int>(), law.at("why").get<std::string>());
  const auto exponent = [&](const char* key, const std::string& error) {
    const auto* stderr_ = law.contains(error) ? law.at(error).get_ptr<const double*>() : nullptr;
    return number_text(law.at(key).get<double>(), stderr_);
  };
  auto exponents = exponent("alpha", "alpha_stderr");
  if (law.contains("beta")) exponents += ", " + exponent("beta", "beta_stderr");
  const auto& held_out = law.at("held_out");
  const auto error = [&](const char* key) {
    return held_out.contains(key) ? fmt::format("{:.2g} %", 100 * held_out.at(key).get<double>())
                                  : held_out.value("why", "");
  };
  return fmt::format("| {} | {} | {} | {} | {} | {} |\n", law.at("axis").get<std::string>(),
                     law.at("points").get<int>(), exponents, plain(law.at("E").get<double>()),
                     error("relative_error_rms"), error("constant_relative_error_rms"));
}

std::string markdown_scaling(const Json& scaling) {
  if (!scaling.contains("metric")) return "";
  auto text = fmt::format("\nPower laws of {}: L = E + A x^-exponent.\n\n",
                          scaling.at("metric").get<std::string>());
  if (scaling.contains("why"))
    return text + "None: " + scaling.at("why").get<std::string>() + ".\n";
  text += "| against | points | exponent | E | error of what was held out | of a constant |\n"
          "|---|---:|---:|---:|---:|---:|\n";
  for (const auto& law : scaling.at("laws"))
    text += law_text(law);
  return text;
}

std::string explanation(const Json& comparison) {
  return fmt::format("Mean and standard error over the runs of a row; of one run, its own. "
                     "Differences are paired; p: {}; {}. Bold: the best, where it differs from "
                     "every other row at {} (all pairs of rows counted).\n",
                     comparison.at("test").get<std::string>(),
                     comparison.at("correction").get<std::string>(),
                     comparison.at("alpha").get<double>());
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

std::string latex(const Table& table) {
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

std::string csv_value(const Json& object, const char* key) {
  if (!object.contains(key) || object.at(key).is_null()) return "";
  return object.at(key).is_string() ? csv_text(object.at(key)) : object.at(key).dump();
}

}  // namespace

std::string number_text(double value, const double* error) {
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

std::string markdown_table(const Json& comparison) {
  auto text = fmt::format("# {}\n\n", comparison.at("study").get<std::string>());
  if (const auto note = comparison.at("note").get<std::string>(); !note.empty())
    text += note + "\n\n";
  text += markdown(main_table(comparison, "**", "**"));
  if (const auto differences = markdown(difference_table(comparison)); !differences.empty())
    text += fmt::format("\n{}", differences);
  text += markdown_scaling(comparison.at("scaling")) + "\n" + explanation(comparison);
  for (const auto& note : comparison.at("notes"))
    text += fmt::format("\n- {}", replaced(note.get<std::string>(), "\n", "; "));
  return text + (comparison.at("notes").empty() ? "" : "\n");
}

std::string latex_table(const Json& comparison) {
  auto text = fmt::format("% {}: written by marginalia; needs \\usepackage{{booktabs}}\n",
                          comparison.at("study").get<std::string>());
  text += latex(main_table(comparison, kBoldOpens, kBoldCloses));
  if (const auto differences = difference_table(comparison); !differences.rows.empty())
    text += fmt::format("\n{}", latex(differences));
  return text;
}

std::string csv_table(const Json& comparison) {
  std::string text = "row,column,kind,unit,estimator,status,n,mean,stderr,stderr_of,best,"
                     "significant,difference,difference_stderr,pairs,t,p,p_holm,why\n";
  const auto& table = comparison.at("table");
  for (const auto& row : table.at("rows"))
    for (std::size_t c = 0; c < row.at("cells").size(); ++c) {
      const auto &cell = row.at("cells").at(c), &column = table.at("columns").at(c);
      const auto difference = cell.value("difference", Json::object());
      const Words words{csv_text(row.at("row")),       csv_value(column, "key"),
                        csv_value(column, "kind"),     csv_value(column, "unit"),
                        csv_value(cell, "estimator"),  csv_value(cell, "status"),
                        csv_value(cell, "n"),          csv_value(cell, "mean"),
                        csv_value(cell, "stderr"),     csv_value(cell, "stderr_of"),
                        csv_value(cell, "best"),       csv_value(cell, "significant"),
                        csv_value(difference, "mean"), csv_value(difference, "stderr"),
                        csv_value(difference, "n"),    csv_value(difference, "t"),
                        csv_value(difference, "p"),    csv_value(difference, "p_holm"),
                        csv_value(cell, "why")};
      text += fmt::format("{}\n", fmt::join(words, ","));
    }
  return text;
}

}  // namespace marginalia
