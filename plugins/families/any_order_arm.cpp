/// \file
/// Any-order autoregressive model: one network gives p(x_i | x_S) for every unknown i and any S.
///
///   log p(x | order) = sum_t log p(x_{order t} | x_{order <t})
///   loss = E_x E_S mean over i not in S of -log p(x_i | x_S),  |S| uniform on 0..D-1
/// which is the bound E_order[-log p(x | order)] / D of a uniformly random order. Of a row with
/// gaps S is of the n variables that are known, and the loss counts n / D times. Source: Uria,
/// Murray, Larochelle (2014), arXiv:1310.1757; Hoogeboom et al. (2022), arXiv:2110.02037, eq. 4
/// to 6.
#include <torch/types.h>

#include <marginalia/family.h>
#include <marginalia/inference/any_order.h>
#include <marginalia/inference/masking.h>
#include <marginalia/plugin.h>

#include "shared/families/role_network.h"

namespace {

using namespace marginalia;

class AnyOrderArm final : public Family {
 public:
  static constexpr const char* kName = "any_order_arm";
  static constexpr const char* kSummary = "any-order autoregressive model, from data";
  static constexpr const char* kFormula =
      "log p(x | order) = sum_t log p(x_{order t} | x_{order <t})";
  static constexpr const char* kSource = "Hoogeboom et al. (2022), arXiv:2110.02037, eq. 4 to 6";
  static constexpr std::pair<const char*, unsigned> kRoles[] = {{"conditional", kLogits}};

  struct Params {
    void visit(ParamVisitor&) {}
  };

  AnyOrderArm(const Params&, const FamilyContext& context)
      : space_(context.space), network_(context, "conditional", kLogits) {
    if (!context.dataset) throw SpecError("learns from a \"dataset\"; the spec has none");
  }

  const StateSpace& space() const override { return space_; }
  std::vector<Capability> capabilities() const override { return capabilities_of_conditionals(); }

  void step(Step& step) override {
    const auto batch = step.batch();
    const auto masked = mask_uniformly(batch, step.stream("family/masks"));
    const auto x = step.share(batch), unknown = step.share(masked.unknown);
    const auto log_p = network_.log_conditionals(step.share(masked.partial));
    const auto device = network_.device();
    const auto loss = masked_cross_entropy(log_p, x.to(device), unknown.to(device));
    note(masked.partial, step.gather(loss.detach().to(torch::kCPU, torch::kDouble)));
    step.count_passes(x.size(0));
    const auto known = (x != kUnknown).sum(1).to(loss.options()) / double(x.size(1));
    step.minimise((loss * known).mean());
  }

  std::vector<ParameterGroup> parameters() override { return {network_.group()}; }
  void visit(StateVisitor& v) override {
    network_.visit(v);
    v("model.loss_by_size", loss_by_size_);
  }
  void set_training(bool training) override { network_->train(training); }
  std::string why_not_data_parallel() const override { return ""; }

 private:
  Answer compute_answer(const Query& query, Stream& stream) const override {
    return answer_from_conditionals(network_.conditionals(), query, stream,
                                    {.colours = network_->colours(), .loss = smooth_loss()});
  }

  /// The moving mean of each size |S| seen: nats a variable, what blocks of samples are chosen by.
  void note(const Tensor& partial, const Tensor& loss) {
    const auto D = space_.dimension();
    if (!loss_by_size_.defined())
      loss_by_size_ = torch::full({D}, space_.log_states() / double(D), torch::kDouble);
    const auto size = (partial != kUnknown).sum(1);
    const auto mean = loss_by_size_.index({size});
    loss_by_size_.index_put_({size}, mean + kRate * (loss - mean));
  }

  /// loss_by_size made to fall with |S|, as the true one does: its running minimum.
  std::vector<double> smooth_loss() const {
    if (!loss_by_size_.defined()) return {};
    const auto falling = std::get<0>(loss_by_size_.cummin(0)).contiguous();
    return {falling.data_ptr<double>(), falling.data_ptr<double>() + falling.numel()};
  }

  static constexpr double kRate = 0.05;

  StateSpace space_;
  RoleNetwork network_;
  Tensor loss_by_size_;  // float64 [D]
};

}  // namespace
MARGINALIA_PLUGIN(AnyOrderArm);
