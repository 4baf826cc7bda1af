#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <vector>

#include "comparison.h"
#include "records/report/measurement_facts.h"
#include "records/study/study.h"

/// How the parts of a comparison are made: all but the experiments from those alone.
namespace marginalia::comparison {

/// Keys of run.json that say under which circumstances a run was made.
inline constexpr std::initializer_list<const char*> kCircumstances{"threads", "device", "host",
                                                                   "version", "commit"};

/// What a run costs, beside what it measures.
struct Cost {
  const char *key, *label, *unit;
  double Costs::*total;
  std::vector<double> Curve::*along;  ///< what was spent by each point of a curve; null: no axis
};
inline constexpr std::array<Cost, 5> kCosts{
    {{"parameters", "parameters", "", &Costs::parameters, nullptr},
     {"steps", "steps", "", &Costs::steps, &Curve::step},
     {"seconds", "training", "seconds", &Costs::seconds, &Curve::seconds},
     {"energy_evaluations", "energy evaluations", "rows", &Costs::energy_evaluations,
      &Curve::energy_evaluations},
     {"passes", "network passes", "rows", &Costs::passes, &Curve::passes}}};

/// "metric/estimator" of each measurement or curve.
using Keys = std::vector<std::string>;
template <typename T>
Keys list_keys(const std::vector<T>& all) {
  Keys keys;
  for (const auto& one : all)
    keys.push_back(one.key);
  return keys;
}

/// The measurement or curve of a key; null where there is none.
template <typename T>
const T* find(const std::vector<T>& all, const std::string& key, std::string T::*name = &T::key) {
  const auto found = std::ranges::find(all, key, name);
  return found == all.end() ? nullptr : &*found;
}

std::string parse_metric(const std::string& key);     ///< "nll/masked" -> "nll"
std::string parse_estimator(const std::string& key);  ///< "nll/masked" -> "masked"; "nll" -> ""

/// "lower", "higher", or "" where neither is better (log Z) or nobody said.
std::string find_better(const std::string& key, const CompareParams& compare,
                        const MetricFacts& facts);

/// The metrics that a table is of, as the study names them; where it names none, all.
std::vector<std::string> asked_for(const std::vector<Experiment>& experiments,
                                   const CompareParams& compare);

/// The columns of a metric named without an estimator: one where its measurements share it; else
/// one of each estimator, unless no experiment has more than one.
std::vector<std::string> list_columns(const std::vector<Keys>& experiments,
                                      const std::string& asked, const MetricFacts& facts);

/// The one of `keys` that stands in a column; "" for none. In a column that estimators share it is
/// the first in the order of preference; what is known beside the model never stands for a row.
std::string key_in(const Keys& keys, const std::string& column, const MetricFacts& facts);

/// The key that all runs share which stands in a column, those apart that have none; "" where they
/// share none.
std::string common_key(const std::vector<Keys>& runs, const std::string& column,
                       const MetricFacts& facts);

/// "marginal_error/one_pass" -> "marginal error, one pass"
std::string to_words(const std::string& key);
/// What a column or a plot is called: what its measurement declares for itself, else its key.
std::string to_label(const std::string& key, const MetricFacts& facts);

/// "a, b, c, d and 4 more"
std::string some(const std::vector<std::string>& names);

/// Equal in runs that differ in the seed alone: one target, one value of every key of the grid.
/// Such a stratum is no draw, so that spreads and tests are of the runs within it.
std::string stratum_key(const Experiment& e);
/// "side 3, hidden 8", the columns' key left out; the experiment's name where nothing varies.
std::string stratum_name(const Experiment& e, const std::string& columns);
/// What the study sets of energy and dataset, "side 3"; else the row's name.
std::string target_name(const Experiment& e);

/// Experiments that are looked at together.
struct Part {
  std::string value;  ///< what a key of their pairs has in all of them; "" for all experiments
  std::vector<const Experiment*> experiments;

  std::vector<const Experiment*> finished(const std::string& row) const;
  /// "nll" -> "nll, 4"
  std::string name(const std::string& what) const {
    return value.empty() ? what : what + ", " + value;
  }
};
Part whole(const std::vector<Experiment>& experiments);

/// The experiments at each value of a key of their pairs, in the order in which they come; nothing
/// for "".
std::vector<Part> parted(const std::vector<Experiment>& experiments, const std::string& key);

/// The same parts, those divided in which a row has several strata: so that no mean is drawn over
/// them.
std::vector<Part> uniform(const std::vector<Part>& parts, const std::string& columns);

/// What each run of a study measured, in the order of its experiments.
std::vector<Experiment> read_experiments(const Study& study, const std::vector<StudyRun>& runs,
                                         const std::filesystem::path& root);

/// Adds which runs give no numbers, and why; which rows left part of their budget; and in what the
/// machines differ.
void add_notes(std::vector<std::string>& notes, const Study& study,
               const std::vector<Experiment>& experiments);

/// What a table and plots are made for.
struct Request {
  CompareParams compare;
  std::vector<std::string> rows;
  std::vector<std::string> baselines;  ///< of each row; "" for none
  MetricFacts facts;

  /// The key whose values have columns, and plots, of their own; "" for none.
  const std::string& columns() const {
    return compare.columns.empty() ? compare.against : compare.columns;
  }
};

Table make_table(const std::vector<Experiment>& experiments, const Request& request);

/// Curves against budgets, errors by subset size and against time, calibration: each within one
/// target. And what the study asks to be drawn against a key of its grid.
std::vector<Plot> make_plots(const std::vector<Experiment>& experiments, const Request& request);

/// Adds the curves of a metric, or of a metric and estimator, against each cost.
void add_curves(std::vector<Plot>& plots, const Part& part, const std::vector<std::string>& rows,
                const std::string& metric, const MetricFacts& facts);

/// Adds every metric, and every observable, against the key `compare.against`.
void add_against(std::vector<Plot>& plots, const std::vector<Experiment>& experiments,
                 const Request& request);

/// Power laws at each target; their plots are added to `plots`. Empty where the study asks for
/// none.
Scaling fit_scaling(const std::vector<Experiment>& experiments, const ScalingParams& params,
                    std::vector<Plot>& plots);

/// A plot with an id that a file may have, and the scales that suit its series: logarithmic where a
/// positive range is wide.
Plot scaled(Plot plot);

/// Adds a point: y is the mean, the band one standard error to both sides.
void add_point(Series& to, double x, const Summary& summary);

/// The number of a cell, and a difference, as they are printed: "78.690 +- 0.012",
/// "+0.10 +- 0.02 (p = 0.013)".
std::string to_text(const Cell& cell);
std::string to_text(const Test& difference);

/// Writes `study`/report.html from a comparison and some samples of each row, which are read from
/// the runs.
void write_study_report(const std::filesystem::path& study, const Comparison& comparison);

}  // namespace marginalia::comparison
