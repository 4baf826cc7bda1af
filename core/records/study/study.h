#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <marginalia/params.h>
#include <marginalia/spec.h>

namespace marginalia {

/// How a loss falls with the size of a model: the section "compare.scaling" of a study.
struct ScalingParams {
  std::string metric;
  double skip = 0.1;
  void visit(ParamVisitor& p) {
    p("metric", metric,
      {.doc =
           "METRIC/ESTIMATOR to fit, as nll/masked; measured on the way (evaluation.during) each "
           "checkpoint is a point; empty: no fit"});
    p("skip", skip,
      {.doc = "share of a run's steps whose points are left out", .min = 0.0, .max = 0.99});
  }
};

/// What is compared, and how: the section "compare" of a study.
struct CompareParams {
  std::vector<std::string> rows, metrics, lower_is_better, higher_is_better;
  std::string columns, against, baseline, correct_within = "metric";
  double alpha = 0.05;
  std::int64_t samples = 16;
  ScalingParams scaling;
  void visit(ParamVisitor& p) {
    p("rows", rows,
      {.doc =
           "what makes a row of the table: \"variant\" and dotted keys; empty: all but the seed"});
    p("columns", columns,
      {.doc =
           "dotted key whose values have columns of their own, beside their mean; empty: that of "
           "\"against\""});
    p("against", against,
      {.doc = "dotted key of numbers that every metric, and every observable, is drawn against; "
              "empty: none"});
    p("metrics", metrics,
      {.doc = "METRIC or METRIC/ESTIMATOR, in this order; empty: all that are measured"});
    p("baseline", baseline,
      {.doc = "what the others are compared with at each target (energy and dataset): a variant, "
              "or the full name of a row; empty: the first row of the target"});
    p("alpha", alpha, {.doc = "level of significance", .min = 1e-6, .max = 0.5});
    p("correct_within", correct_within,
      {.doc = "tests that Holm's correction counts together", .one_of = {"metric", "table"}});
    p("lower_is_better", lower_is_better,
      {.doc = "METRIC or METRIC/ESTIMATOR, whatever the metric declares of it"});
    p("higher_is_better", higher_is_better, {.doc = "likewise"});
    p("samples", samples, {.doc = "states of each row in the report", .min = 0, .max = 100});
    p.section("scaling", scaling, "power laws over a size sweep");
  }
};

/// One experiment of a study.
struct StudyExperiment {
  std::string name;     ///< "mam-seed0": its folder's name, and what --only takes
  std::string variant;  ///< "" where the study has none
  Json settings;        ///< what sets it apart beside the variant: dotted key to value
  std::string row;      ///< its row in the tables: "mam, side 4"
  Json pair;            ///< what must be equal for a paired difference: dotted key to value
  Json spec;            ///< resolved
  std::string hash;     ///< spec_hash(spec)
  /// Hashes of runs that are of this experiment and were recorded in an older format of specs.
  std::vector<std::string> older_hashes = {};
};

/// Many experiments from one manifest, and how they are compared (DESIGN.md 5).
struct Study {
  std::string name;
  std::filesystem::path file;
  Json manifest;
  CompareParams compare;
  std::vector<StudyExperiment> experiments;
  std::string precision = "auto";  ///< what "auto" has come to in training, in all of them
  std::vector<std::string> row_names() const;  ///< each once, in the order of the experiments
};

/// What an experiment is about, its energy and its dataset: numbers compare within one target.
std::string target(const StudyExperiment& experiment);

/// Whether a JSON file is a study's manifest, not an experiment's spec.
bool is_study(const std::filesystem::path& file);

/// A study as it was expanded (study.json), written and read without the manifest's files.
Json to_json(const Study& study);
Study study_from_json(const Json& record, const std::string& where);

}  // namespace marginalia
