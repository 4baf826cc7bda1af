/// \file
/// Continuous mixture of tractable models: a latent vector z, integrated by N quasi-random points.
///
///   p(x_S) = 1/N sum_j prod_{i in S} p_i(x_i | z_j),   z_j = Phi^-1(u_j),  p_i(. | z) a decoder's
/// For fixed points this is a mixture of N components: every marginal is one matrix product of the
/// one-hot of what is known and the components' log-probabilities, a conditional is a second one;
/// all are exact and agree with each other by construction. Training moves the points at random
/// round the torus in each step, so that the integral over z is learned and not N components;
/// answers take points_test of them, which stay where they are, or are trained last, with a weight
/// each (latent optimisation, sect. 3.2 of the source).
/// From data it maximises log p(x). From an energy f it minimises KL(p || f / Z) by REINFORCE on
/// its own samples, with the exact log p.
/// Source: Correia, Gala, Quaeghebeur, de Campos and Peharz (2023), AAAI, arXiv:2209.10584.
#include <algorithm>
#include <cmath>
#include <mutex>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/family.h>
#include <marginalia/inference/exact_model.h>
#include <marginalia/inference/masking.h>
#include <marginalia/plugin.h>
#include <marginalia/precision.h>

#include "decoder.h"
#include "leaves.h"
#include "params.h"
#include "points.h"
#include "scales.h"
#include "shared/families/reinforce.h"

namespace {

using namespace marginalia;

/// The points that answers are made of where they are trained.
class TrainedPoints final : public torch::nn::Module {
 public:
  explicit TrainedPoints(const Tensor& start)
      : z(register_parameter("z", start)),
        weight_(register_parameter("weight", torch::zeros({start.size(0)}, start.options()))) {}
  Tensor log_weight(at::ScalarType type) const { return weight_.to(type).log_softmax(0); }

  Tensor z;  // [N, d]

 private:
  Tensor weight_;  // log w up to a constant, [N]
};

class ContinuousMixture final : public Family {
 public:
  static constexpr const char* kName = "continuous_mixture";
  static constexpr const char* kSummary =
      "mixture over a continuous latent, integrated by quasi-random points: exact in one pass";
  static constexpr const char* kFormula = "p(x_S) = 1/N sum_j prod_{i in S} p_i(x_i | z_j)";
  static constexpr const char* kSource = "Correia et al. (2023), arXiv:2209.10584";
  static constexpr const char* kExample =
      R"({"latents": 2, "hidden": 16, "points": 32, "points_test": 64})";

  using Params = mixture::Params;

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
    if (tree) need_complete_rows(context.dataset);
    const auto fitted = fit_tree(context.dataset, tree);
    leaves_ = tree ? mixture::tree_leaves(space_, fitted) : mixture::independent_leaves(space_);
    decoder_ = std::make_shared<mixture::Decoder>(params.latents, params.hidden, params.layers,
                                                  leaves_->outputs(), basis_of(context.dataset));
    const auto type = type_beside(precision_.training);
    {
      torch::NoGradGuard no_grad;
      decoder_->bias().copy_(leaves_->to_outputs(fitted));
      decoder_->to(device_, type);
    }
    if (!std::holds_alternative<mixture::LatentOptimisation>(params.refinement)) return;
    if (from_energy_)
      throw SpecError("\"refinement\": \"latent_optimisation\" is of the likelihood of data");
    trained_ = std::make_shared<TrainedPoints>(test_points().to(device_, type));
  }

  const StateSpace& space() const override { return space_; }
  std::vector<Capability> capabilities() const override {
    auto all = capabilities_of_exact("1, of N points");
    all.push_back(capability_of_search());
    all.push_back({QueryKind::kMaxProbable, "max_product", Status::kLower, "1, of N points",
                   Route::kOnePass});
    return all;
  }

  void step(Step& step) override {
    if (trained_) {
      const auto begin = std::get<mixture::LatentOptimisation>(params_.refinement).begin;
      const bool refining = step.progress() >= begin;
      step.set_stage(refining ? begin : 0, refining ? 1 : begin);
      if (refining) return refine(step);
    }
    const auto shift = step.stream("family/shift").uniform({1, params_.latents});
    const auto z = mixture::standard_normal(mixture::shifted(points_, shift));
    const auto outputs = decoder_->forward(z.to(device_), precision_.training);
    step.count_passes(params_.points);
    if (from_energy_) return towards_energy(step, outputs);
    const auto x = step.share(step.batch()).to(device_);
    step.minimise(-leaves_->log_likelihood(x, outputs).mean(), "decoder");
  }

  std::vector<ParameterGroup> parameters() override {
    std::vector<ParameterGroup> groups{{"decoder", collect_parameters(*decoder_, "model.")}};
    if (trained_) groups.push_back({"points", collect_parameters(*trained_, "model.points.")});
    return groups;
  }
  void visit(StateVisitor& v) override {
    v.module("model.", *decoder_);
    if (trained_) v.module("model.points.", *trained_);
    leaves_->visit(v);
  }
  void set_training(bool training) override {
    const auto type = type_beside(precision_.products(training));
    set_type(*decoder_, type);
    if (trained_) set_type(*trained_, type);
  }
  std::string why_not_data_parallel() const override { return ""; }

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

  /// Undefined where log-odds are of each level by itself.
  Tensor basis_of(const Dataset* dataset) const {
    const auto* const curves = std::get_if<mixture::Polynomials>(&params_.numbers);
    if (!curves) return {};
    if (params_.leaves == "chow_liu")
      throw SpecError("\"numbers\": \"polynomials\" is of independent leaves, not of \"leaves\": "
                      "\"chow_liu\"");
    const auto ordered = dataset ? dataset->ordered() : Tensor();
    if (!ordered.defined())
      throw SpecError("\"numbers\": \"polynomials\" needs a \"dataset\" that knows which of its "
                      "variables are numbers, as csv does");
    if (ordered.scalar_type() != torch::kBool ||
        ordered.sizes() != at::IntArrayRef({space_.dimension(), space_.levels()}))
      throw Error(fmt::format("{}: ordered() must be bool [{}, {}]", dataset->label(),
                              space_.dimension(), space_.levels()));
    const auto counts = trees::count_values(*dataset, false);
    return mixture::scale_basis(space_, counts.single, ordered, curves->degree);
  }

  /// Sobol's points, each moved to the middle of its cell: float64 [points_test, d].
  Tensor test_points() const {
    const auto u = mixture::sobol(params_.points_test, params_.latents);
    return mixture::standard_normal(u + 0.5 / double(params_.points_test));
  }

  void refine(Step& step) const {
    for (auto& parameter : decoder_->parameters())
      parameter.set_requires_grad(false);
    const auto outputs = decoder_->forward(trained_->z, precision_.training);
    step.count_passes(params_.points_test);
    const auto x = step.share(step.batch()).to(device_);
    step.minimise(
        -leaves_->log_likelihood(x, outputs, trained_->log_weight(outputs.scalar_type())).mean(),
        "points");
  }

  /// x is drawn from the step's own components.
  void towards_energy(Step& step, const Tensor& outputs) const {
    const auto rows = step.share_of(step.batch_size());
    auto& stream = step.own_stream("family/samples");
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
    step.minimise(reinforce(step, log_p, cost), "decoder");
  }

  /// What answers are made of.
  struct Mixture {
    std::unique_ptr<mixture::Components> components;
    Tensor log_weight;  // float64 [N]
  };

  /// The mixture, renewed when a parameter has changed.
  std::shared_ptr<const Mixture> mixture() const {
    torch::NoGradGuard no_grad;
    const std::lock_guard lock(mutex_);  // queries may come from several threads
    auto parameters = decoder_->parameters();
    if (trained_)
      for (const auto& parameter : trained_->parameters())
        parameters.push_back(parameter);
    std::vector<std::pair<const void*, std::int64_t>> seen;
    for (const auto& parameter : parameters)
      seen.emplace_back(parameter.data_ptr(), parameter._version());
    if (mixture_ && seen == seen_) return mixture_;
    const auto z = trained_ ? trained_->z : test_points().to(device_);
    std::vector<Tensor> outputs;
    for (const auto& part : z.split(kPoints))
      outputs.push_back(decoder_->forward(part, precision_.answers).to(torch::kCPU));
    const auto N = params_.points_test;
    const auto log_weight = trained_ ? trained_->log_weight(torch::kDouble).to(torch::kCPU)
                                     : torch::full({N}, -std::log(double(N)), torch::kDouble);
    seen_ = std::move(seen);
    return mixture_ = std::make_shared<Mixture>(
               Mixture{leaves_->components(torch::cat(outputs)), log_weight});
  }

  /// Calls answer(rows, log w_j p(x_S, A | z_j) [b, N]) on some rows of `known` at a time.
  template <class Function>
  void for_rows(const Mixture& mixture, const Evidence& known, at::ScalarType type,
                const Function& answer) const {
    const auto rows = std::max<std::int64_t>(1, kCells / params_.points_test);
    for (const auto& part : known.split(rows)) {
      const auto log_joint = mixture.components->log_joint(part, type);
      answer(part, log_joint + mixture.log_weight.to(log_joint.scalar_type()));
    }
  }

  Tensor log_marginal(const Mixture& mixture, const Evidence& known, at::ScalarType type) const {
    std::vector<Tensor> all{torch::empty({0}, torch::kDouble)};
    for_rows(mixture, known, type, [&](const Evidence&, const Tensor& log_joint) {
      all.push_back(log_joint.logsumexp(1).to(torch::kDouble));
    });
    return torch::cat(all);
  }

  /// log p(x_i = k | x_S, A); a known variable is what it is.
  Tensor log_conditionals(const Mixture& mixture, const Evidence& known,
                          at::ScalarType type) const {
    const auto D = space_.dimension(), K = space_.levels();
    std::vector<Tensor> all{torch::empty({0, D, K}, torch::kDouble)};
    for_rows(mixture, known, type, [&](const Evidence& rows, const Tensor& log_joint) {
      const auto p = mixture.components->conditionals(rows, log_joint.softmax(1));
      all.push_back(log_conditionals_of(p.to(torch::kDouble), rows.partial));
    });
    return torch::cat(all);
  }

  /// A component by its posterior weight, then the variables.
  Tensor sample(const Mixture& mixture, const Evidence& known, Stream& stream) const {
    std::vector<Tensor> all{torch::empty({0, space_.dimension()}, torch::kLong)};
    const auto draw = [&](const Evidence& rows, const Tensor& log_joint) {
      const auto below = log_joint.softmax(1).cumsum(1).expand({rows.rows(), -1}).contiguous();
      const auto u = stream.uniform({rows.rows(), 1}) * below.slice(1, -1);
      const auto chosen = at::searchsorted(below, u, false, /*right=*/true).squeeze(1);
      all.push_back(mixture.components->sample(rows, chosen, stream));
    };
    if (!known.repeats_one()) {
      for_rows(mixture, known, torch::kDouble, draw);
      return torch::cat(all);
    }
    const auto log_joint =
        mixture.components->log_joint(known.once(), torch::kDouble) + mixture.log_weight;
    for (const auto& part : known.split(std::max<std::int64_t>(1, kCells / params_.points_test)))
      draw(part, log_joint);
    return torch::cat(all);
  }

  /// What answer(rows, log max over x_U of w_j p(x_S, x_U | z_j) [b, N]) says of some rows at a
  /// time.
  template <class Function>
  Tensor of_greatest(const Mixture& mixture, const Tensor& partial, const Function& answer) const {
    std::vector<Tensor> all;
    for (const auto& rows : partial.split(std::max<std::int64_t>(1, kCells / params_.points_test)))
      all.push_back(answer(rows, mixture.components->log_greatest(rows) + mixture.log_weight));
    return torch::cat(all);
  }
  /// The greatest w_j p(x_S, x_U | z_j) over both j and x_U.
  Tensor most_probable(const Mixture& mixture, const Tensor& partial) const {
    return of_greatest(mixture, partial, [&](const Tensor& rows, const Tensor& joint) {
      return mixture.components->most_probable(rows, joint.argmax(1));
    });
  }
  Tensor max_bound(const Mixture& mixture, const Tensor& partial) const {
    return of_greatest(mixture, partial,
                       [](const Tensor&, const Tensor& joint) { return joint.logsumexp(1); });
  }

  Answer compute_answer(const Query& query, Stream& stream) const override {
    const auto all = mixture();
    const auto type = query.in_float32 ? torch::kFloat : torch::kDouble;
    const ExactModel model{
        .log_marginal = [&](const Evidence& e) { return log_marginal(*all, e, type); },
        .log_conditionals = [&](const Evidence& e) { return log_conditionals(*all, e, type); },
        .sample = [&](const Evidence& e, Stream& s) { return sample(*all, e, s); },
        .most_probable = [&](const Tensor& x) { return most_probable(*all, x); },
        .max_bound = [&](const Tensor& x) { return max_bound(*all, x); }};
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
  std::shared_ptr<TrainedPoints> trained_;  // null: no refinement
  mutable std::mutex mutex_;
  mutable std::vector<std::pair<const void*, std::int64_t>> seen_;
  mutable std::shared_ptr<const Mixture> mixture_;
};

}  // namespace
MARGINALIA_PLUGIN(ContinuousMixture);
