#pragma once

#include <string>
#include <vector>

#include "comparison_data.h"
#include "records/report/measurement_facts.h"

namespace marginalia {

/// What the runs of a study say, beside each other. Runs that are not finished, or were altered,
/// give no numbers and are named in the notes.
struct Comparison {
  std::string study, note;
  std::string written;   ///< when, in UTC
  Json budget;           ///< of the manifest; null where it has none
  std::string columns;   ///< the key whose values have columns of their own; "" where there is none
  std::string against;   ///< the key of the axis that metrics are drawn against; likewise
  std::string baseline;  ///< in words
  double alpha = 0;      ///< level of significance
  std::string test, correction;         ///< in words
  std::int64_t samples = 0;             ///< states of each row in the report
  std::vector<std::string> notes = {};  ///< runs missing, failed, altered, ended early
  Json facts = {};                      ///< what the metrics declare (MetricFacts)
  comparison::Table table = {};
  comparison::Scaling scaling = {};
  std::vector<comparison::Plot> plots = {};
  std::vector<comparison::Experiment> experiments = {};
};
/// facts: what the metrics declare; of one that is not among them neither way is better.
Comparison compare(const StudyDirectory& directory, const MetricFacts& facts);

/// comparison.json:
///
///   experiments  what each run measured and cost: the source of every other number
///   table        columns, and rows of cells: n, mean, standard error over the seeds, the paired
///                difference to the baseline with its test; "text" is the number as it is printed
///                table.pairs: every two rows that share runs, compared: what marks the best
///   figures      what is drawn: series of x, y, low, high, made from the experiments
///   scaling      power laws of a loss over a size sweep, and how well they extrapolate
///   notes        what a reader must know
///   facts        what each metric declares of its measurements, for whoever reads on
Json to_json(const Comparison& comparison);

/// Without the pairs and the numbers that others were made from: what the page of a study shows.
Json page_json(const Comparison& comparison);

/// The tables as they are read on a terminal: aligned, no line longer than `width` characters.
std::string terminal_tables(const Comparison& comparison, std::size_t width);

/// The tables in Markdown (with the notes), LaTeX (booktabs), and CSV (a line a cell, all digits).
std::string markdown_table(const Comparison& comparison);
std::string latex_table(const Comparison& comparison);
std::string csv_table(const Comparison& comparison);

/// A plot as an SVG document.
std::string svg_plot(const comparison::Plot& plot);

/// Compares, and writes comparison.json, .md, .csv, .tex, figures/*.svg and report.html into the
/// study's folder.  -> the comparison. A metric that is not among the facts keeps those of a
/// comparison that stands there already.
Comparison write_comparison(const StudyDirectory& directory, const MetricFacts& facts);

/// A mean and its standard error to two digits of the error: "78.690 +- 0.012" (with the sign); to
/// four digits where there is no error. An error too small beside the mean for its digits to reach
/// is told by its size: "0.5 +- 4e-17".
std::string number_text(double value, const std::optional<double>& error = std::nullopt);

}  // namespace marginalia
