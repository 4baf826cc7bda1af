/// \file
/// Masked perceptron with a causal head: each output sees only what stands before it in the order.
///
///   h_1 = act((W_1 * M_1) onehot(x) + b_1);  h_{l+1} = h_l + act((W_l * M_l) h_l + b_l)
///   logits_i = (V * M_V) h + c
/// A hidden unit of degree m sees the first m variables of the order; M lets a unit read units of
/// no higher degree, and variable order_t read units of degree t or less (counting from 0). Made
/// for batches of one order: rows that differ in it are evaluated one by one.
/// Source: Germain et al. (2015), arXiv:1502.03509.
#include <mutex>

#include <torch/nn/module.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/any_order.h>
#include <marginalia/network.h>
#include <marginalia/plugin.h>

namespace {

using namespace marginalia;

class Made final : public Network {
 public:
  static constexpr const char* kName = "made";
  static constexpr const char* kSummary = "masked perceptron along one order";
  static constexpr const char* kFormula =
      "logits_i = (V * M) h, where h sees what stands before i in the order";
  static constexpr const char* kSource = "Germain et al. (2015), arXiv:1502.03509";
  static constexpr const char* kExample = R"({"hidden": 32, "layers": 2})";

  struct Params {
    std::int64_t hidden = 1024, layers = 2;
    double dropout = 0;
    void visit(ParamVisitor& p) {
      p("hidden", hidden, {.doc = "H, units of a layer", .min = 1});
      p("layers", layers, {.doc = "hidden layers, residual from the second on", .min = 1});
      p("dropout", dropout, {.doc = "share of units left out in training", .min = 0, .max = 1});
    }
  };

  Made(const Params& params, const NetworkContext& context)
      : Network(context),
        params_(params),
        dimension_(context.space.dimension()),
        levels_(context.space.levels()) {
    const auto H = params.hidden, inputs = dimension_ * levels_;
    for (std::int64_t l = 0; l < params.layers; ++l)
      add("layer" + std::to_string(l + 1), l == 0 ? inputs : H, H, 1);
    add("output", H, inputs, 0.1);
  }

  HeadSet heads() const override { return kCausalLogits; }

 private:
  void add(const std::string& name, std::int64_t in, std::int64_t out, double scale) {
    const auto spread = scale * std::sqrt(2.0 / double(in));
    weights_.push_back(register_parameter(name + "_weight", torch::randn({out, in}) * spread));
    biases_.push_back(register_parameter(name + "_bias", torch::zeros({out})));
  }

  /// Masks of all weights for one order, [out, in] of ones and zeros. The caller holds mutex_.
  const std::vector<Tensor>& update_masks(const Tensor& order) {
    const bool of_type = !masks_.empty() && masks_[0].dtype() == weights_[0].dtype();
    if (of_type && order_.equal(order)) return masks_;
    masked_.clear();
    const auto rank = to_ranks(order.unsqueeze(0))[0];  // [D]
    const auto of_inputs = rank.repeat_interleave(levels_) + 1;
    const auto H = torch::arange(params_.hidden, order.options());
    const auto degree = dimension_ > 1 ? H.remainder(dimension_ - 1) + 1 : H;
    masks_.clear();
    const auto reads = [this](const Tensor& out, const Tensor& in) {
      return (out.unsqueeze(1) >= in.unsqueeze(0)).to(weights_[0].scalar_type());
    };
    for (std::int64_t l = 0; l < params_.layers; ++l)
      masks_.push_back(reads(degree, l == 0 ? of_inputs : degree));
    masks_.push_back(reads(of_inputs - 1, degree));
    order_ = order.clone();
    return masks_;
  }

  Heads compute(const NetworkInput& input, HeadSet) override {
    const auto &x = input.partial, &order = input.order;
    Heads heads;
    if ((order == order[0]).all().item<bool>()) {
      heads.causal_logits = along(x, order[0]);
      return heads;
    }
    std::vector<Tensor> rows;  // each with masks of its own
    for (std::int64_t b = 0; b < x.size(0); ++b)
      rows.push_back(along(x.slice(0, b, b + 1), order[b]));
    heads.causal_logits = torch::cat(rows);
    return heads;
  }

  /// W * M of all layers; without gradients kept until an order, a type or a weight changes.
  std::vector<Tensor> masked_weights(const Tensor& order, at::ScalarType type) {
    const std::lock_guard lock(mutex_);  // queries may come from several threads
    const auto& masks = update_masks(order);
    std::int64_t version = 0;
    for (const auto& weight : weights_)
      version += weight._version();
    const bool keep = !torch::GradMode::is_enabled();
    const bool kept = !masked_.empty() && version == version_ && masked_[0].dtype() == type;
    if (keep && kept) return masked_;
    std::vector<Tensor> masked;
    for (std::size_t l = 0; l < weights_.size(); ++l)
      masked.push_back((weights_[l] * masks[l]).to(type));
    if (keep) {
      masked_ = masked;
      version_ = version;
    }
    return masked;
  }

  /// x int64 [B, D], order [D]  ->  [B, D, K] of type().
  Tensor along(const Tensor& x, const Tensor& order) {
    const auto weights = masked_weights(order, product_type());
    const auto product = [&](const Tensor& h, std::size_t l) {
      const auto y = torch::linear(h.to(product_type()), weights[l], biases_[l].to(product_type()));
      return l + 1 < weights.size() ? torch::relu(y).to(type()) : y.to(type());
    };
    const auto levels = torch::arange(levels_, x.options());
    Tensor h = (x.unsqueeze(2) == levels).to(type()).flatten(1);
    for (std::size_t l = 0; l + 1 < weights_.size(); ++l) {
      const auto y = product(h, l);
      h = l == 0 ? y : h + y;
      if (params_.dropout > 0) h = torch::dropout(h, params_.dropout, is_training());
    }
    return product(h, weights_.size() - 1).view({x.size(0), dimension_, levels_});
  }

  Params params_;
  std::int64_t dimension_, levels_;
  std::vector<Tensor> weights_, biases_;
  std::mutex mutex_;
  Tensor order_;
  std::vector<Tensor> masks_, masked_;
  std::int64_t version_ = 0;
};

}  // namespace
MARGINALIA_PLUGIN(Made);
