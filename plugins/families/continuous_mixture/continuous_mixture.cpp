/// \file
/// Continuous mixture of tractable models: a latent vector z, integrated by N quasi-random points.
///
///   p(x_S) = 1/N sum_j prod_{i in S} p_i(x_i | z_j),   z_j = Phi^-1(u_j),  p_i(. | z) a decoder's
/// For fixed points this is a mixture of N components: every marginal is one matrix product of the
/// one-hot of what is known and the components' log-probabilities, a conditional is a second one;
/// all are exact and agree with each other by construction. Training moves the points at random
/// round the torus in each step, so that the integral over z is learned and not N components;
/// answers take points_test of them, which stay where they are.
/// From data it maximises log p(x). From an energy f it minimises KL(p || f / Z) by REINFORCE on
/// its own samples, with the exact log p.
/// Source: Correia, Gala, Quaeghebeur, de Campos and Peharz (2023), AAAI, arXiv:2209.10584.
#include <algorithm>
#include <cmath>
#include <mutex>

#include <torch/types.h>

#include <marginalia/family.h>
#include <marginalia/inference/exact_model.h>
#include <marginalia/inference/masking.h>
#include <marginalia/plugin.h>
#include <marginalia/precision.h>

#include "decoder.h"
#include "leaves.h"
#include "points.h"
#include "shared/families/objectives.h"
#include "shared/families/reinforce.h"

namespace {

using namespace marginalia;

class ContinuousMixture final : public Family {
 public:
  static constexpr const char* kName = "continuous_mixture";
  static constexpr const char* kSummary =
      "mixture over a continuous latent, integrated by quasi-random points: exact in one pass";
  static constexpr const char* kFormula = "p(x_S) = 1/N sum_j prod_{i in S} p_i(x_i | z_j)";
  static constexpr const char* kSource = "Correia et al. (2023), arXiv:2209.10584";
  static constexpr const char* kExample =
      R"({"latents": 2, "hidden": 16, "points": 32, "points_test": 64})";

  using Objective = std::variant<objectives::ByData, objectives::Likelihood, objectives::Reinforce>;

  struct Params {
    std::int64_t latents = 8, hidden = 256, layers = 3, points = 1024, points_test = 16384;
    Objective objective;
    std::string leaves = "independent";
    bool bfloat16 = false;
    void visit(ParamVisitor& p) {
      p("latents", latents, {.doc = "d, dimension of z", .min = 1, .max = 1000});
      p("hidden", hidden, {.doc = "H, width of the decoder", .min = 1});
      p("layers", layers, {.doc = "of the decoder, before its output", .min = 1});
      p("points", points,
        {.doc = "N of a training step; best a power of two", .min = 1, .max = 1 << 20});
      p("points_test", points_test,
        {.doc = "N of every answer; best a power of two", .min = 1, .max = 1 << 20});
      p.choice("objective", objective, "what is maximised, or minimised");
      p("leaves", leaves,
        {.doc = "p(x | z): variables independent, or along the Chow-Liu tree of the dataset",
         .one_of = {"independent", "chow_liu"}});
      p("bfloat16", bfloat16,
        {.doc = "hidden products of the decoder in bfloat16 while it trains, though "
                "training.precision be float32"});
    }
  };

  ContinuousMixture(const Params& params, const FamilyContext& context)
      : params_(params),
        space_(context.space),
        device_(context.device),
        precision_(choose_precision(params, context)),
        from_energy_(std::holds_alternative<objectives::Reinforce>(
            objectives::settled(params.objective, context))),
        points_(mixture::sobol(params.points, params.latents)) {
    const bool tree = params.leaves == "chow_liu";
    if (tree && !context.dataset)
      throw SpecError("\"leaves\": \"chow_liu\" needs a \"dataset\"; the spec has none");
    const auto fitted = fit_tree(context.dataset, tree);
    leaves_ = tree ? mixture::tree_leaves(space_, fitted) : mixture::independent_leaves(space_);
    decoder_ = std::make_shared<mixture::Decoder>(params.latents, params.hidden, params.layers,
                                                  leaves_->outputs());
    torch::NoGradGuard no_grad;
    decoder_->bias().copy_(leaves_->to_outputs(fitted));
    decoder_->to(device_, type_beside(precision_.training));
  }

  const StateSpace& space() const override { return space_; }
  std::vector<Capability> capabilities() const override {
    return capabilities_of_exact("1, of N points");
  }

  void step(Step& step) override {
    const auto shift = step.stream("family/shift").uniform({1, params_.latents});
    const auto z = mixture::standard_normal(mixture::shifted(points_, shift));
    const auto outputs = decoder_->forward(z.to(device_), precision_.training);
    step.count_passes(params_.points);
    if (from_energy_) return towards_energy(step, outputs);
    step.minimise(-leaves_->log_likelihood(step.batch().to(device_), outputs).mean());
  }

  std::vector<ParameterGroup> parameters() override {
    return {{"decoder", collect_parameters(*decoder_, "model.")}};
  }
  void visit(StateVisitor& v) override {
    v.module("model.", *decoder_);
    leaves_->visit(v);
  }
  void set_training(bool training) override {
    set_type(*decoder_, type_beside(precision_.products(training)));
  }

 private:
  static Precision choose_precision(const Params& params, const FamilyContext& context) {
    auto precision = context.precision;
    if (!params.bfloat16) return precision;
    if (precision.training == torch::kDouble)
      throw SpecError("\"bfloat16\" and \"training.precision\": \"float64\" exclude each other");
    allow_bfloat16();
    precision.training = torch::kBFloat16;
    return precision;
  }

  /// What the components start from: single variables or their tree, by the training rows;
  /// uniform where there are none.
  trees::Tree fit_tree(const Dataset* dataset, bool pairs) const {
    const auto D = space_.dimension(), K = space_.levels();
    if (!dataset)
      return trees::independent({0, torch::zeros({D, K}, torch::kDouble), {}}, space_, 1);
    const auto counts = trees::count_values(*dataset, pairs);
    return pairs ? trees::chow_liu(counts, space_, double(K))
                 : trees::independent(counts, space_, double(K));
  }

  /// x is drawn from the step's own components.
  void towards_energy(Step& step, const Tensor& outputs) const {
    const auto rows = step.batch_size();
    auto& stream = step.stream("family/samples");
    Tensor x;
    {
      torch::NoGradGuard no_grad;
      const auto components = leaves_->components(outputs.to(torch::kCPU));
      x = components->sample(space_.empty().repeat({rows, 1}),
                             stream.integers(params_.points, {rows}), stream);
    }
    const auto log_p = leaves_->log_likelihood(x.to(device_), outputs);
    const auto cost = log_p.detach() - step.energy().log_density(x).to(device_);
    step.record("train/kl_less_log_z", cost.mean().item<double>());
    step.minimise(reinforce(log_p, cost));
  }

  /// The components that answers are made of, renewed when a parameter has changed. The points are
  /// Sobol's, each moved to the middle of its cell.
  std::shared_ptr<const mixture::Components> components() const {
    const std::lock_guard lock(mutex_);  // queries may come from several threads
    std::vector<std::pair<const void*, std::int64_t>> seen;
    for (const auto& parameter : decoder_->parameters())
      seen.emplace_back(parameter.data_ptr(), parameter._version());
    if (components_ && seen == seen_) return components_;
    const auto u = mixture::sobol(params_.points_test, params_.latents);
    const auto z = mixture::standard_normal(u + 0.5 / double(params_.points_test)).to(device_);
    std::vector<Tensor> outputs;
    for (const auto& part : z.split(kPoints))
      outputs.push_back(decoder_->forward(part, precision_.answers).to(torch::kCPU));
    seen_ = std::move(seen);
    return components_ = leaves_->components(torch::cat(outputs));
  }

  /// Calls answer(rows, log p(x_S | z_j) [b, N]) on some rows of `partial` at a time.
  template <class Function>
  void for_rows(const mixture::Components& components, const Tensor& partial,
                const Function& answer) const {
    const auto rows = std::max<std::int64_t>(1, kCells / params_.points_test);
    for (const auto& part : partial.split(rows))
      answer(part, components.log_joint(part));
  }

  Tensor log_marginal(const mixture::Components& components, const Tensor& partial) const {
    std::vector<Tensor> all{torch::empty({0}, torch::kDouble)};
    for_rows(components, partial, [&](const Tensor&, const Tensor& log_joint) {
      all.push_back(log_joint.logsumexp(1) - std::log(double(log_joint.size(1))));
    });
    return torch::cat(all);
  }

  /// log p(x_i = k | x_S); a known variable is what it is.
  Tensor log_conditionals(const mixture::Components& components, const Tensor& partial) const {
    const auto D = space_.dimension(), K = space_.levels();
    std::vector<Tensor> all{torch::empty({0, D, K}, torch::kDouble)};
    for_rows(components, partial, [&](const Tensor& rows, const Tensor& log_joint) {
      const auto p = components.conditionals(rows, log_joint.softmax(1));
      const auto known = (rows != kUnknown).unsqueeze(2);
      const auto as_known = (rows.unsqueeze(2) == torch::arange(K)).to(torch::kDouble);
      all.push_back(torch::where(known, as_known, p / p.sum(2, true)).log());
    });
    return torch::cat(all);
  }

  /// A component by its posterior weight, then the variables.
  Tensor sample(const mixture::Components& components, const Tensor& partial,
                Stream& stream) const {
    std::vector<Tensor> all{torch::empty({0, space_.dimension()}, torch::kLong)};
    for_rows(components, partial, [&](const Tensor& rows, const Tensor& log_joint) {
      const auto below = log_joint.softmax(1).cumsum(1);
      const auto u = stream.uniform({rows.size(0), 1}) * below.slice(1, -1);
      const auto chosen = at::searchsorted(below, u, false, /*right=*/true).squeeze(1);
      all.push_back(components.sample(rows, chosen, stream));
    });
    return torch::cat(all);
  }

  Answer compute_answer(const Query& query, Stream& stream) const override {
    const auto all = components();
    const ExactModel model{
        .log_marginal = [&](const Tensor& x) { return log_marginal(*all, x); },
        .log_conditionals = [&](const Tensor& x) { return log_conditionals(*all, x); },
        .sample = [&](const Tensor& x, Stream& s) { return sample(*all, x, s); }};
    return answer_exactly(model, query, stream);
  }

  static constexpr std::int64_t kPoints = 4096;    // a pass of the decoder
  static constexpr std::int64_t kCells = 1 << 22;  // rows x points at once

  Params params_;
  StateSpace space_;
  at::Device device_;
  Precision precision_;
  bool from_energy_;
  Tensor points_;  // float64 [N, d]
  std::unique_ptr<mixture::Leaves> leaves_;
  std::shared_ptr<mixture::Decoder> decoder_;
  mutable std::mutex mutex_;
  mutable std::vector<std::pair<const void*, std::int64_t>> seen_;
  mutable std::shared_ptr<const mixture::Components> components_;
};

}  // namespace
MARGINALIA_PLUGIN(ContinuousMixture);
