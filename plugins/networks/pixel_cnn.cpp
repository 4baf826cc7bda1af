/// \file
/// Convolutions with a causal head along the rows of a picture, from the upper left.
///
///   e = table[x + 1] + place                                       unknown pixels have a row too
///   v_0(r, c) = conv(e) over rows r-2 to r-1, columns c-1 to c+1
///   h_0(r, c) = conv(e) over row r, columns c-2 to c-1, + W v_0
///   v += A act(conv(act(v)) over rows r-d and r, columns c-d, c, c+d)
///   h += B act(conv(act(h)) over columns c-d and c, + W act(v))    d = 1, 2, 4, 1, 2, 4, ...
///   logits = V act(h)
/// v sees the rows above, h those and what stands to the left; two stacks, so that nothing above is
/// out of sight. Source: van den Oord et al. (2016), arXiv:1606.05328, without gates; dilations of
/// arXiv:1609.03499.
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/network.h>
#include <marginalia/plugin.h>

namespace {

using namespace marginalia;
using torch::nn::Module;

/// A convolution that reads `rows` rows and `columns` columns, d pixels apart: those above, or to
/// the left, and where `centred` as many columns on the right. It computes in the type of its
/// input.
class Conv final : public Module {
 public:
  struct Window {
    std::int64_t rows = 1, columns = 1, dilation = 1;
    bool centred = false;
  };
  Conv(std::int64_t in, std::int64_t out, Window window, double scale = 1) : window_(window) {
    const auto spread = scale * std::sqrt(2.0 / double(in * window.rows * window.columns));
    weight_ =
        register_parameter("weight", torch::randn({out, in, window.rows, window.columns}) * spread);
    bias_ = register_parameter("bias", torch::zeros({out}));
  }

  /// x [B, in, H, W]  ->  [B, out, H, W]. The window ends at the pixel itself, or so many rows or
  /// columns before it. Padding on both sides and taking the upper left costs no copy.
  Tensor forward(const Tensor& x, std::int64_t rows_before = 0,
                 std::int64_t columns_before = 0) const {
    const auto [rows, columns, d, centred] = window_;
    const std::int64_t above = d * (rows - 1) + rows_before;
    const std::int64_t aside = d * (columns - 1) / (centred ? 2 : 1) + columns_before;
    const auto type = x.scalar_type();
    return torch::conv2d(x, weight_.to(type, false, false, at::MemoryFormat::ChannelsLast),
                         bias_.to(type), 1, at::IntArrayRef{above, aside}, d)
        .slice(2, 0, x.size(2))
        .slice(3, 0, x.size(3));
  }

 private:
  Window window_;
  Tensor weight_, bias_;
};

/// One residual step of both stacks.
class Layer final : public Module {
 public:
  Layer(std::int64_t channels, std::int64_t dilation) {
    const auto add = [&](const char* name, Conv::Window window, double scale) {
      return register_module(name, std::make_shared<Conv>(channels, channels, window, scale));
    };
    above_ = add("above", {2, 3, dilation, true}, 1);
    above_out_ = add("above_out", {}, 0.1);
    left_ = add("left", {1, 2, dilation, false}, 1);
    from_above_ = add("from_above", {}, 1);
    left_out_ = add("left_out", {}, 0.1);
  }
  void forward(Tensor& v, Tensor& h) const {
    v = v + above_out_->forward(above_->forward(torch::relu(v)).relu_());
    auto u = left_->forward(torch::relu(h)) + from_above_->forward(torch::relu(v));
    h = h + left_out_->forward(u.relu_());
  }

 private:
  std::shared_ptr<Conv> above_, above_out_, left_, from_above_, left_out_;
};

class PixelCnn final : public Network {
 public:
  static constexpr const char* kName = "pixel_cnn";
  static constexpr const char* kSummary = "causal convolutions along the rows of a picture";
  static constexpr const char* kFormula =
      "logits_(r, c) of the rows above r and, in row r, of the columns left of c";
  static constexpr const char* kSource = "van den Oord et al. (2016), arXiv:1606.05328";
  static constexpr const char* kExample = R"({"channels": 8, "layers": 2})";

  struct Params {
    std::int64_t channels = 32, layers = 9;
    void visit(ParamVisitor& p) {
      p("channels", channels, {.doc = "C, features of a pixel in each of two stacks", .min = 1});
      p("layers", layers, {.doc = "residual layers, of dilations 1, 2, 4 in turn", .min = 1});
    }
  };

  PixelCnn(const Params& params, const NetworkContext& context)
      : Network(context), channels_(params.channels), levels_(context.space.levels()) {
    const auto& shape = context.space.shape;
    if (shape.size() != 2)
      throw SpecError("works on pictures [height, width], not on a shape of " +
                      std::to_string(shape.size()) + " numbers; made and transformer do");
    height_ = shape[0];
    width_ = shape[1];
    const auto C = channels_;
    table_ = register_parameter("table", torch::randn({levels_ + 1, C}));
    place_ = register_parameter("place", 0.1 * torch::randn({height_ * width_, C}));
    above_ = register_module("above", std::make_shared<Conv>(C, C, Conv::Window{2, 3, 1, true}));
    left_ = register_module("left", std::make_shared<Conv>(C, C, Conv::Window{1, 2, 1, false}));
    from_above_ = register_module("from_above", std::make_shared<Conv>(C, C, Conv::Window{}));
    for (std::int64_t l = 0; l < params.layers; ++l)
      layers_.push_back(register_module("layer" + std::to_string(l + 1),
                                        std::make_shared<Layer>(C, std::int64_t{1} << (l % 3))));
    out_ = register_module("out", std::make_shared<Conv>(C, levels_, Conv::Window{}, 0.1));
  }

  HeadSet heads() const override { return kCausalLogits; }
  Tensor causal_order() const override { return torch::arange(height_ * width_); }

 private:
  Heads compute(const NetworkInput& input, HeadSet) override {
    const auto& x = input.partial;
    if (!input.order.equal(causal_order().to(x.device()).expand_as(x)))
      throw Error(label() + " sees pixels row by row, and along no other order");
    const auto pixels = (torch::embedding(table_, x + 1) + place_).to(product_type());  // [B, P, C]
    const auto e = pixels.view({x.size(0), height_, width_, channels_}).permute({0, 3, 1, 2});
    auto v = above_->forward(e, 1, 0);
    auto h = left_->forward(e, 0, 1) + from_above_->forward(torch::relu(v));
    for (const auto& layer : layers_)
      layer->forward(v, h);
    const auto logits = out_->forward(torch::relu(h)).permute({0, 2, 3, 1});
    Heads heads;
    heads.causal_logits = logits.reshape({x.size(0), height_ * width_, levels_}).to(type());
    return heads;
  }

  std::int64_t channels_, levels_, height_ = 0, width_ = 0;
  Tensor table_, place_;
  std::shared_ptr<Conv> above_, left_, from_above_, out_;
  std::vector<std::shared_ptr<Layer>> layers_;
};

}  // namespace
MARGINALIA_PLUGIN(PixelCnn);
