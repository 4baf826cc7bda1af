/// \file
/// The two classic baselines with exact marginals, fitted by counting: independent variables, and
/// the tree of Chow and Liu.
///
///   p(x) = prod_i p(x_i)            p(x) = prod_i p(x_i | x_parent(i))
/// Every marginal, conditional and completion is exact and takes time linear in D.
/// Source: Chow and Liu (1968), IEEE Trans. Inf. Theory 14, 462.
#include <torch/types.h>

#include <marginalia/family.h>
#include <marginalia/inference/exact_model.h>
#include <marginalia/plugin.h>

#include <marginalia/inference/tree.h>

#include "shared/families/over_ranks.h"

namespace {

using namespace marginalia;

class TreeFamily : public Family {
 public:
  struct Params {
    double smoothing = 0;
    void visit(ParamVisitor& p) {
      p("smoothing", smoothing,
        {.doc = "a, rows added to the N of the data, spread evenly over all values; 0: the largest "
                "K_i",
         .min = 0.0});
    }
  };

  TreeFamily(const Params& params, const FamilyContext& context, bool pairs)
      : space_(context.space),
        dataset_(context.dataset),
        smoothing_(params.smoothing > 0 ? params.smoothing : double(context.space.levels())),
        pairs_(pairs) {
    if (!dataset_) throw SpecError("learns from a \"dataset\"; the spec has none");
  }

  const StateSpace& space() const override { return space_; }
  std::vector<Capability> capabilities() const override {
    auto all = capabilities_of_exact("1, without a network");
    all.push_back({QueryKind::kMaxProbable, "max_product", Status::kExact, "1, without a network",
                   Route::kOnePass});
    return all;
  }

  /// The first step counts the training split; there is nothing left for others, but where a tree
  /// is learned from rows with gaps: each is then a step of EM on the edges of the first.
  void step(Step& step) override {
    if (tree_.p.defined()) {
      if (pairs_ && dataset_->has_gaps()) improve(step);
      return;
    }
    const auto counts = count(step);
    tree_ = pairs_ ? trees::chow_liu(counts, space_, smoothing_)
                   : trees::independent(counts, space_, smoothing_);
  }

  std::vector<ParameterGroup> parameters() override { return {}; }
  void visit(StateVisitor& v) override {
    v("model.parent", tree_.parent);
    v("model.order", tree_.order);
    v("model.p", tree_.p);
  }
  void set_training(bool) override {}
  std::string why_not_data_parallel() const override { return ""; }

 private:
  /// Calls at(x) with this process's part of the training rows.
  template <class Function>
  void for_own_rows(const Step& step, const Function& at) const {
    constexpr std::int64_t kRows = 8192;
    for (const auto& some : own_part(step, dataset_->size(Split::kTrain)).split(kRows))
      at(dataset_->rows(Split::kTrain, some));
  }

  trees::Counts count(Step& step) const {
    trees::Counts counts;
    for_own_rows(step, [&](const Tensor& x) { trees::add(counts, x, space_.levels(), pairs_); });
    counts.rows = step.sum(torch::tensor(counts.rows, torch::kDouble)).item<double>();
    counts.single = step.sum(counts.single);
    if (pairs_) counts.pairs = step.sum(counts.pairs);
    return counts;
  }

  /// A step of EM: the pairs of each edge that are to be expected, gaps summed out.
  void improve(Step& step) {
    auto pairs = torch::zeros_like(tree_.p);
    for_own_rows(step, [&](const Tensor& x) { pairs += trees::expected_pairs(tree_, x); });
    tree_ = trees::with_pairs(tree_, step.sum(pairs), space_, smoothing_);
  }

  Answer compute_answer(const Query& query, Stream& stream) const override {
    if (!tree_.p.defined()) throw Error("not trained yet: it takes one step");
    const ExactModel model{
        .log_marginal = [this](const Evidence& e) { return trees::log_marginal(tree_, e); },
        .log_conditionals = [this](const Evidence& e) { return trees::log_conditionals(tree_, e); },
        .sample = [this](const Evidence& e, Stream& s) { return trees::sample(tree_, e, s); },
        .most_probable = [this](const Tensor& x) { return trees::most_probable(tree_, x); },
        .most_probable_status = Status::kExact};
    return answer_exactly(model, query, stream);
  }

  StateSpace space_;
  const Dataset* dataset_;
  double smoothing_;
  bool pairs_;
  trees::Tree tree_;
};

class Independent final : public TreeFamily {
 public:
  static constexpr const char* kName = "independent";
  static constexpr const char* kSummary = "independent variables: the floor of every table";
  static constexpr const char* kFormula = "p(x_i = k) = (n_ik + a / K_i) / (N + a)";
  Independent(const Params& params, const FamilyContext& context)
      : TreeFamily(params, context, false) {}
};

class ChowLiu final : public TreeFamily {
 public:
  static constexpr const char* kName = "chow_liu";
  static constexpr const char* kSummary = "the most likely tree of variables, exact";
  static constexpr const char* kFormula =
      "p(x) = prod_i p(x_i | x_parent(i)), a maximum spanning tree of mutual informations";
  static constexpr const char* kSource = "Chow and Liu (1968), IEEE Trans. Inf. Theory 14, 462";
  ChowLiu(const Params& params, const FamilyContext& context) : TreeFamily(params, context, true) {}
};

}  // namespace
MARGINALIA_PLUGIN(Independent, ChowLiu);
