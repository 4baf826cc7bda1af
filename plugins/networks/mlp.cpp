/// \file
/// Residual perceptrons: one tower per head, on the one-hot of each variable's K+1 readings.
///
///   h_1     = W_1 [onehot(x), prior's p(x_i | x_S)] + b_1    x_i in {unknown, 0, ..., K-1}
///   h_{l+1} = h_l + leaky_relu(W_l h_l + b_l)              l = 2..layers, W_l [H, H]
///   log f(x_S) = w h + c [B]        logits = V h + d [B, D, K]        (+ the prior)
///   position logits = U h + e [B, D]
///
/// B batch, D variables, K levels, H hidden. The towers share nothing, and a head not asked for is
/// not computed.
/// Source: Liu, Ramadge and Adams (2024), arXiv:2310.12920; their "mlp_dual" of the Ising runs.
#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

#include <marginalia/inference/prior.h>
#include <marginalia/kernel.h>
#include <marginalia/network.h>
#include <marginalia/plugin.h>

namespace {
using marginalia::HeadSet, marginalia::Heads, marginalia::NetworkInput, marginalia::SpecError;
using torch::Tensor, torch::autograd::AutogradContext, torch::autograd::tensor_list;

/// Matrix units like multiples of this; oneDNN is six times slower on some odd sizes (1537 rows).
constexpr std::int64_t kTile = 32;
std::int64_t round_up(std::int64_t n) {
  return (n + kTile - 1) / kTile * kTile;
}

/// One weight [H, in] and bias [H] in float32 or float64, with a bfloat16 copy of the weight that
/// is renewed only when the weight has changed: a step evaluates a network several times, updates
/// it once.
class Layer final : public torch::nn::Module {
 public:
  /// is_first: its inputs are features, which come rounded up in bfloat16.
  Layer(std::int64_t in, std::int64_t out, bool is_first) : is_first_(is_first) {
    const auto bound = 1 / std::sqrt(double(in));  // as torch::nn::Linear
    weight = register_parameter("weight", torch::empty({out, in}).uniform_(-bound, bound));
    bias = register_parameter("bias", torch::empty({out}).uniform_(-bound, bound));
  }

  /// The weight in the type of its products; the first in bfloat16 [H, in'], in' = in rounded up.
  Tensor operand(at::ScalarType type) {
    const auto w = weight.detach();
    if (type == w.scalar_type()) return w;
    const std::lock_guard lock(mutex_);  // queries may come from several threads
    if (copy_.defined() && copied_ == w.data_ptr() && version_ == w._version()) return copy_;
    copied_ = w.data_ptr();
    version_ = w._version();
    const auto in = w.size(1);
    return copy_ = at::constant_pad_nd(w.to(type), {0, is_first_ ? round_up(in) - in : 0});
  }

  Tensor weight, bias;

 private:
  bool is_first_;
  std::mutex mutex_;
  const void* copied_ = nullptr;
  std::int64_t version_ = 0;
  Tensor copy_;
};

/// One row of what stands between two products, in one pass over memory: z = p + b,
///   h += leaky_relu(z), x = h                                                          [H]
template <class T>
MARGINALIA_KERNEL void absorb_row(float* h, const T* p, const float* b, T* x, std::int64_t H,
                                  float slope) {
  for (std::int64_t j = 0; j < H; ++j) {
    const float z = float(p[j]) + b[j];
    h[j] += z > 0 ? z : slope * z;
    x[j] = T(h[j]);
  }
}

/// And of its gradient:  g += gx,  gz = g leaky_relu'(z)                                [H]
template <class T>
MARGINALIA_KERNEL void gate_row(float* g, const T* gx, const T* p, const float* b, T* gz,
                                std::int64_t H, float slope) {
  for (std::int64_t j = 0; j < H; ++j) {
    g[j] += float(gx[j]);
    gz[j] = T(float(p[j]) + b[j] > 0 ? g[j] : slope * g[j]);
  }
}

/// Calls row(offset, H, T()) for every row of p [B, H] of T, float or BFloat16, on all threads.
template <class Row>
void for_each_row(const Tensor& p, const Row& row) {
  const auto H = p.size(1), grain = std::max<std::int64_t>(1, 32768 / H);
  at::parallel_for(0, p.size(0), grain, [&](std::int64_t begin, std::int64_t end) {
    for (auto r = begin; r < end; ++r)
      p.scalar_type() == torch::kFloat ? row(r * H, H, float()) : row(r * H, H, at::BFloat16());
  });
}

bool has_kernel(const Tensor& h) {
  return h.is_cpu() && h.scalar_type() == torch::kFloat;
}

/// h += leaky_relu(p + b) in place.  h [B, H], p [B, H]  ->  h in the type of p.
Tensor absorb(Tensor& h, const Tensor& p, const Tensor& b, double slope) {
  if (!has_kernel(h))
    return h.add_(at::leaky_relu(p + b, slope)).to(p.scalar_type(), false, /*copy=*/true);
  const auto x = at::empty_like(p);
  for_each_row(p, [&](std::int64_t i, std::int64_t H, auto type) {
    using T = decltype(type);
    absorb_row(h.data_ptr<float>() + i, p.data_ptr<T>() + i, b.data_ptr<float>(),
               x.data_ptr<T>() + i, H, float(slope));
  });
  return x;
}

/// g += gx in place.  g [B, H]  ->  the gradient by p, in its type.
Tensor gate(Tensor& g, const Tensor& gx, const Tensor& p, const Tensor& b, double slope) {
  if (!has_kernel(g))
    return at::leaky_relu_backward(g.add_(gx), p + b, slope, false).to(p.scalar_type());
  const auto gz = at::empty_like(p);
  for_each_row(p, [&](std::int64_t i, std::int64_t H, auto type) {
    using T = decltype(type);
    gate_row(g.data_ptr<float>() + i, gx.data_ptr<T>() + i, p.data_ptr<T>() + i,
             b.data_ptr<float>(), gz.data_ptr<T>() + i, H, float(slope));
  });
  return gz;
}

/// The hidden layers as one node of autograd.  x [B, in'] and `operands` [H, in'] in the products'
/// type ->  h [B, H] in that of `parameters`, which are W_1, b_1, W_2, b_2, ...
struct Stack : torch::autograd::Function<Stack> {
  static Tensor forward(AutogradContext* context, Tensor x, at::TensorList parameters,
                        const tensor_list& operands, double slope) {
    tensor_list saved;
    auto h = torch::zeros({x.size(0), parameters[0].size(0)}, parameters[0].options());
    for (std::size_t l = 0; l < operands.size(); ++l) {
      const auto p = x.mm(operands[l].t());
      const auto b = parameters[2 * l + 1].detach();
      saved.insert(saved.end(), {x, p, operands[l], b});
      x = absorb(h, p, b, l == 0 ? 1 : slope);  // the first is linear, onto zero
    }
    context->save_for_backward(std::move(saved));
    context->saved_data["slope"] = slope;
    context->saved_data["in"] = parameters[0].size(1);
    return h;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto slope = context->saved_data["slope"].toDouble();
    const auto in = context->saved_data["in"].toInt();
    const auto layers = saved.size() / 4;
    tensor_list out(1 + 2 * layers + 2);
    auto g = gradients[0].clone(at::MemoryFormat::Contiguous);
    auto gx = at::zeros_like(saved[1]);
    for (auto l = layers; l-- > 0;) {
      const auto &x = saved[4 * l], &p = saved[4 * l + 1], &w = saved[4 * l + 2],
                 &b = saved[4 * l + 3];
      const auto gz = gate(g, gx, p, b, l == 0 ? 1 : slope);
      out[1 + 2 * l] = gz.t().mm(x).narrow(1, 0, l == 0 ? in : x.size(1)).to(b.scalar_type());
      out[2 + 2 * l] = gz.sum(0).to(b.scalar_type());
      if (l > 0) gx = gz.mm(w);
    }
    return out;
  }
};

/// out[k] = w_k . h + b_k for K rows w_k of H weights.
MARGINALIA_KERNEL void project(float* out, const float* w, const float* b, const float* h,
                               std::int64_t K, std::int64_t H) {
  constexpr std::int64_t kLanes = 16;
  for (std::int64_t k = 0; k < K; ++k, w += H) {
    float sum[kLanes] = {};
    std::int64_t j = 0;
    for (; j + kLanes <= H; j += kLanes)
      for (std::int64_t l = 0; l < kLanes; ++l)
        sum[l] += w[j + l] * h[j + l];
    float total = b[k];
    for (std::int64_t l = 0; l < kLanes; ++l)
      total += sum[l];
    for (; j < H; ++j)
      total += w[j] * h[j];
    out[k] = total;
  }
}

/// y += a x
MARGINALIA_KERNEL void add_scaled(float* y, const float* x, float a, std::int64_t H) {
  for (std::int64_t j = 0; j < H; ++j)
    y[j] += a * x[j];
}

/// The logits of one variable a row.  h [B, H], weight [D K, H], bias [D K], variable int64 [B]
/// ->  [B, K], at a D-th of the cost of an output layer for all.
struct OneVariable : torch::autograd::Function<OneVariable> {
  static Tensor forward(AutogradContext* context, const Tensor& h, const Tensor& weight,
                        const Tensor& bias, const Tensor& variable, std::int64_t K) {
    const auto B = h.size(0), H = h.size(1);
    const auto out = torch::empty({B, K}, h.options());
    const auto rows = h.contiguous();
    context->save_for_backward({rows, weight, variable});
    const auto* v = variable.data_ptr<std::int64_t>();
    at::parallel_for(0, B, 64, [&](std::int64_t begin, std::int64_t end) {
      for (auto b = begin; b < end; ++b)
        project(out.data_ptr<float>() + b * K, weight.data_ptr<float>() + v[b] * K * H,
                bias.data_ptr<float>() + v[b] * K, rows.data_ptr<float>() + b * H, K, H);
    });
    return out;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &h = saved[0], &weight = saved[1], &variable = saved[2];
    const auto g = gradients[0].contiguous();
    const auto B = g.size(0), K = g.size(1), H = h.size(1), D = weight.size(0) / K;
    const auto dh = torch::zeros_like(h), dw = torch::zeros_like(weight);
    const auto db = torch::zeros({D * K}, g.options());
    const auto* v = variable.data_ptr<std::int64_t>();
    const auto *slope = g.data_ptr<float>(), *w = weight.data_ptr<float>(),
               *x = h.data_ptr<float>();
    at::parallel_for(0, B, 64, [&](std::int64_t begin, std::int64_t end) {
      for (auto b = begin; b < end; ++b)
        for (std::int64_t k = 0; k < K; ++k)
          add_scaled(dh.data_ptr<float>() + b * H, w + (v[b] * K + k) * H, slope[b * K + k], H);
    });
    at::parallel_for(0, D, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = 0; b < B; ++b) {
        if (v[b] < begin || v[b] >= end) continue;
        for (std::int64_t k = 0; k < K; ++k) {
          const auto row = v[b] * K + k;
          add_scaled(dw.data_ptr<float>() + row * H, x + b * H, slope[b * K + k], H);
          db.data_ptr<float>()[row] += slope[b * K + k];
        }
      }
    });
    return {dh, dw, db, Tensor(), Tensor()};
  }
};

/// One residual perceptron:  one-hot rows [B', in'] in the type of the products  ->  [B', outputs].
class Tower final : public torch::nn::Module {
 public:
  Tower(std::int64_t inputs, std::int64_t hidden, std::int64_t layers, std::int64_t outputs,
        double slope, bool from_zero)
      : slope_(slope) {
    for (std::int64_t l = 1; l <= layers; ++l)
      layers_.push_back(
          register_module("layer" + std::to_string(l),
                          std::make_shared<Layer>(l == 1 ? inputs : hidden, hidden, l == 1)));
    output_ = register_module("output", torch::nn::Linear(hidden, outputs));
    if (from_zero) {
      torch::NoGradGuard no_grad;
      output_->weight.zero_();
      output_->bias.zero_();
    }
  }

  Tensor forward(const Tensor& x) { return output_(hidden(x)); }

  /// The K outputs of one variable in each row.  x [B, in']; variable int64 [B]  ->  [B, K].
  Tensor forward(const Tensor& x, const Tensor& variable, std::int64_t K) {
    const auto h = hidden(x);
    if (has_kernel(h))
      return OneVariable::apply(h, output_->weight, output_->bias, variable.contiguous(), K);
    const auto H = h.size(1);
    const auto w = output_->weight.view({-1, K, H}).index_select(0, variable);
    const auto b = output_->bias.view({-1, K}).index_select(0, variable);
    return torch::bmm(w, h.unsqueeze(2)).squeeze(2) + b;
  }

 private:
  Tensor hidden(const Tensor& x) {
    tensor_list parameters, operands;
    for (const auto& layer : layers_) {
      parameters.insert(parameters.end(), {layer->weight, layer->bias});
      operands.push_back(layer->operand(x.scalar_type()));
    }
    return Stack::apply(x, at::TensorList(parameters), operands, slope_);
  }

  double slope_;
  std::vector<std::shared_ptr<Layer>> layers_;
  torch::nn::Linear output_{nullptr};
};

class Mlp final : public marginalia::Network {
 public:
  static constexpr const char* kName = "mlp";
  static constexpr const char* kSummary = "residual perceptrons, one per head";
  static constexpr const char* kFormula =
      "h_1 = W_1 onehot(x) + b_1;  h_{l+1} = h_l + leaky_relu(W_l h_l + b_l);  head = V h + c";
  static constexpr const char* kSource = "Liu, Ramadge and Adams (2024), arXiv:2310.12920";
  static constexpr const char* kExample = R"({"hidden": 32, "layers": 3})";

  struct Params {
    std::int64_t hidden = 2048, layers = 4, rounds = 8;
    double slope = 0.01;
    std::string prior = "none";
    void visit(marginalia::ParamVisitor& p) {
      p("hidden", hidden, {.doc = "H, width of every layer", .min = 1});
      p("layers", layers, {.doc = "matrices before the output; the first has no skip", .min = 1});
      p("slope", slope, {.doc = "of leaky_relu below zero; 0 is a plain relu", .min = 0, .max = 1});
      p("prior", prior,
        {.doc =
             "what the energy, a tree fitted to the dataset, or the spec's \"prior\" says before "
             "learning (prior.h): an input, and added to the outputs",
         .one_of = {"none", "local", "belief_propagation", "chow_liu", "family"}});
      p("rounds", rounds, {.doc = "of belief propagation", .min = 1});
    }
  };

  Mlp(const Params& params, const marginalia::NetworkContext& context)
      : Network(context), heads_(context.heads & kOffered), width_(context.space.levels() + 1) {
    if (heads_ & marginalia::kLogits) heads_ |= marginalia::kLogitsOfOne;
    if (params.prior != "none")
      prior_ = marginalia::make_prior(context, params.prior, params.rounds);
    const auto D = context.space.dimension(), K = context.space.levels();
    const auto tower = [&](const char* name, std::int64_t outputs) {
      return register_module(
          name, std::make_shared<Tower>(inputs(D), params.hidden, params.layers, outputs,
                                        params.slope, /*from_zero=*/prior_ != nullptr));
    };
    if (heads_ & marginalia::kLogMarginal) marginal_ = tower("marginal", 1);
    if (heads_ & marginalia::kLogits) conditional_ = tower("conditional", D * K);
    if (heads_ & marginalia::kPositionLogits) position_ = tower("position", D);
  }

  HeadSet heads() const override { return heads_; }

 private:
  static constexpr HeadSet kOffered =
      marginalia::kLogMarginal | marginalia::kLogits | marginalia::kPositionLogits;

  Heads compute(const NetworkInput& input, HeadSet wanted) override {
    const auto B = input.partial.size(0);
    const auto prior = prior_ ? prior_->of(input.partial, wanted) : marginalia::Prior{};
    const auto x = features(input.partial, prior);
    Heads out;
    if (wanted & marginalia::kLogMarginal)
      out.log_marginal = marginal_->forward(x).narrow(0, 0, B).squeeze(1);
    if (wanted & marginalia::kLogits) out.logits = logits(x, input, prior);
    if (wanted & marginalia::kLogitsOfOne) out.logits_of_one = logits_of_one(x, input, prior);
    if (wanted & marginalia::kPositionLogits)
      out.position_logits = position_->forward(x).narrow(0, 0, B);
    if (!prior_) return out;
    if (out.log_marginal.defined()) out.log_marginal = out.log_marginal + prior.log_marginal;
    return out;
  }

  /// [B, D, K].
  Tensor logits(const Tensor& x, const NetworkInput& input, const marginalia::Prior& prior) const {
    const auto B = input.partial.size(0), D = input.partial.size(1), K = width_ - 1;
    const auto all = conditional_->forward(x).narrow(0, 0, B).view({B, D, K});
    return prior_ ? all + prior.logits : all;
  }
  /// [B, K], by a D-th of the output layer.
  Tensor logits_of_one(const Tensor& x, const NetworkInput& input,
                       const marginalia::Prior& prior) const {
    const auto B = input.partial.size(0), K = width_ - 1;
    const auto variable = input.variable.to(input.partial.device());
    const auto padded = at::constant_pad_nd(variable, {0, x.size(0) - B});  // as the rows are
    const auto own = conditional_->forward(x, padded, K).narrow(0, 0, B);
    if (!prior_) return own;
    return own + prior.logits.gather(1, variable.view({B, 1, 1}).expand({B, 1, K})).squeeze(1);
  }

  std::int64_t inputs(std::int64_t D) const { return D * (width_ + (prior_ ? width_ - 1 : 0)); }

  /// One at (K+1) i + 1 + x_i of each row, then the prior's probabilities of what is unknown:
  /// partial int64 [B, D]  ->  [B', in'], both rounded up in bfloat16.
  Tensor features(const Tensor& partial, const marginalia::Prior& prior) const {
    const auto B = partial.size(0), D = partial.size(1), in = inputs(D);
    const bool bfloat16 = product_type() == torch::kBFloat16;
    auto x = torch::zeros({bfloat16 ? round_up(B) : B, bfloat16 ? round_up(in) : in},
                          partial.options().dtype(product_type()));
    const auto first = torch::arange(1, D * width_ + 1, width_, partial.options());  // unknown: -1
    x.scatter_(1, partial + first, 1);
    if (prior_) {
      const auto unknown = (partial == marginalia::kUnknown).unsqueeze(2);
      const auto p = torch::where(unknown, marginalia::softmax_levels(prior.logits), 0.0F);
      x.narrow(0, 0, B).narrow(1, D * width_, D * (width_ - 1)).copy_(p.flatten(1));
    }
    return x;
  }

  HeadSet heads_;
  std::int64_t width_;                              // K + 1
  std::unique_ptr<marginalia::PriorSource> prior_;  // null: none
  std::shared_ptr<Tower> marginal_, conditional_, position_;
};

}  // namespace
MARGINALIA_PLUGIN(Mlp);
