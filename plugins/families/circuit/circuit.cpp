/// \file
/// Probabilistic circuits from data: sums and products for which every marginal is one pass.
///
///   circuit            p(x) = sum_z prod_i p(z_i | z_parent(i)) p(x_i | z_i), z_i one of H hidden
///                      values, along the Chow-Liu tree of the data
///   mixture_of_trees   p(x) = sum_m w_m prod_i p_m(x_i | x_parent_m(i)), each tree its own edges
/// Both are smooth (the terms of a sum have the same variables) and decomposable (the factors of a
/// product have none in common), so that an unknown variable is summed out by setting its leaves to
/// 1; answers are exact. Training is expectation-maximisation: exact posteriors of what is hidden,
/// then frequencies, with no gradient and no learning rate. The circuit may also be trained on
/// mini-batches, whose statistics move a running mean by a step size that falls.
///   max_product        argmax of the product over z (or m) and x together: exact for that, a lower
///                      bound of max p(x), which is NP-hard
///   branch_and_bound   the most probable x where a search proves it, under sums over z (or m) of
///                      the greatest that x can make of their terms
/// Source: Liu and Van den Broeck (2021), NeurIPS, arXiv:2106.02264, sect. 4 (hidden Chow-Liu
/// trees); Meila and Jordan (2000), JMLR 1 (mixtures of trees); Dempster, Laird and Rubin (1977);
/// Cappe and Moulines (2009), doi:10.1111/j.1467-9868.2009.00698.x (mini-batches).
#include <cmath>

#include <torch/types.h>

#include <marginalia/family.h>
#include <marginalia/inference/exact_model.h>
#include <marginalia/plugin.h>

#include "hidden_tree.h"
#include "shared/families/over_ranks.h"
#include "tree_mixture.h"

namespace {

using namespace marginalia;

/// What both families answer, by `Model`'s exact functions.
template <class Model>
class CircuitFamily : public Family {
 public:
  CircuitFamily(const FamilyContext& context, Model model)
      : space_(context.space), dataset_(context.dataset), model_(std::move(model)) {
    if (!dataset_) throw SpecError("learns from a \"dataset\"; the spec has none");
  }

  const StateSpace& space() const override { return space_; }
  std::vector<Capability> capabilities() const override {
    auto all = capabilities_of_exact("1, without a network");
    all.push_back(capability_of_search());
    all.push_back({QueryKind::kMaxProbable, "max_product", Status::kLower, "1, without a network",
                   Route::kOnePass});
    return all;
  }
  std::vector<ParameterGroup> parameters() override { return {}; }
  void visit(StateVisitor& v) override { model_.visit(v); }
  void set_training(bool) override {}
  std::string why_not_data_parallel() const override { return ""; }

 protected:
  StateSpace space_;
  const Dataset* dataset_;
  Model model_;

 private:
  Answer compute_answer(const Query& query, Stream& stream) const override {
    if (!model_.started()) throw Error("not trained yet: it takes one step");
    const ExactModel model{
        .log_marginal = [&](const Evidence& e) { return model_.log_marginal(e, query.in_float32); },
        .log_conditionals =
            [&](const Evidence& e) { return model_.log_conditionals(e, query.in_float32); },
        .sample = [this](const Evidence& e, Stream& s) { return model_.sample(e, s); },
        .most_probable = [this](const Tensor& x) { return model_.most_probable(x); },
        .max_bound = [this](const Tensor& x) { return model_.max_bound(x); }};
    return answer_exactly(model, query, stream);
  }
};

class Circuit final : public CircuitFamily<circuit::HiddenTree> {
 public:
  static constexpr const char* kName = "circuit";
  static constexpr const char* kSummary =
      "hidden Chow-Liu tree, a smooth and decomposable circuit, by EM: exact in one pass";
  static constexpr const char* kFormula = "p(x) = sum_z prod_i p(z_i | z_parent(i)) p(x_i | z_i)";
  static constexpr const char* kSource =
      "Liu and Van den Broeck (2021), arXiv:2106.02264; Cappe and Moulines (2009), "
      "doi:10.1111/j.1467-9868.2009.00698.x";
  static constexpr const char* kExample = R"({"latents": 4})";

  struct Params {
    std::int64_t latents = 32;
    std::string tree = "chow_liu", em = "mini_batch";
    double smoothing = 1, step_size = 0.5, final_step_size = 0.02;
    void visit(ParamVisitor& p) {
      p("latents", latents, {.doc = "H, values of each hidden variable", .min = 1, .max = 4096});
      p("tree", tree,
        {.doc = "that of Chow and Liu by the training rows, or by as many drawn of them with "
                "replacement, so that circuits that are mixed differ",
         .one_of = {"chow_liu", "resampled"}});
      p("em", em,
        {.doc = "a step sees a batch, or the whole training split",
         .one_of = {"mini_batch", "full_batch"}});
      p("smoothing", smoothing,
        {.doc = "rows added to the N of the data, spread evenly over the tables", .min = 1e-6});
      p("step_size", step_size,
        {.doc = "of the first mini-batch: its share in the statistics", .min = 1e-6, .max = 1});
      p("final_step_size", final_step_size,
        {.doc = "of the last one; it falls geometrically", .min = 1e-6, .max = 1});
    }
  };

  Circuit(const Params& params, const FamilyContext& context)
      : CircuitFamily(context, {context.space,
                                {.latents = params.latents,
                                 .smoothing = params.smoothing,
                                 .resampled = params.tree == "resampled"}}),
        params_(params) {}

  void step(Step& step) override {
    if (!model_.started()) model_.start(*dataset_, step.stream("family/start"));
    const bool full = params_.em == "full_batch";
    const auto [log_p, rows] = full ? expect_all(step) : expect(step.share(step.batch()));
    const auto rate =
        params_.step_size * std::pow(params_.final_step_size / params_.step_size, step.progress());
    model_.reduce(step);
    model_.maximise(full ? 1 : rate);
    step.count_passes(rows);
    const auto all = step.sum(torch::tensor({log_p, double(rows)}, torch::kDouble));
    step.record("train/log_likelihood", (all[0] / all[1]).item<double>());
  }

 private:
  std::pair<double, std::int64_t> expect(const Tensor& x) { return {model_.expect(x), x.size(0)}; }
  std::pair<double, std::int64_t> expect_all(const Step& step) {
    constexpr std::int64_t kRows = 8192;
    const auto own = own_part(step, dataset_->size(Split::kTrain));
    double log_p = 0;
    for (const auto& some : own.split(kRows))
      log_p += model_.expect(dataset_->rows(Split::kTrain, some));
    return {log_p, own.size(0)};
  }

  Params params_;
};

class MixtureOfTrees final : public CircuitFamily<circuit::TreeMixture> {
 public:
  static constexpr const char* kName = "mixture_of_trees";
  static constexpr const char* kSummary = "mixture of Chow-Liu trees by EM: exact in one pass";
  static constexpr const char* kFormula = "p(x) = sum_m w_m prod_i p_m(x_i | x_parent_m(i))";
  static constexpr const char* kSource = "Meila and Jordan (2000), JMLR 1";
  static constexpr const char* kExample = R"({"components": 3})";

  struct Params {
    std::int64_t components = 16;
    double smoothing = 1;
    void visit(ParamVisitor& p) {
      p("components", components, {.doc = "M, trees", .min = 1, .max = 4096});
      p("smoothing", smoothing,
        {.doc = "rows added to those of each tree, spread evenly over all values", .min = 1e-6});
    }
  };

  MixtureOfTrees(const Params& params, const FamilyContext& context)
      : CircuitFamily(context, {context.space, params.components, params.smoothing}) {}

  /// A step of training is a pass over the whole training split.
  void step(Step& step) override {
    const bool first = !model_.started();
    const auto log_p = model_.step(*dataset_, step);
    step.count_passes(own_part(step, dataset_->size(Split::kTrain)).size(0));
    if (!first) step.record("train/log_likelihood", log_p);
  }
};

}  // namespace
MARGINALIA_PLUGIN(Circuit, MixtureOfTrees);
