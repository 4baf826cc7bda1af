#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <marginalia/family.h>
#include <marginalia/metric.h>
#include <marginalia/reference_samples.h>
#include <marginalia/registry.h>
#include <marginalia/spec.h>

namespace marginalia {

/// How parameters move.
struct OptimizerParams {
  std::string type = "adam";
  double learning_rate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0, momentum = 0;
  std::map<std::string, double> factors;
  void visit(ParamVisitor& p) {
    p("type", type, {.doc = "update rule", .one_of = {"adam", "adamw", "sgd"}});
    p("learning_rate", learning_rate, {.doc = "step size", .min = 0.0});
    p("beta1", beta1, {.doc = "decay of the gradient's mean (adam)", .min = 0.0, .max = 1.0});
    p("beta2", beta2, {.doc = "decay of its square's mean (adam)", .min = 0.0, .max = 1.0});
    p("epsilon", epsilon, {.doc = "added to the root of that mean (adam)", .min = 0.0});
    p("weight_decay", weight_decay, {.doc = "L2 penalty; decoupled in adamw", .min = 0.0});
    p("momentum", momentum, {.doc = "of sgd", .min = 0.0, .max = 1.0});
    p("factors", factors, {.doc = "learning-rate factor by parameter group", .min = 0.0});
  }
};

/// How the learning rate changes over a run.
struct ScheduleParams {
  std::string type = "constant";
  std::int64_t warmup_steps = 0;
  double final_fraction = 0;
  void visit(ParamVisitor& p) {
    p("type", type, {.doc = "course after warm-up", .one_of = {"constant", "cosine"}});
    p("warmup_steps", warmup_steps, {.doc = "linear rise from 0", .min = 0});
    p("final_fraction", final_fraction,
      {.doc = "of the learning rate, reached at the end (cosine)", .min = 0.0, .max = 1.0});
  }
};

/// The inverse temperature b of the energy in training, which sees f^b: from `from` to 1, evenly in
/// the share of training that is done.
struct AnnealParams {
  double from = 1, until = 0.5;
  void visit(ParamVisitor& p) {
    p("from", from,
      {.doc = "inverse temperature at the start, relative to the energy's own; 1: no annealing",
       .min = 1e-6});
    p("until", until, {.doc = "share of training after which it is 1", .min = 0.0, .max = 1.0});
  }
  double at(double progress) const {
    return progress >= until ? 1 : from + (1 - from) * progress / until;
  }
};

/// What ends training before its steps do; 0: no limit.
struct BudgetParams {
  double seconds = 0;
  std::int64_t energy_evaluations = 0, passes = 0;
  void visit(ParamVisitor& p) {
    p("seconds", seconds, {.doc = "of training, evaluation excluded; 0: no limit", .min = 0.0});
    p("energy_evaluations", energy_evaluations,
      {.doc = "rows of log density, plus rows x sites of local conditionals", .min = 0});
    p("passes", passes, {.doc = "network passes x rows", .min = 0});
  }
};

struct CheckpointParams {
  std::int64_t every_steps = 0, keep = 2;
  void visit(ParamVisitor& p) {
    p("every_steps", every_steps, {.doc = "between checkpoints; 0: at the end alone", .min = 0});
    p("keep", keep, {.doc = "newest ones kept, beside the best", .min = 1});
  }
};

struct EarlyStoppingParams {
  std::int64_t patience = 0;
  double min_delta = 0;
  void visit(ParamVisitor& p) {
    p("patience", patience, {.doc = "evaluations without a new best; 0: never stop", .min = 0});
    p("min_delta", min_delta, {.doc = "improvement that counts", .min = 0.0});
  }
};

/// The section "training" of a spec.
struct TrainingParams {
  std::int64_t steps = 1000, batch_size = 128, accumulate = 1, log_every_steps = 50;
  double clip_norm = 0, moving_average = 0;
  std::string precision = "auto", init;
  OptimizerParams optimizer;
  ScheduleParams schedule;
  AnnealParams anneal;
  BudgetParams budget;
  CheckpointParams checkpoint;
  EarlyStoppingParams early_stopping;
  void visit(ParamVisitor& p) {
    p("steps", steps, {.doc = "optimisation steps at most", .min = 0});
    p("batch_size", batch_size, {.doc = "B, rows of a micro-batch", .min = 1});
    p("accumulate", accumulate, {.doc = "micro-batches averaged into one step", .min = 1});
    p("clip_norm", clip_norm, {.doc = "largest gradient norm; 0: no clipping", .min = 0.0});
    p("moving_average", moving_average,
      {.doc = "decay of the parameters' average, used to answer; 0: none", .min = 0.0, .max = 1.0});
    p("precision", precision,
      {.doc =
           "of hidden products in training; auto: bfloat16 where the processor or GPU multiplies "
           "it in hardware, else float32. Beside bfloat16 parameters and outputs are float32; "
           "in float64 everything is",
       .one_of = {"auto", "float32", "bfloat16", "float64"}});
    p("init", init,
      {.doc =
           "run (its best checkpoint, else its last) or checkpoint to take tensors from, by name"});
    p("log_every_steps", log_every_steps, {.doc = "between lines of metrics.jsonl", .min = 1});
    p.section("optimizer", optimizer, "how parameters move");
    p.section("schedule", schedule, "how the learning rate changes");
    p.section("anneal", anneal, "how the energy's temperature changes");
    p.section("budget", budget, "what ends training early");
    p.section("checkpoint", checkpoint, "what is kept to resume from");
    p.section("early_stopping", early_stopping, "stops on evaluation.select");
  }
};

/// What "best" means.
struct SelectParams {
  std::string metric, split = "valid", mode = "min";
  void visit(ParamVisitor& p) {
    p("metric", metric, {.doc = "metric/estimator, as nll/one_order; empty: the last is used"});
    p("split", split,
      {.doc = "rows that all of evaluation.during is measured on",
       .one_of = {"train", "valid", "test"}});
    p("mode", mode, {.doc = "which is better", .one_of = {"min", "max"}});
  }
};

/// The section "evaluation" of a spec.
struct EvaluationParams {
  std::int64_t every_steps = 0, every_rows = 200, samples = 64;
  Count rows{1000, false};
  std::string split = "test", precision = "auto", order = "random";
  Children<Metric> metrics, during;
  SelectParams select;
  ReferenceParams reference;
  void visit(ParamVisitor& p) {
    p("metrics", metrics, {.doc = "measured at the end"});
    p("rows", rows, {.doc = "states for metrics that walk chains, or \"all\"", .min = 1});
    p("split", split, {.doc = "rows of a dataset to use", .one_of = {"train", "valid", "test"}});
    p("precision", precision,
      {.doc =
           "of hidden products in every answer of the model, queries included; auto: float32, or "
           "float64 where training is, whose parameters are float64",
       .one_of = {"auto", "float32", "bfloat16", "float64"}});
    p("order", order,
      {.doc = "of the variables of the model's samples that metrics weigh; parallel: in one pass "
              "what a network of bounded sight cannot tell apart",
       .one_of = {"random", "forward", "backward", "parallel"}});
    p("samples", samples, {.doc = "states written to samples/", .min = 0});
    p("every_steps", every_steps, {.doc = "between evaluations in training; 0: none", .min = 0});
    p("every_rows", every_rows, {.doc = "rows of those", .min = 1});
    p("during", during, {.doc = "metrics of those"});
    p.section("select", select, "which checkpoint is the best");
    p.section("reference", reference, "chains that stand for exact samples");
  }
};

/// The device that "auto", "cpu", "cuda" or "cuda:N" names on this machine. Throws SpecError, at
/// `where`, for any other and for one that is not there.
MARGINALIA_API at::Device device_named(const std::string& name, const std::string& where);

/// What a spec asks for, built. Owns its parts; they own nothing of each other.
class MARGINALIA_API Experiment {
 public:
  /// Builds everything; all faults of the spec come in one SpecError. `device` overrides the
  /// spec's.
  Experiment(const Spec& spec, const Registry& registry, const std::string& device = "");

  /// Validates without building: adds the faults. -> the resolved spec.
  static Json check(const Spec& spec, const Registry& registry, Faults& faults);
  /// The energy alone, all that `exact` needs.
  static std::shared_ptr<Energy> energy_of(const Spec& spec, const Registry& registry);

  /// The spec with every default filled in, the seed drawn and "auto" precisions settled.
  Json resolved;
  Json precision;      ///< precision_record: what was asked for, what is used, and why
  std::uint64_t seed;  ///< root of all random streams
  at::Device device;
  TrainingParams training;
  EvaluationParams evaluation;
  std::shared_ptr<Dataset> dataset;      ///< null when the spec has none
  std::shared_ptr<Energy> energy;        ///< null when the spec has none
  std::shared_ptr<Reference> reference;  ///< samples of the energy; null likewise
  Networks networks;
  std::shared_ptr<Family> family;

  const StateSpace& space() const { return dataset ? dataset->space() : energy->space(); }
};

}  // namespace marginalia
