/// \file
/// What the U-Net is put together from. Weights are float32, or float64; each computes in the type
/// of its input.
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <torch/nn/modules/linear.h>
#include <torch/types.h>

#include "group_norm.h"

namespace marginalia::unet {

using torch::Tensor, torch::nn::Linear, torch::nn::Module;

/// A convolution, computing in the type of what it is given, whatever that of its weights.
class Conv final : public Module {
 public:
  /// scale: of the initial weights against those of He et al. (2015), arXiv:1502.01852.
  Conv(std::int64_t in, std::int64_t out, std::int64_t kernel, double scale = 1,
       std::int64_t stride = 1)
      : stride_(stride), padding_(kernel / 2) {
    const auto spread = scale / std::sqrt(double(in * kernel * kernel));
    weight_ = register_parameter("weight", torch::randn({out, in, kernel, kernel}) * spread);
    bias_ = register_parameter("bias", torch::zeros({out}));
  }
  Tensor forward(const Tensor& x) const {
    const auto type = x.scalar_type();
    return torch::conv2d(x, weight_.to(type, false, false, at::MemoryFormat::ChannelsLast),
                         bias_.to(type), stride_, padding_);
  }

 private:
  std::int64_t stride_, padding_;
  Tensor weight_, bias_;
};

class Norm final : public Module {
 public:
  Norm(std::int64_t channels, std::int64_t groups, Activation activation)
      : groups_(groups), activation_(activation) {
    gamma_ = register_parameter("weight", torch::ones({channels}));
    beta_ = register_parameter("bias", torch::zeros({channels}));
  }
  /// act(norm(x + shift)).  x [B, C, H, W]; shift [B, C] or undefined.
  Tensor forward(const Tensor& x, const Tensor& shift = {}) const {
    return unet::group_norm(x, shift, gamma_, beta_, groups_, activation_);
  }

 private:
  std::int64_t groups_;
  Activation activation_;
  Tensor gamma_, beta_;
};

/// What all blocks of one network have in common.
struct Style {
  std::int64_t groups, time_channels;
  Activation activation;
  double dropout;
};

class Block final : public Module {
 public:
  Block(std::int64_t in, std::int64_t out, const Style& style) : dropout_(style.dropout) {
    norm1_ = register_module("norm1", std::make_shared<Norm>(in, style.groups, style.activation));
    conv1_ = register_module("conv1", std::make_shared<Conv>(in, out, 3));
    time_ = register_module("time", Linear(style.time_channels, out));
    norm2_ = register_module("norm2", std::make_shared<Norm>(out, style.groups, style.activation));
    conv2_ = register_module("conv2", std::make_shared<Conv>(out, out, 3, 0.1));
    if (in != out) skip_ = register_module("skip", std::make_shared<Conv>(in, out, 1));
  }
  Tensor forward(const Tensor& x, const Tensor& time) {
    auto h = conv1_->forward(norm1_->forward(x));
    h = norm2_->forward(h, time_->forward(time));
    if (dropout_ > 0) h = torch::dropout(h, dropout_, is_training());
    return (skip_ ? skip_->forward(x) : x) + conv2_->forward(h);
  }

 private:
  double dropout_;
  std::shared_ptr<Norm> norm1_, norm2_;
  std::shared_ptr<Conv> conv1_, conv2_, skip_;
  Linear time_{nullptr};
};

/// One head of attention between all pixels, added to its input.
class Attention final : public Module {
 public:
  Attention(std::int64_t channels, std::int64_t groups) : groups_(groups) {
    gamma_ = register_parameter("weight", torch::ones({channels}));
    beta_ = register_parameter("bias", torch::zeros({channels}));
    projections_ =
        register_module("projections", std::make_shared<Conv>(channels, 3 * channels, 1));
    out_ = register_module("out", std::make_shared<Conv>(channels, channels, 1, 0.1));
  }
  Tensor forward(const Tensor& x) {
    const auto B = x.size(0), C = x.size(1), H = x.size(2), W = x.size(3);
    const auto z = torch::group_norm(x.to(gamma_.scalar_type()), groups_, gamma_, beta_);
    const auto rows = projections_->forward(z.to(x.scalar_type()))
                          .permute({0, 2, 3, 1})
                          .reshape({B, H * W, 3 * C});  // [B, P, 3 C]
    const auto parts = rows.split(C, 2);
    const auto scores = torch::matmul(parts[0], parts[1].transpose(1, 2)) / std::sqrt(double(C));
    const auto weights = scores.to(gamma_.scalar_type()).softmax(2).to(x.scalar_type());
    const auto mixed = torch::matmul(weights, parts[2]).view({B, H, W, C}).permute({0, 3, 1, 2});
    return x + out_->forward(mixed);
  }

 private:
  std::int64_t groups_;
  Tensor gamma_, beta_;
  std::shared_ptr<Conv> projections_, out_;
};

/// A block and the attention after it, if any.
class Stage final : public Module {
 public:
  Stage(std::int64_t in, std::int64_t out, const Style& style, bool attends) {
    block_ = register_module("block", std::make_shared<Block>(in, out, style));
    if (attends)
      attention_ = register_module("attention", std::make_shared<Attention>(out, style.groups));
  }
  Tensor forward(const Tensor& x, const Tensor& time) {
    const auto h = block_->forward(x, time);
    return attention_ ? attention_->forward(h) : h;
  }

 private:
  std::shared_ptr<Block> block_;
  std::shared_ptr<Attention> attention_;
};

template <class T>
class List final : public Module {
 public:
  void add(std::shared_ptr<T> module) {
    items_.push_back(register_module(std::to_string(items_.size()), std::move(module)));
  }
  const std::vector<std::shared_ptr<T>>& items() const { return items_; }

 private:
  std::vector<std::shared_ptr<T>> items_;
};

}  // namespace marginalia::unet
