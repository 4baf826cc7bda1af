#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <marginalia/json.h>

#include "records/study/study_directory.h"
#include "statistics.h"

/// The parts of a comparison. Members of type Json are what other files hold, for comparison.json
/// to repeat.
namespace marginalia::comparison {

/// Root mean square error, in the metric's unit, of answers about subsets of `size` variables.
struct SizeError {
  double size, rms;
};

/// Predictions of nearly one probability: their mean, the share that came true, their number.
struct CalibrationBin {
  double predicted, observed, count;
};

/// An observable's means: under the model, under the reference, and exactly.
struct Observable {
  std::string name;  ///< "energy", "two point, distance 2"
  double model;
  std::optional<double> reference = {}, exact = {};
};

/// What an evaluation says of one metric by one estimator.
struct Measurement {
  std::string key;                   ///< "nll/masked"
  double value = NAN;                ///< NaN where it was not finite
  std::optional<double> error = {};  ///< standard error of the value within the run
  std::string unit;
  std::string status;  ///< "exact", "upper", "lower", "estimate"; "" where nothing is said
  std::optional<std::vector<SizeError>> by_size = {};  ///< none where no sizes were told apart
  std::vector<CalibrationBin> bins = {};
  std::vector<Observable> observables = {};  ///< those that it is the error of
  Json recorded;  ///< the keys of evaluation.json's entry that comparison.json repeats
};

/// What was measured on the way, with what had been spent by then: lists of one length.
struct Curve {
  std::string key;  ///< "nll/masked"
  std::vector<double> step = {}, seconds = {}, value = {}, passes = {}, energy_evaluations = {};
};

/// What a run spent on training; NaN where it did not say.
struct Costs {
  double parameters = NAN, steps = NAN, seconds = NAN;
  double energy_evaluations = NAN, passes = NAN;  ///< rows
};

struct UnavailableMetric {
  std::string metric, why;
};

/// What one experiment measured and cost: the source of every other number.
struct Experiment {
  std::string name, row;
  Json pair, settings;  ///< of StudyExperiment
  std::string target;   ///< likewise
  std::string spec_sha256;
  std::string run;  ///< its folder, from that of the study
  RunState state = RunState::kAbsent;
  std::string reason;  ///< why it is unfinished or altered; else ""
  // Of finished runs alone:
  Json circumstances = {};  ///< "threads", "device", "host", "version", "commit" of run.json
  std::int64_t rows_per_step = 0;
  Costs costs = {};
  std::vector<Measurement> measurements = {};
  std::vector<UnavailableMetric> unavailable = {};
  std::vector<Curve> curves = {};

  bool is_finished() const { return state == RunState::kFinished; }
};

/// A column of the table: a metric or a cost over all runs, or at one value of the columns' key.
struct Column {
  std::string key;      ///< "nll", "nll/masked", "nll of 4", or the key of a cost
  std::string metric;   ///< "nll of 4" in its parts: "nll"
  std::string at = {};  ///< ... and "4"; "" over all runs
  std::string label, unit;
  std::string better;  ///< "lower", "higher", or "" where neither is
  bool is_cost = false;
  bool names_estimator = false;  ///< whether its cells say by what they were estimated
};

/// Why there is no difference where two rows have no run in common.
inline constexpr const char* kNoPairs = "no runs to pair";

/// A test of paired differences.
struct Test {
  PairedTest paired;
  std::optional<double> p_holm;  ///< corrected for the number of tests; none where untested
};

/// A difference to the row that a row is compared with.
struct Difference {
  std::string baseline;  ///< that row
  Test test;
};

/// One number that a mean was made from.
struct Source {
  std::string experiment;
  double value;
};

/// What the runs of a row say in a column.
struct Cell {
  std::vector<Source> values;
  std::optional<Summary> summary;   ///< of the values; none where a stratum or column is missing
  std::optional<double> own_error;  ///< the only run's own standard error
  std::string estimator, status;    ///< what the values say, all of it; "" if nothing is said
  std::string why;                  ///< why there is no mean, no error, or a value less; else ""
  std::vector<std::string> lacks;   ///< the columns, or strata, without a value
  std::optional<double> mean_rank;  ///< over the columns, 1 the best; where each has one
  std::optional<Difference> difference;  ///< none of a cost, of a baseline, or of another target
  bool best = false;                     ///< of the rows with the same targets
  bool significant = false;              ///< best, and it differs from every other such row

  /// Standard error over the runs; of one run, its own.
  std::optional<double> error() const {
    return summary && summary->error ? summary->error : own_error;
  }
  const char* error_source() const {
    return summary && summary->error ? "runs" : own_error ? "one run" : "none";
  }
};

struct Row {
  std::string name;
  std::vector<Cell> cells;  ///< one for each column
};

/// Two rows compared over the runs they share.
struct Pair {
  std::size_t a, b;    ///< positions of the rows; the difference is a - b
  std::string column;  ///< its key
  Test test;
};

struct Table {
  std::vector<Column> columns;
  std::vector<Row> rows;
  std::vector<Pair> pairs;  ///< those that share more than one run
};

/// Points of a plot, lists of one length: y, the band from low to high, and of how many values.
struct Series {
  std::string label;
  std::size_t colour = 0;  ///< position among the colours of the report
  std::string style;       ///< "line", "dashed", "points", or "both" for a line with points
  std::vector<double> x = {}, y = {}, low = {}, high = {};
  std::vector<std::int64_t> n = {};
};

struct PlotAxis {
  std::string label;
  bool log = false;
};

struct Plot {
  std::string id;     ///< also its file's name
  std::string group;  ///< "against", "curves", "sizes", "calibration", "costs", "scaling"
  std::string title;
  PlotAxis x, y;
  std::vector<Series> series;
  std::string axis = {};  ///< of curves: the key of the cost along x
  bool diagonal = false;  ///< whether y = x is drawn
};

/// One measured checkpoint of a run.
struct Checkpoint {
  std::string experiment;
  std::string target;  ///< of the experiment
  double parameters;   ///< N
  double data;         ///< D: rows trained on so far
  double compute;      ///< C: N x network passes x rows so far
  double loss;
  bool last;  ///< of its run
};

/// What a law said of a checkpoint that it was not fitted to.
struct Extrapolation {
  Checkpoint checkpoint;
  double x, predicted;
};

/// How well a law extrapolates.
struct HeldOut {
  std::size_t points = 0;
  std::vector<Extrapolation> of = {};
  double error_rms = NAN;           ///< of (predicted - seen) / seen
  double constant_error_rms = NAN;  ///< likewise, of the lowest loss of the rest
  std::string why = {};             ///< why there is no law of the rest; else ""
};

/// A power law of the loss.
struct ScalingLaw {
  std::string target;      ///< in words; "" where the study has one
  std::string axis;        ///< "parameters", "data", "compute", "parameters and data"
  bool with_data = false;  ///< L = E + A N^-alpha + B D^-beta, not L = E + A x^-alpha
  std::size_t points = 0;
  std::optional<PowerLaw> fit = {};
  std::optional<double> alpha_error = {}, beta_error = {};  ///< standard errors of the exponents
  HeldOut held_out = {};
  std::string why = {};  ///< why there is no fit; else ""
};

struct Scaling {
  std::string metric;  ///< "" where the study asks for none
  std::vector<Checkpoint> points;
  std::vector<ScalingLaw> laws = {};
  std::string why = {};  ///< why there are no laws; else ""
};

}  // namespace marginalia::comparison
