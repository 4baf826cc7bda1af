#pragma once

#include <cstdint>
#include <string>

#include <marginalia/family.h>
#include <marginalia/metric.h>
#include <marginalia/registry.h>

namespace marginalia {

/// A family as a parameter: whoever reads it has the context to build it.
class FamilyParam final : public AnyChild {
 public:
  const char* kind() const override { return Family::kKind; }
  void build(const Registry&, const Spec&) override {}
};

/// The section "evaluation.reference" of a spec: chains whose states stand for exact samples.
struct ReferenceParams {
  std::string use = "auto";
  std::int64_t samples = 10000, seed = 0;
  FamilyParam family;
  void visit(ParamVisitor& p) {
    p("use", use,
      {.doc = "auto: where there is neither an oracle nor a dataset, and the energy has factors or "
              "local conditionals that make chains cheap; always: in place of both",
       .one_of = {"auto", "always", "never"}});
    p("samples", samples, {.doc = "states of all chains together, at least", .min = 1});
    p("seed", seed, {.doc = "of the chains, whatever the run's", .min = 0});
    p("family", family,
      {.doc = "one that runs chains; none: the one that offers itself for this (mcmc), with the "
              "sampler that suits the energy"});
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
              "variables outside each other's receptive field",
       .one_of = {"random", "forward", "backward", "parallel"}});
    p("samples", samples, {.doc = "states written to samples/", .min = 0});
    p("every_steps", every_steps, {.doc = "between evaluations in training; 0: none", .min = 0});
    p("every_rows", every_rows, {.doc = "rows of those", .min = 1});
    p("during", during, {.doc = "metrics of those"});
    p.section("select", select, "which checkpoint is the best");
    p.section("reference", reference, "chains that stand for exact samples");
  }
};

}  // namespace marginalia
