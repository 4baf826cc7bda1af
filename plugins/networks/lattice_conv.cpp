/// \file
/// Translation-equivariant residual network on a 2-D lattice, with a size-extensive marginal head.
///
///   z = stem(features);  z += conv(relu(conv(relu(z)))), `depth` times          [B, C, H, W]
///   logits_i  = prior logits_i  + (W_c relu(z_i) + b_c)
///   log f(x_S) = prior log f(x_S) + sum_i u_i (w_m . relu(z_i) + b_m)
///
/// u_i is 1 where the prior may be wrong (without a prior: everywhere), so that what physics knows
/// exactly stays exact; heads start at zero, so that training starts from the prior. Being sums
/// over sites, both heads carry over to lattices of any size. Without "means" and "global" a site
/// sees no further than its `sight`, and sites beyond each other's are revealed in one pass.
/// Residual blocks: He et al. (2016), arXiv:1603.05027.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/prior.h>
#include <marginalia/network.h>
#include <marginalia/plugin.h>

namespace {

using namespace marginalia;

/// x with `p` more sites on each side of the last two dimensions: wrapped around, or zero.
torch::Tensor pad(const torch::Tensor& x, std::int64_t p, bool periodic) {
  if (p == 0) return x;
  if (!periodic) return torch::constant_pad_nd(x, {p, p, p, p});
  const auto y = torch::cat({x.slice(2, -p), x, x.slice(2, 0, p)}, 2);
  return torch::cat({y.slice(3, -p), y, y.slice(3, 0, p)}, 3);
}

/// relu, pad, convolve. Its own gradient because that of a padded convolution is again one (with
/// the kernel turned round), which is several times faster than autograd's scatter into the
/// padding.
class LatticeConvolution : public torch::autograd::Function<LatticeConvolution> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight, const torch::Tensor& bias, bool relu,
                               bool periodic) {
    const auto p = weight.size(2) / 2;
    const auto padded = pad(relu ? x.relu() : x, p, periodic);
    const auto w = weight.to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
    context->save_for_backward({padded, w});
    context->saved_data["relu"] = relu;
    context->saved_data["type"] = weight.scalar_type();
    context->saved_data["periodic"] = periodic;
    return torch::conv2d(padded, w, bias.to(x.scalar_type()));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &padded = saved[0], &w = saved[1];
    const auto p = w.size(2) / 2;
    const auto g = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    const auto parts =
        at::convolution_backward(g, padded, w, at::IntArrayRef{w.size(0)}, {1, 1}, {0, 0}, {1, 1},
                                 false, {0, 0}, 1, {false, true, true});
    torch::Tensor gx;
    if (context->needs_input_grad(0)) {
      const auto turned = w.flip({2, 3}).transpose(0, 1).contiguous(at::MemoryFormat::ChannelsLast);
      gx = torch::conv2d(pad(g, p, context->saved_data["periodic"].toBool()), turned);
      if (context->saved_data["relu"].toBool())
        gx = gx * (padded.slice(2, p, -p).slice(3, p, -p) > 0);
    }
    const auto type = context->saved_data["type"].toScalarType();
    return {gx, std::get<1>(parts).to(type), std::get<2>(parts).to(type), {}, {}};
  }
};

class LatticeConv final : public Network {
 public:
  static constexpr const char* kName = "lattice_conv";
  static constexpr const char* kSummary =
      "translation-equivariant residual network with a size-extensive marginal head";
  static constexpr const char* kFormula =
      "logits_i = prior_i + head(z)_i,  log f(x_S) = prior(x_S) + sum_i u_i head(z)_i";
  static constexpr const char* kExample = R"({"channels": 8, "depth": 1})";

  struct Params {
    std::int64_t channels = 32, depth = 2, kernel = 3, rounds = 4;
    std::string boundary = "periodic", prior = "none";
    bool means = true, global = false;
    void visit(ParamVisitor& p) {
      p("channels", channels, {.doc = "C, features of a site", .min = 1});
      p("depth", depth, {.doc = "residual blocks of two convolutions", .min = 0});
      p("kernel", kernel, {.doc = "side of each convolution, odd", .min = 1});
      p("means", means, {.doc = "a site also sees the lattice mean of the input"});
      p("global", global, {.doc = "each block also sees the lattice mean of its features"});
      p("boundary", boundary, {.doc = "of the lattice", .one_of = {"periodic", "open"}});
      p("prior", prior,
        {.doc = "what the energy says before learning (prior.h)",
         .one_of = {"none", "local", "belief_propagation"}});
      p("rounds", rounds, {.doc = "of belief propagation", .min = 1});
    }
  };

  LatticeConv(const Params& params, const NetworkContext& context)
      : Network(context),
        params_(params),
        levels_(context.space.levels()),
        prior_(params.prior == "none" ? nullptr
                                      : make_prior(context, params.prior, params.rounds)) {
    const auto& shape = context.space.shape;
    if (shape.size() > 2)
      throw SpecError("works on lattices of one or two dimensions, not " +
                      std::to_string(shape.size()));
    height_ = shape.size() == 2 ? shape[0] : 1;
    width_ = shape.back();
    if (params.kernel % 2 == 0) throw SpecError("\"kernel\" must be odd");
    if (params.kernel / 2 > std::min(height_, width_))
      throw SpecError("\"kernel\" must not reach past the lattice's smaller side");
    const auto C = params.channels;
    add_convolution("stem", input_channels(), C, 1.0);
    for (std::int64_t block = 0; block < params.depth; ++block) {
      const auto name = "block" + std::to_string(block);
      add_convolution(name + "a", C, C, 1.0);
      add_convolution(name + "b", C, C, 0.5);
      if (params.global)
        mixing_.push_back(
            register_parameter(name + "_global", torch::randn({C, C}) * 0.5 / std::sqrt(C)));
    }
    outputs_ = (context.heads & kLogits ? levels_ : 0) + 1;
    head_ = register_parameter("head_weight", torch::zeros({outputs_, C}));
    head_bias_ = register_parameter("head_bias", torch::zeros({outputs_}));
    if (!params.means && !params.global) colours_ = coloured(sight(context.energy));
  }

  HeadSet heads() const override { return kLogMarginal | kLogits; }
  torch::Tensor colours() const override { return colours_; }

 private:
  void add_convolution(const std::string& name, std::int64_t in, std::int64_t out, double scale) {
    const auto k = params_.kernel;
    const auto spread = scale * std::sqrt(2.0 / double(in * k * k));  // He et al. (2015)
    weights_.push_back(
        register_parameter(name + "_weight", torch::randn({out, in, k, k}) * spread));
    biases_.push_back(register_parameter(name + "_bias", torch::zeros({out})));
  }

  bool periodic() const { return params_.boundary == "periodic"; }

  /// How far apart on a side of n sites.
  std::int64_t apart(std::int64_t a, std::int64_t b, std::int64_t n) const {
    const auto d = std::abs(a - b);
    return periodic() ? std::min(d, n - d) : d;
  }
  /// The larger of the distances by rows and by columns.
  std::int64_t apart(std::int64_t i, std::int64_t j) const {
    return std::max(apart(i / width_, j / width_, height_), apart(i % width_, j % width_, width_));
  }

  /// The furthest that two variables of one factor are apart.
  std::int64_t find_span(const Energy& energy) const {
    std::int64_t span = 0;
    if (const auto pairs = energy.pairwise()) {
      const auto edges = pairs->edges.accessor<std::int64_t, 2>();
      for (std::int64_t e = 0; e < edges.size(0); ++e)
        span = std::max(span, apart(edges[e][0], edges[e][1]));
    } else if (const auto model = energy.factors()) {
      for (const auto& factor : model->factors)
        for (const auto i : factor.scope)
          for (const auto j : factor.scope)
            span = std::max(span, apart(i, j));
    } else {
      span = std::max(height_, width_);
    }
    return span;
  }

  /// The distance beyond which a site's logits do not depend on another's value.
  std::int64_t sight(const Energy* energy) const {
    const auto convolutions = 1 + 2 * params_.depth;
    return params_.kernel / 2 * convolutions + (prior_ ? prior_->reach() * find_span(*energy) : 0);
  }

  /// Labels of the n sites of a side: those of one label are further apart than `sight`.
  std::vector<std::int64_t> labels(std::int64_t n, std::int64_t sight) const {
    std::vector<std::int64_t> label(static_cast<std::size_t>(n));
    const auto stretches = std::max<std::int64_t>(1, n / (sight + 1));  // as even as can be
    for (std::int64_t s = 0; s < stretches; ++s)
      for (auto begin = s * n / stretches, i = begin; i < (s + 1) * n / stretches; ++i)
        label[std::size_t(i)] = i - begin;
    return label;
  }

  /// One colour a pair of a row's and a column's label: int64 [D].
  torch::Tensor coloured(std::int64_t sight) const {
    const auto rows = torch::tensor(labels(height_, sight)),
               columns = torch::tensor(labels(width_, sight));
    const auto count = columns.max().item<std::int64_t>() + 1;
    return (rows.unsqueeze(1) * count + columns.unsqueeze(0)).flatten();
  }

  /// One-hot values and whether known; their means, where they are seen; with a prior its
  /// probabilities and where it may be wrong.
  std::int64_t input_channels() const {
    const auto own = levels_ + 1;
    return own * (1 + params_.means + (prior_ != nullptr));
  }

  torch::Tensor features(const torch::Tensor& partial, const Prior& prior) const {
    const auto known = (partial != kUnknown).to(type());  // [B, D]
    const auto levels = torch::arange(levels_, partial.options());
    const auto one_hot = (partial.unsqueeze(2) == levels).to(type());  // [B, D, K]
    const auto spread = [&](const torch::Tensor& mean) { return mean.expand_as(one_hot); };
    std::vector<torch::Tensor> parts{one_hot, known.unsqueeze(2)};
    if (params_.means) {
      parts.push_back(spread(one_hot.mean(1, true)));
      parts.push_back(known.mean(1, true).expand_as(known).unsqueeze(2));
    }
    if (prior_) {
      parts.push_back(softmax_levels(prior.logits) * (1 - known).unsqueeze(2));
      parts.push_back(prior.uncertain.unsqueeze(2));
    }
    return torch::cat(parts, 2)  // [B, D, channels]: channels last, as a view [B, channels, H, W]
        .view({partial.size(0), height_, width_, -1})
        .permute({0, 3, 1, 2});
  }

  torch::Tensor convolve(std::size_t layer, const torch::Tensor& x, bool relu) const {
    return LatticeConvolution::apply(x, weights_[layer], biases_[layer], relu, periodic());
  }

  torch::Tensor trunk(torch::Tensor z) const {
    z = convolve(0, z, false);
    for (std::int64_t block = 0; block < params_.depth; ++block) {
      const auto layer = static_cast<std::size_t>(2 * block + 1);
      auto y = convolve(layer, z, true);
      if (params_.global) {
        const auto mean = z.mean({2, 3}).to(type()).mm(mixing_[std::size_t(block)]);
        y = y + mean.to(y.scalar_type()).unsqueeze(2).unsqueeze(3);
      }
      z = z + convolve(layer + 1, y, true);
    }
    return z;
  }

  Heads compute(const NetworkInput& input, HeadSet wanted) override {
    const auto B = input.partial.size(0), D = input.partial.size(1);
    const auto prior = prior_ ? prior_->of(input.partial, wanted) : Prior{};
    auto z = features(input.partial, prior).to(product_type());
    z = trunk(z).relu().permute({0, 2, 3, 1}).to(type()).reshape({B, D, -1});
    Heads heads;
    if (wanted & kLogits) {
      const auto learned = torch::matmul(z, head_.slice(0, 1).t()) + head_bias_.slice(0, 1);
      heads.logits = prior_ ? prior.logits + learned : learned;
    }
    if (wanted & kLogMarginal) {
      const auto site = torch::matmul(z, head_[0]) + head_bias_[0];  // [B, D]
      heads.log_marginal =
          prior_ ? prior.log_marginal + (site * prior.uncertain).sum(1) : site.sum(1);
    }
    return heads;
  }

  Params params_;
  std::int64_t levels_, height_ = 1, width_ = 1, outputs_ = 0;
  std::unique_ptr<PriorSource> prior_;
  std::vector<torch::Tensor> weights_, biases_, mixing_;
  torch::Tensor head_, head_bias_, colours_;
};

}  // namespace
MARGINALIA_PLUGIN(LatticeConv);
