#pragma once

#include "marginalia_test.h"

#include <marginalia/dataset.h>
#include <marginalia/family.h>
#include <marginalia/metric.h>
#include <marginalia/network.h>
#include <marginalia/registry.h>

#include "host/experiment/experiment.h"

/// One component of each kind that a spec names, small and of the tests' own: their messages do not
/// change when a plugin is added.
namespace marginalia::test::toy {

/// log f = 0, with a parameter of every type there is.
class Toy final : public Energy {
 public:
  static constexpr const char* kName = "toy";
  static constexpr const char* kSummary = "every type of parameter";
  static constexpr const char* kFormula = "log f(x) = 0";
  static constexpr const char* kSource = "nobody (0)";
  static constexpr const char* kExample = R"({"size": 2})";

  struct Inner {
    double rate = 0.5;
    std::string rule = "plain";
    std::map<std::string, double> factors;
    Children<Metric> metrics;
    void visit(ParamVisitor& p) {
      p("rate", rate, {.doc = "of change", .max = 1.0});
      p("rule", rule, {.doc = "of change"});
      p("factors", factors, {.doc = "by name", .min = 0.0});
      p("metrics", metrics, {.doc = "inside"});
    }
  };
  struct Params {
    bool flag = false;
    std::int64_t size = 3;
    double ratio = 0.25;
    std::string mode = "fast";
    std::vector<std::int64_t> sizes{4, 5};
    std::vector<double> rates;
    std::vector<std::string> tags{"red"};
    std::map<std::string, double> weights{{"log_z", 100.0}};
    Count rows{10, false};
    FilePath file;
    Child<Energy> base;
    Children<Metric> metrics;
    Inner inner;
    void visit(ParamVisitor& p) {
      p("flag", flag, {.doc = "yes or no"});
      p("size", size, {.doc = "D, variables", .min = 1, .max = 9});
      p("ratio", ratio, {.doc = "a share", .min = 0.0, .max = 1.0});
      p("mode", mode, {.doc = "pace", .one_of = {"fast", "slow"}});
      p("sizes", sizes, {.doc = "several", .min = 1});
      p("rates", rates, {.doc = "several", .max = 2.0});
      p("tags", tags, {.doc = "colours", .one_of = {"red", "green"}});
      p("weights", weights, {.doc = "by name", .min = 0.0});
      p("rows", rows, {.doc = "how many", .min = 1});
      p("file", file, {.doc = "numbers"});
      p("base", base, {.doc = "another one"});
      p("metrics", metrics, {.doc = "what to measure"});
      p.section("inner", inner, "a group");
    }
  };
  explicit Toy(const Params& given) : params(given), space_(StateSpace::uniform(given.size, 2)) {}
  const StateSpace& space() const override { return space_; }

  const Params params;

 private:
  Tensor compute_log_density(const Tensor& x) const override {
    return torch::zeros({x.size(0)}, torch::kDouble);
  }
  StateSpace space_;
};

/// Two states of two bits.
class Pair final : public Dataset {
 public:
  static constexpr const char* kName = "pair";
  static constexpr const char* kSummary = "00 and 11";
  struct Params {
    void visit(ParamVisitor&) {}
  };
  explicit Pair(const Params&) {}
  const StateSpace& space() const override { return space_; }
  std::int64_t size(Split) const override { return 2; }

 private:
  Tensor compute_rows(Split, const Tensor& indices, std::uint64_t) const override {
    return indices.unsqueeze(1).repeat({1, 2});
  }
  StateSpace space_ = StateSpace::uniform(2, 2);
};

/// Logits 0, and nothing else.
class Flat final : public Network {
 public:
  static constexpr const char* kName = "flat";
  static constexpr const char* kSummary = "logits 0";
  struct Params {
    std::int64_t width = 1;
    void visit(ParamVisitor& p) { p("width", width, {.doc = "of nothing", .min = 1}); }
  };
  Flat(const Params&, const NetworkContext& context)
      : Network(context), levels_(context.space.levels()) {}
  HeadSet heads() const override { return kLogits; }

 private:
  Heads compute(const NetworkInput& input, HeadSet) override {
    const auto B = input.partial.size(0), D = input.partial.size(1);
    Heads heads;
    heads.logits = torch::zeros({B, D, levels_});
    return heads;
  }
  std::int64_t levels_;
};

/// Asks for two networks and does nothing with them.
class Idle final : public Family {
 public:
  static constexpr const char* kName = "idle";
  static constexpr const char* kSummary = "does nothing";
  static constexpr std::pair<const char*, unsigned> kRoles[] = {{"conditional", kLogits},
                                                                {"marginal", kLogMarginal}};
  struct Params {
    bool marginal = false;
    void visit(ParamVisitor& p) { p("marginal", marginal, {.doc = "asks for both roles"}); }
  };
  Idle(const Params& params, const FamilyContext& context) : space_(context.space) {
    context.networks.at("conditional", kLogits);
    if (params.marginal) context.networks.at("marginal", kLogMarginal);
  }
  const StateSpace& space() const override { return space_; }
  std::vector<Capability> capabilities() const override {
    return {{QueryKind::kLogMarginal, "guess", Status::kEstimate, "0"}};
  }
  void step(Step&) override {}
  std::vector<ParameterGroup> parameters() override { return {}; }
  void visit(StateVisitor&) override {}
  void set_training(bool) override {}

 private:
  Answer compute_answer(const Query& query, Stream&) const override {
    return {torch::zeros({query.partial.size(0)}, torch::kDouble), {}, "", Status::kEstimate, 0};
  }
  StateSpace space_;
};

/// 1 to some power.
class One final : public Metric {
 public:
  static constexpr const char* kName = "one";
  static constexpr const char* kSummary = "is 1";
  static constexpr MeasurementInfo kMeasurements[] = {{"exact", "unity", "1 | 1 to some power",
                                                       "nats", Better::kHigher, PlotKind::kNone,
                                                       ColumnKind::kShared}};
  struct Params {
    std::int64_t power = 1;
    void visit(ParamVisitor& p) { p("power", power, {.doc = "of 1", .min = 0}); }
  };
  explicit One(const Params& given) : power(given.power) {}
  std::vector<Measurement> measure(Evaluation&) const override {
    Measurement measurement;
    measurement.estimator = "exact";
    measurement.value = 1;
    return {measurement};
  }
  const std::int64_t power;
};

inline Spec parsed(const std::string& json) {
  return Spec::from_text(json, "spec.json");
}

inline Registry registry() {
  Registry registry;
  registry.add<Toy, Pair, Flat, Idle, One>();
  return registry;
}

}  // namespace marginalia::test::toy
