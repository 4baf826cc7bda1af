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
const T* find(const std::vector<T>& all, const std::string& key) {
  const auto found = std::ranges::find(all, key, &T::key);
  return found == all.end() ? nullptr : &*found;
}

std::string parse_metric(const std::string& key);     ///< "nll/masked" -> "nll"
std::string parse_estimator(const std::string& key);  ///< "nll/masked" -> "masked"; "nll" -> ""

/// "lower", "higher", or "" where neither is better (log Z) or nobody said.
std::string find_better(const std::string& key, const CompareParams& compare,
                        const MetricFacts& facts);

/// The columns of a metric named without an estimator: one where its measurements share it; else
/// one of each estimator, unless no experiment has more than one.
std::vector<std::string> list_columns(const std::vector<Keys>& experiments,
                                      const std::string& asked, const MetricFacts& facts);

/// The one of `keys` that stands in a column; "" for none. In a column that estimators share it is
/// the first in the order of preference; what is known beside the model never stands for a row.
std::string key_in(const Keys& keys, const std::string& column, const MetricFacts& facts);

/// "marginal_error/one_pass" -> "marginal error, one pass"
std::string to_label(const std::string& metric);

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

/// What each run of a study measured, in the order of its experiments.
std::vector<Experiment> read_experiments(const Study& study, const std::vector<StudyRun>& runs,
                                         const std::filesystem::path& root);

/// Adds which runs give no numbers, and why; which rows left part of their budget; and in what the
/// machines differ.
void add_notes(std::vector<std::string>& notes, const Study& study,
               const std::vector<Experiment>& experiments);

Table make_table(const std::vector<Experiment>& experiments, const CompareParams& compare,
                 const std::vector<std::string>& rows, const MetricFacts& facts);

/// Curves against budgets, errors by subset size and against time, each at every value of the key
/// `columns`, where there is one, by itself; calibration of all together.
std::vector<Plot> make_plots(const std::vector<Experiment>& experiments,
                             const std::vector<std::string>& rows, const std::string& columns,
                             const MetricFacts& facts);

/// Adds the curves of a metric, or of a metric and estimator, against each cost.
void add_curves(std::vector<Plot>& plots, const Part& part, const std::vector<std::string>& rows,
                const std::string& metric, const MetricFacts& facts);

/// Power laws; its plots are added to `plots`. Empty where the study asks for none.
Scaling fit_scaling(const std::vector<Experiment>& experiments, const ScalingParams& params,
                    std::vector<Plot>& plots);

/// A plot with an id that a file may have, and the scales that suit its series: logarithmic where a
/// positive range is wide.
Plot scaled(Plot plot);

/// Adds a point: y is the mean, the band one standard error to both sides.
void add_point(Series& to, double x, const Summary& summary);

/// A cell and a difference as they are printed: "78.690 +- 0.012", "+0.10 +- 0.02 (p = 0.013)".
std::string to_text(const Cell& cell);
std::string to_text(const Test& difference);

/// Writes `study`/report.html from a comparison and some samples of each row, which are read from
/// the runs.
void write_study_report(const std::filesystem::path& study, const Comparison& comparison);

}  // namespace marginalia::comparison
