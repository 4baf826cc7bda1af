#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <marginalia/spec.h>

#include "records/study/study.h"
#include "records/study/study_directory.h"

namespace marginalia {

/// What the runs of a study say, beside each other: comparison.json.
///
///   experiments  what each run measured and cost: the source of every other number
///   table        columns, and rows of cells: n, mean, standard error over the seeds, the paired
///                difference to the baseline with its test; "text" is the cell as it is printed
///                table.pairs: every two rows that share runs, compared: what marks the best
///   figures      what is drawn: series of x, y, low, high, made from the experiments
///   scaling      power laws of a loss over a size sweep, and how well they extrapolate
///   notes        what a reader must know: runs missing, failed, altered, ended before their budget
///
/// Runs that are not finished, or were altered, give no numbers and are named in the notes.
Json compare(const StudyDirectory& directory);

/// The table in Markdown (with the notes), LaTeX (booktabs), and CSV (a line a cell, all digits).
std::string markdown_table(const Json& comparison);
std::string latex_table(const Json& comparison);
std::string csv_table(const Json& comparison);

/// One of comparison.json's figures as an SVG document.
std::string svg_figure(const Json& figure);

/// Compares, and writes comparison.json, .md, .csv, .tex, figures/*.svg and report.html into the
/// study's folder.  -> the comparison.
Json write_comparison(const StudyDirectory& directory);

/// A mean and its standard error to two digits of the error: "78.690 +- 0.012" (with the sign); to
/// four digits where there is no error.
std::string number_text(double value, const double* error = nullptr);

}  // namespace marginalia
