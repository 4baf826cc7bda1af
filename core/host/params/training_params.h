#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <marginalia/params.h>

namespace marginalia {

/// How parameters move.
struct OptimizerParams {
  std::string type = "adam";
  double learning_rate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0, momentum = 0;
  std::map<std::string, double> factors;
  std::int64_t zero = 0;
  void visit(ParamVisitor& p) {
    p("type", type, {.doc = "update rule", .one_of = {"adam", "adamw", "sgd"}});
    p("learning_rate", learning_rate, {.doc = "step size", .min = 0.0});
    p("beta1", beta1, {.doc = "decay of the gradient's mean (adam)", .min = 0.0, .max = 1.0});
    p("beta2", beta2, {.doc = "decay of its square's mean (adam)", .min = 0.0, .max = 1.0});
    p("epsilon", epsilon, {.doc = "added to the root of that mean (adam)", .min = 0.0});
    p("weight_decay", weight_decay, {.doc = "L2 penalty; decoupled in adamw", .min = 0.0});
    p("momentum", momentum, {.doc = "of sgd", .min = 0.0, .max = 1.0});
    p("factors", factors, {.doc = "learning-rate factor by parameter group", .min = 0.0});
    p("zero", zero,
      {.doc = "1: each of several ranks keeps the moments of its share of the parameters alone, "
              "and moves that (ZeRO, stage 1); 0: of all",
       .min = 0,
       .max = 1});
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
      {.doc = "run (its best checkpoint, else its last), checkpoint or any safetensors file to "
              "take tensors from, by name and shape"});
    p("log_every_steps", log_every_steps, {.doc = "between lines of metrics.jsonl", .min = 1});
    p.section("optimizer", optimizer, "how parameters move");
    p.section("schedule", schedule, "how the learning rate changes");
    p.section("anneal", anneal, "how the energy's temperature changes");
    p.section("budget", budget, "what ends training early");
    p.section("checkpoint", checkpoint, "what is kept to resume from");
    p.section("early_stopping", early_stopping, "stops on evaluation.select");
  }
};

}  // namespace marginalia
