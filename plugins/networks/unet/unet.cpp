/// \file
/// U-Net on pictures: residual blocks down and up a pyramid, conditioned on how much is observed.
///
///   z = [conv3(value, known) ; table[x + 1]]                     value in [-1, 1], 0 where unknown
///   block(z, t) = skip(z) + conv3(act(norm(conv3(act(norm(z))) + A t)))
///   t = MLP(sin, cos of the number of observed variables)
///   logits = conv3(act(norm(up(mid(down(z))))))                                   [B, D, K]
///   log f(x_S) = sum_i v_i + MLP(v),  v = conv3(act(norm(up'(mid(down(z))))))     [B]
///
/// The marginal head has an up path of its own (up') and a dense end; the way down is shared. With
/// channels 256, multipliers [1], depth 4 and attention "weave" it is the network of the paper's
/// images. Sources: Ho, Jain, Abbeel (2020), arXiv:2006.11239, app. B; Hoogeboom et al. (2022),
/// arXiv:2110.02037, app. A; Liu, Ramadge, Adams (2024), arXiv:2310.12920, app. C.
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/network.h>
#include <marginalia/plugin.h>

#include "blocks.h"

namespace {

using namespace marginalia;
using torch::nn::Linear, torch::nn::Module;
using namespace unet;

constexpr std::int64_t kMaxObserved = 10000;  // longest period of the time features

/// The shape of the pyramid.
struct Pyramid {
  std::vector<std::int64_t> channels;  ///< of each level, finest first
  std::int64_t depth;                  ///< blocks of a level on the way down
  std::string attention;               ///< "none", "bottom", "weave"
  Style style;
  bool attends(std::size_t level) const {
    return attention == "weave" || (attention == "bottom" && level + 1 == channels.size());
  }
};

/// The way down and the middle: what both heads read.
class Down final : public Module {
 public:
  explicit Down(const Pyramid& pyramid) {
    stages_ = register_module("stages", std::make_shared<List<Stage>>());
    halvings_ = register_module("halvings", std::make_shared<List<Conv>>());
    middle_ = register_module("middle", std::make_shared<List<Stage>>());
    auto in = pyramid.channels.front();
    for (std::size_t level = 0; level < pyramid.channels.size(); ++level) {
      const auto out = pyramid.channels[level];
      for (std::int64_t i = 0; i < pyramid.depth; ++i, in = out)
        stages_->add(std::make_shared<Stage>(in, out, pyramid.style, pyramid.attends(level)));
      if (level + 1 < pyramid.channels.size())
        halvings_->add(std::make_shared<Conv>(out, out, 3, 1.0, 2));
    }
    const bool attends = pyramid.attention != "none";
    middle_->add(std::make_shared<Stage>(in, in, pyramid.style, attends));
    middle_->add(std::make_shared<Stage>(in, in, pyramid.style, false));
    depth_ = static_cast<std::size_t>(pyramid.depth);
  }

  /// -> everything the way up takes in, the middle's output last.
  std::vector<Tensor> forward(Tensor z, const Tensor& time) {
    std::vector<Tensor> kept{z};
    const auto& stages = stages_->items();
    for (std::size_t i = 0; i < stages.size(); ++i) {
      kept.push_back(z = stages[i]->forward(z, time));
      const auto level = i / depth_;
      if ((i + 1) % depth_ == 0 && level < halvings_->items().size())
        kept.push_back(z = halvings_->items()[level]->forward(z));
    }
    for (const auto& stage : middle_->items())
      z = stage->forward(z, time);
    kept.push_back(z);
    return kept;
  }

 private:
  std::shared_ptr<List<Stage>> stages_, middle_;
  std::shared_ptr<List<Conv>> halvings_;
  std::size_t depth_;
};

/// Each pixel twice as high and wide, cut to the size asked for.
Tensor doubled(const Tensor& x, std::int64_t height, std::int64_t width) {
  const auto B = x.size(0), C = x.size(1), H = x.size(2), W = x.size(3);
  const auto rows = x.permute({0, 2, 3, 1});  // [B, H, W, C], contiguous
  return rows.unsqueeze(3)
      .unsqueeze(2)
      .expand({B, H, 2, W, 2, C})
      .reshape({B, 2 * H, 2 * W, C})
      .slice(1, 0, height)
      .slice(2, 0, width)
      .permute({0, 3, 1, 2})
      .contiguous(at::MemoryFormat::ChannelsLast);
}

/// The way up to one head.
class Up final : public Module {
 public:
  Up(const Pyramid& pyramid, std::int64_t outputs) {
    stages_ = register_module("stages", std::make_shared<List<Stage>>());
    doublings_ = register_module("doublings", std::make_shared<List<Conv>>());
    const auto& channels = pyramid.channels;
    auto in = channels.back();
    for (auto level = channels.size(); level-- > 0;) {
      const auto out = channels[level];
      for (std::int64_t i = 0; i <= pyramid.depth; ++i, in = out) {
        // What the way down kept there: its own channels, but those of the finer level at the end.
        const auto kept = i < pyramid.depth || level == 0 ? out : channels[level - 1];
        stages_->add(
            std::make_shared<Stage>(in + kept, out, pyramid.style, pyramid.attends(level)));
      }
      if (level > 0) doublings_->add(std::make_shared<Conv>(out, out, 3));
    }
    norm_ = register_module(
        "norm", std::make_shared<Norm>(in, pyramid.style.groups, pyramid.style.activation));
    out_ = register_module("out", std::make_shared<Conv>(in, outputs, 3, 0.1));
    per_level_ = static_cast<std::size_t>(pyramid.depth) + 1;
  }

  /// -> [B, H, W, outputs], float32 or float64.
  Tensor forward(std::vector<Tensor> kept, const Tensor& time) {
    auto z = std::move(kept.back());
    kept.pop_back();
    const auto& stages = stages_->items();
    for (std::size_t i = 0; i < stages.size(); ++i) {
      z = stages[i]->forward(torch::cat({z, kept.back()}, 1), time);
      kept.pop_back();
      const auto doubling = i / per_level_;
      if ((i + 1) % per_level_ == 0 && doubling < doublings_->items().size())
        z = doublings_->items()[doubling]->forward(
            doubled(z, kept.back().size(2), kept.back().size(3)));
    }
    const auto out = out_->forward(norm_->forward(z)).permute({0, 2, 3, 1});
    return out.to(marginalia::type_beside(out.scalar_type()));
  }

 private:
  std::shared_ptr<List<Stage>> stages_;
  std::shared_ptr<List<Conv>> doublings_;
  std::shared_ptr<Norm> norm_;
  std::shared_ptr<Conv> out_;
  std::size_t per_level_;
};

/// The marginal head: an up path and a dense end.
class Marginal final : public Module {
 public:
  Marginal(const Pyramid& pyramid, std::int64_t dimension, std::int64_t hidden) {
    up_ = register_module("up", std::make_shared<Up>(pyramid, 1));
    dense1_ = register_module("dense1", Linear(dimension, hidden));
    dense2_ = register_module("dense2", Linear(hidden, hidden));
    dense3_ = register_module("dense3", Linear(hidden, 1));
  }
  Tensor forward(std::vector<Tensor> kept, const Tensor& time) {
    const auto v = up_->forward(std::move(kept), time).flatten(1);  // [B, D]
    const auto h = torch::gelu(dense2_->forward(torch::gelu(dense1_->forward(v))));
    return v.sum(1) + dense3_->forward(h).squeeze(1);
  }

 private:
  std::shared_ptr<Up> up_;
  Linear dense1_{nullptr}, dense2_{nullptr}, dense3_{nullptr};
};

class UNet final : public Network {
 public:
  static constexpr const char* kName = "unet";
  static constexpr const char* kSummary =
      "U-Net on pictures, with an up path of its own for marginals";
  static constexpr const char* kFormula =
      "logits = up(down(x_S)),  log f(x_S) = sum_i v_i + MLP(v), v = up'(down(x_S))";
  static constexpr const char* kSource =
      "Hoogeboom et al. (2022), arXiv:2110.02037, app. A; Liu, Ramadge, Adams (2024), "
      "arXiv:2310.12920, app. C";
  static constexpr const char* kExample =
      R"({"channels": 8, "multipliers": [1, 2], "depth": 1, "groups": 4, "dense": 16})";

  struct Params {
    std::int64_t channels = 32, depth = 2, groups = 8, dense = 512;
    std::vector<std::int64_t> multipliers{1, 2, 4};
    std::string attention = "none", activation = "silu";
    double dropout = 0;
    void visit(ParamVisitor& p) {
      p("channels", channels, {.doc = "C, features of a pixel at the finest level", .min = 4});
      p("multipliers", multipliers,
        {.doc = "of C, a level each, every level half as wide as the one before", .min = 1});
      p("depth", depth, {.doc = "blocks of a level on the way down; one more up", .min = 1});
      p("attention", attention,
        {.doc = "after no block, those of the coarsest level, or every one",
         .one_of = {"none", "bottom", "weave"}});
      p("activation", activation, {.doc = "between convolutions", .one_of = {"silu", "relu"}});
      p("groups", groups, {.doc = "of channels normalised together", .min = 1});
      p("dropout", dropout, {.doc = "share of features left out in training", .min = 0, .max = 1});
      p("dense", dense, {.doc = "width of the marginal head's dense end", .min = 1});
    }
  };

  UNet(const Params& params, const NetworkContext& context)
      : Network(context),
        levels_(context.space.levels()),
        channels_(params.channels),
        heads_(context.heads & kOffered) {
    const auto& shape = context.space.shape;
    if (shape.size() != 2)
      throw SpecError("works on pictures [height, width], not on a shape of " +
                      std::to_string(shape.size()) + " numbers; transformer and mlp do");
    height_ = shape[0];
    width_ = shape[1];
    const auto pyramid = build_pyramid(params);
    const auto C = channels_;
    picture_ = register_module("picture", std::make_shared<Conv>(2, C - C / 4, 3));
    table_ = register_parameter("table", torch::randn({levels_ + 1, C / 4}));
    time1_ = register_module("time1", Linear(C, 4 * C));
    time2_ = register_module("time2", Linear(4 * C, 4 * C));
    down_ = register_module("down", std::make_shared<Down>(pyramid));
    if (heads_ & kLogits) up_ = register_module("up", std::make_shared<Up>(pyramid, levels_));
    if (heads_ & kLogMarginal)
      marginal_ = register_module(
          "marginal", std::make_shared<Marginal>(pyramid, height_ * width_, params.dense));
  }

  HeadSet heads() const override { return heads_; }

 private:
  static constexpr HeadSet kOffered = kLogits | kLogMarginal;

  Pyramid build_pyramid(const Params& params) const {
    Pyramid pyramid{{}, params.depth, params.attention, {}};
    if (params.multipliers.empty()) throw SpecError("\"multipliers\" needs one level at least");
    for (const auto m : params.multipliers)
      pyramid.channels.push_back(m * params.channels);
    if (params.channels % 4 != 0) throw SpecError("\"channels\" must be a multiple of 4");
    if (params.channels % params.groups != 0)
      throw SpecError("\"groups\" must divide \"channels\"");
    const auto halvings = std::int64_t{1} << (params.multipliers.size() - 1);
    if (std::min(height_, width_) < halvings)
      throw SpecError("\"multipliers\" has more levels than the picture can be halved");
    pyramid.style = {params.groups, 4 * params.channels,
                     params.activation == "relu" ? Activation::kRelu : Activation::kSilu,
                     params.dropout};
    return pyramid;
  }

  /// sin and cos of the number of observed variables, at geometric frequencies: [B, C].
  Tensor time_features(const Tensor& partial) const {
    const auto half = channels_ / 2;
    const auto observed = (partial != kUnknown).sum(1).to(type()).unsqueeze(1);
    const auto exponent = torch::arange(half, observed.options()) / double(half);
    const auto angle = observed * (-std::log(double(kMaxObserved)) * exponent).exp();
    return torch::cat({angle.sin(), angle.cos()}, 1);
  }

  /// partial int64 [B, D]  ->  [B, C, H, W], channels last.
  Tensor features(const Tensor& partial) const {
    const auto B = partial.size(0);
    const auto known = (partial != kUnknown).to(type());
    const auto centre = 0.5 * double(levels_ - 1);
    const auto value = known * ((partial.to(type()) - centre) / centre);
    const auto picture = torch::stack({value, known}, 2).view({B, height_, width_, 2});
    const auto rows = torch::embedding(table_, partial + 1).view({B, height_, width_, -1});
    const auto channels_last = [](const Tensor& t) { return t.permute({0, 3, 1, 2}); };
    return torch::cat({picture_->forward(channels_last(picture).to(product_type())),
                       channels_last(rows).to(product_type())},
                      1)
        .contiguous(at::MemoryFormat::ChannelsLast);
  }

  Heads compute(const NetworkInput& input, HeadSet wanted) override {
    const auto B = input.partial.size(0);
    auto time = time2_->forward(torch::silu(time1_->forward(time_features(input.partial))));
    time = torch::silu(time);
    const auto kept = down_->forward(features(input.partial), time);
    Heads heads;
    if (wanted & kLogits)
      heads.logits = up_->forward(kept, time).reshape({B, height_ * width_, levels_});
    if (wanted & kLogMarginal) heads.log_marginal = marginal_->forward(kept, time);
    return heads;
  }

  std::int64_t levels_, channels_, height_ = 0, width_ = 0;
  HeadSet heads_;
  std::shared_ptr<Conv> picture_;
  Tensor table_;
  Linear time1_{nullptr}, time2_{nullptr};
  std::shared_ptr<Down> down_;
  std::shared_ptr<Up> up_;
  std::shared_ptr<Marginal> marginal_;
};

}  // namespace
MARGINALIA_PLUGIN(UNet);
