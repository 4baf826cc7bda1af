/// \file
/// Transformer encoder on strings, pre-normalised, with a marginal head on its pooled features.
///
///   h_i = table[x_i + 1] + P(i)                                  x_i = -1 where unknown
///   h  += O softmax(q k^T / sqrt(C/H)) v,   q, k, v of norm(h);   h += W_2 gelu(W_1 norm(h))
///   logits_i = MLP(norm(h_i))                                                      [B, D, K]
///   log f(x_S) = sum_i u . m_i + MLP(mean_i m_i),  m = norm(layers'(h))            [B]
///
/// The causal head reads x along an order, each token beside the position that comes next, under a
/// triangular mask: one pass gives log p(x_{order t} | x_{order <t}) for every t. With channels
/// 768, depth 12, heads 12 it is the network of the paper's text and molecules (whose marginal head
/// has no sum and no layers of its own). Sources: Vaswani et al. (2017), arXiv:1706.03762; Xiong et
/// al. (2020), arXiv:2002.04745 (normalising first); Su et al. (2021), arXiv:2104.09864 (rotary
/// positions); Liu, Ramadge, Adams (2024), arXiv:2310.12920, app. C.
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/network.h>
#include <marginalia/plugin.h>

#include "fused.h"

namespace {

using namespace marginalia;
using torch::nn::Module;
using transformer::attention;

constexpr double kLongestPeriod = 10000;

/// y = x W^T + b, in the type of x, whatever that of the weights.
class Dense final : public Module {
 public:
  Dense(std::int64_t in, std::int64_t out, double scale = 1) {
    const auto spread = scale / std::sqrt(double(in));
    weight_ = register_parameter("weight", torch::randn({out, in}) * spread);
    bias_ = register_parameter("bias", torch::zeros({out}));
  }
  Tensor forward(const Tensor& x) const {
    return torch::linear(x, weight_.to(x.scalar_type()), bias_.to(x.scalar_type()));
  }

 private:
  Tensor weight_, bias_;
};

class Norm final : public Module {
 public:
  explicit Norm(std::int64_t channels) {
    weight_ = register_parameter("weight", torch::ones({channels}));
    bias_ = register_parameter("bias", torch::zeros({channels}));
  }
  Tensor forward(const Tensor& x) const {
    return torch::layer_norm(x, {x.size(-1)}, weight_, bias_);
  }

 private:
  Tensor weight_, bias_;
};

/// gelu between dense layers; the sizes of all.
class Perceptron final : public Module {
 public:
  Perceptron(const std::vector<std::int64_t>& sizes, double last_scale) {
    for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
      const auto scale = l + 2 == sizes.size() ? last_scale : 1.0;
      layers_.push_back(register_module(std::to_string(l),
                                        std::make_shared<Dense>(sizes[l], sizes[l + 1], scale)));
    }
  }
  Tensor forward(Tensor x) const {
    for (std::size_t l = 0; l < layers_.size(); ++l)
      x = layers_[l]->forward(l == 0 ? x : transformer::gelu(x));
    return x;
  }

 private:
  std::vector<std::shared_ptr<Dense>> layers_;
};

/// cos and sin of positions at geometric frequencies, [..., width / 2] of `type` each.
struct Waves {
  Tensor cos, sin;
};
Waves waves(const Tensor& position, std::int64_t width, at::ScalarType type) {
  const auto half = width / 2;
  const auto exponent = torch::arange(half, position.options().dtype(type)) / double(half);
  const auto angle = position.to(type).unsqueeze(-1) * (-std::log(kLongestPeriod) * exponent).exp();
  return {angle.cos(), angle.sin()};
}

struct Style {
  std::int64_t channels, heads, widening;
  double dropout;
};

class Layer final : public Module {
 public:
  explicit Layer(const Style& style) : style_(style) {
    const auto C = style.channels, wide = C * style.widening;
    norm1_ = register_module("norm1", std::make_shared<Norm>(C));
    project_ = register_module("project", std::make_shared<Dense>(C, 3 * C));
    out_ = register_module("out", std::make_shared<Dense>(C, C, 0.2));
    norm2_ = register_module("norm2", std::make_shared<Norm>(C));
    widen_ = register_module("widen", std::make_shared<Dense>(C, wide));
    narrow_ = register_module("narrow", std::make_shared<Dense>(wide, C, 0.2));
  }

  /// h [B, L, C]; products in `type`; `rotary`: positions, or undefined.
  Tensor forward(const Tensor& h, at::ScalarType type, const Waves& rotary, bool causal) {
    const auto mixed = attention(project_->forward(norm1_->forward(h).to(type)), rotary.cos,
                                 rotary.sin, style_.heads, causal);
    const auto middle = h + dropped(out_->forward(mixed));
    const auto wide = transformer::gelu(widen_->forward(norm2_->forward(middle).to(type)));
    return middle + dropped(narrow_->forward(wide));
  }

 private:
  Tensor dropped(const Tensor& x) const {
    return style_.dropout > 0 ? torch::dropout(x, style_.dropout, is_training()) : x;
  }

  Style style_;
  std::shared_ptr<Norm> norm1_, norm2_;
  std::shared_ptr<Dense> project_, out_, widen_, narrow_;
};

class Layers final : public Module {
 public:
  Layers(std::int64_t depth, const Style& style) {
    for (std::int64_t l = 0; l < depth; ++l)
      layers_.push_back(register_module(std::to_string(l), std::make_shared<Layer>(style)));
  }
  Tensor forward(Tensor h, at::ScalarType type, const Waves& rotary, bool causal) const {
    for (const auto& layer : layers_)
      h = layer->forward(h, type, rotary, causal);
    return h;
  }

 private:
  std::vector<std::shared_ptr<Layer>> layers_;
};

/// The marginal head: layers of its own, a sum over positions and a dense end on what is pooled.
class Marginal final : public Module {
 public:
  Marginal(std::int64_t depth, const Style& style, bool class_token) : class_token_(class_token) {
    const auto C = style.channels, wide = C * style.widening;
    layers_ = register_module("layers", std::make_shared<Layers>(depth, style));
    norm_ = register_module("norm", std::make_shared<Norm>(C));
    dense_ = register_module(
        "dense", std::make_shared<Perceptron>(std::vector<std::int64_t>{C, wide, wide, 1}, 0.2));
    sum_ = register_parameter("sum", torch::zeros({C}));
  }
  Tensor forward(const Tensor& h, at::ScalarType type, const Waves& rotary) const {
    const auto m = norm_->forward(layers_->forward(h, type, rotary, false));  // [B, L, C]
    const auto pooled = class_token_ ? m.select(1, 0) : m.mean(1);
    return torch::matmul(m, sum_).sum(1) + dense_->forward(pooled).squeeze(1);
  }

 private:
  bool class_token_;
  std::shared_ptr<Layers> layers_;
  std::shared_ptr<Norm> norm_;
  std::shared_ptr<Perceptron> dense_;
  Tensor sum_;
};

class Transformer final : public Network {
 public:
  static constexpr const char* kName = "transformer";
  static constexpr const char* kSummary =
      "transformer encoder on strings, with pooled marginals and a causal head";
  static constexpr const char* kFormula =
      "logits_i = MLP(norm(h_i)),  log f(x_S) = sum_i u . m_i + MLP(mean_i m_i)";
  static constexpr const char* kSource =
      "Vaswani et al. (2017), arXiv:1706.03762; Liu, Ramadge, Adams (2024), arXiv:2310.12920, "
      "app. C";
  static constexpr const char* kExample =
      R"({"channels": 16, "depth": 2, "heads": 2, "widening": 2, "marginal_depth": 1})";

  struct Params {
    std::int64_t channels = 256, depth = 6, heads = 4, widening = 4, marginal_depth = 0;
    std::string positions = "sinusoidal", pooling = "mean";
    double dropout = 0;
    void visit(ParamVisitor& p) {
      p("channels", channels, {.doc = "C, features of a position", .min = 2});
      p("depth", depth, {.doc = "layers of attention and perceptron", .min = 1});
      p("heads", heads, {.doc = "H, of attention; divides C", .min = 1});
      p("widening", widening, {.doc = "of C inside the perceptrons", .min = 1});
      p("marginal_depth", marginal_depth,
        {.doc = "layers that the marginal head has of its own; 0, as published", .min = 0});
      p("positions", positions,
        {.doc = "added to the input, or turning queries and keys",
         .one_of = {"sinusoidal", "rotary"}});
      p("pooling", pooling,
        {.doc = "of the marginal head: mean over positions, or a token of its own",
         .one_of = {"mean", "class"}});
      p("dropout", dropout, {.doc = "share of features left out in training", .min = 0, .max = 1});
    }
  };

  Transformer(const Params& params, const NetworkContext& context)
      : Network(context),
        params_(params),
        levels_(context.space.levels()),
        heads_(context.heads & kOffered) {
    const auto C = params.channels;
    table_ = register_parameter("table", torch::randn({levels_ + 1, C}));
    if (params.pooling == "class") class_ = register_parameter("class", torch::randn({C}));
    layers_ = register_module("layers", std::make_shared<Layers>(params.depth, read_style(params)));
    if (heads_ & (kLogits | kCausalLogits)) {
      norm_ = register_module("norm", std::make_shared<Norm>(C));
      head_ = register_module(
          "head", std::make_shared<Perceptron>(std::vector<std::int64_t>{C, C, C, levels_}, 0.2));
    }
    if (heads_ & kLogMarginal)
      marginal_ = register_module(
          "marginal", std::make_shared<Marginal>(params.marginal_depth, read_style(params),
                                                 params.pooling == "class"));
  }

  HeadSet heads() const override { return heads_; }

 private:
  static constexpr HeadSet kOffered = kLogits | kLogMarginal | kCausalLogits;

  static Style read_style(const Params& params) {
    if (params.channels % (2 * params.heads) != 0)
      throw SpecError("\"channels\" must be a multiple of twice \"heads\"");
    return {params.channels, params.heads, params.widening, params.dropout};
  }

  bool rotary() const { return params_.positions == "rotary"; }
  std::int64_t extra() const { return class_.defined() ? 1 : 0; }

  /// Adds P(position) [L or B x L, C] to h, or gives the angles for attention.
  Waves place(Tensor& h, const Tensor& position) const {
    if (rotary()) return waves(position, params_.channels / params_.heads, type());
    const auto w = waves(position, params_.channels, type());
    h = h + torch::cat({w.sin, w.cos}, -1);
    return {};
  }

  Tensor compute_logits(const Tensor& h) const { return head_->forward(norm_->forward(h)); }

  Heads compute(const NetworkInput& input, HeadSet wanted) override {
    Heads heads;
    if (wanted & kCausalLogits) heads.causal_logits = causal(input);
    if (!(wanted & (kLogits | kLogMarginal))) return heads;
    const auto& x = input.partial;
    auto h = torch::embedding(table_, x + 1);  // [B, D, C]
    if (class_.defined()) h = torch::cat({class_.expand({x.size(0), 1, -1}), h}, 1);
    const auto rotary_waves = place(h, torch::arange(h.size(1), x.options()));
    h = layers_->forward(h, product_type(), rotary_waves, false);
    if (wanted & kLogits) heads.logits = compute_logits(h.slice(1, extra()));
    if (wanted & kLogMarginal)
      heads.log_marginal = marginal_->forward(h, product_type(), rotary_waves);
    return heads;
  }

  /// At slot t: the token revealed before (or unknown, at the start), beside the position of the
  /// next one; then back from slots to positions.
  Tensor causal(const NetworkInput& input) {
    const auto &x = input.partial, &order = input.order;
    const auto along = x.gather(1, order);
    const auto before =
        torch::cat({torch::full_like(along.slice(1, 0, 1), kUnknown), along.slice(1, 0, -1)}, 1);
    auto h = torch::embedding(table_, before + 1);
    const auto rotary_waves = place(h, order);
    h = compute_logits(layers_->forward(h, product_type(), rotary_waves, true));  // [B, slot, K]
    const auto slot = torch::empty_like(order).scatter_(
        1, order, torch::arange(order.size(1), order.options()).expand_as(order).contiguous());
    return h.gather(1, slot.unsqueeze(2).expand({-1, -1, h.size(2)}));
  }

  Params params_;
  std::int64_t levels_;
  HeadSet heads_;
  std::shared_ptr<Layers> layers_;
  Tensor table_, class_;
  std::shared_ptr<Norm> norm_;
  std::shared_ptr<Perceptron> head_;
  std::shared_ptr<Marginal> marginal_;
};

}  // namespace
MARGINALIA_PLUGIN(Transformer);
