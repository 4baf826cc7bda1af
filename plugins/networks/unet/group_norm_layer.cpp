#include "group_norm_layer.h"

#include <algorithm>

#include <ATen/Parallel.h>

#include <marginalia/kernel.h>

#include "group_norm_sample.h"

namespace marginalia::unet {
namespace {

using marginalia::exponential;
using torch::Tensor;
using Layer = GroupNormLayer;

template <Activation kind>
inline float activate(float z) {
  if constexpr (kind == Activation::kRelu) return z > 0 ? z : 0;
  return z / (1 + exponential(-z));
}

template <Activation kind>
inline float slope(float z) {
  if constexpr (kind == Activation::kRelu) return z > 0 ? 1.0F : 0.0F;
  const float s = 1 / (1 + exponential(-z));
  return s * (1 + z * (1 - s));
}

/// The rows that kernels read.
struct Lines {
  explicit Lines(const Scratch& s) : base(s.base), a(s.a), b(s.b), u(s.u), w(s.w) {}
  const float* __restrict base, * __restrict a, * __restrict b, * __restrict u, * __restrict w;
};

/// Adds v and v^2 to sums over pixels.
template <class T>
MARGINALIA_KERNEL void sums(const T* __restrict x, const float* __restrict base, Sizes n,
                            float* __restrict sum, float* __restrict square) {
  for (std::int64_t p = 0; p < n.pixels; ++p)
    for (std::int64_t c = 0; c < n.channels; ++c) {
      const float v = float(x[p * n.channels + c]) - base[c];
      sum[c] += v;
      square[c] += v * v;
    }
}

/// y = act(a v + b).
template <Activation kind, class T>
MARGINALIA_KERNEL void affine(const T* __restrict x, const Lines& by, Sizes n, T* __restrict y) {
  for (std::int64_t p = 0; p < n.pixels; ++p)
    for (std::int64_t c = 0; c < n.channels; ++c) {
      const auto i = p * n.channels + c;
      y[i] = T(activate<kind>(by.a[c] * (float(x[i]) - by.base[c]) + by.b[c]));
    }
}

/// Adds g and g v to sums over pixels.
template <Activation kind, class T>
MARGINALIA_KERNEL void gradient_sums(const T* __restrict x, const T* __restrict gy, const Lines& by,
                                     Sizes n, float* __restrict sum, float* __restrict product) {
  for (std::int64_t p = 0; p < n.pixels; ++p)
    for (std::int64_t c = 0; c < n.channels; ++c) {
      const auto i = p * n.channels + c;
      const float v = float(x[i]) - by.base[c];
      const float g = float(gy[i]) * slope<kind>(by.a[c] * v + by.b[c]);
      sum[c] += g;
      product[c] += g * v;
    }
}

/// gx = a g + u v + w.
template <Activation kind, class T>
MARGINALIA_KERNEL void gradient(const T* __restrict x, const T* __restrict gy, const Lines& by,
                                Sizes n, T* __restrict gx) {
  for (std::int64_t p = 0; p < n.pixels; ++p)
    for (std::int64_t c = 0; c < n.channels; ++c) {
      const auto i = p * n.channels + c;
      const float v = float(x[i]) - by.base[c];
      const float g = float(gy[i]) * slope<kind>(by.a[c] * v + by.b[c]);
      gx[i] = T(by.a[c] * g + by.u[c] * v + by.w[c]);
    }
}

/// Where v = 0 lies.  shift: [C], or null.
template <class T>
void set_origin(const T* x, const float* shift, Sizes n, Scratch& s) {
  for (std::int64_t c = 0; c < n.channels; ++c) {
    s.base[c] = float(x[c]);
    s.origin[c] = s.base[c] + (shift ? shift[c] : 0);
  }
}

/// Calls work(sample) for all samples on all threads.
template <class Work>
void for_each_sample(std::int64_t samples, const Work& work) {
  at::parallel_for(0, samples, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto s = begin; s < end; ++s)
      work(s);
  });
}

/// Calls work(T(), activation) for the types of a tensor and an activation.
template <class Work>
void dispatch(const Tensor& x, Activation kind, const Work& work) {
  const auto with = [&](auto type) {
    if (kind == Activation::kRelu)
      work(type, std::integral_constant<Activation, Activation::kRelu>());
    else
      work(type, std::integral_constant<Activation, Activation::kSilu>());
  };
  x.scalar_type() == torch::kFloat ? with(float()) : with(at::BFloat16());
}

/// One row of [B, N], or of a tensor like x [B, C, H, W]; null where there are no rows: autograd
/// takes no undefined tensors.
template <class T = float>
T* find_row(const Tensor& t, std::int64_t row) {
  return t.numel() > 0 ? t.data_ptr<T>() + row * t.stride(0) : nullptr;
}

Sizes read_sizes(const Layer& layer) {
  const auto& x = layer.x;
  return {x.size(2) * x.size(3), x.size(1), layer.mean.size(1)};
}

Terms select_terms(const Layer& layer, std::int64_t sample) {
  return {find_row(layer.mean, sample), find_row(layer.scale, sample),
          layer.gamma.data_ptr<float>(), layer.beta.data_ptr<float>()};
}

template <Activation act, class T>
void run_forward(const Layer& layer, std::int64_t sample, T* y) {
  const auto n = read_sizes(layer);
  const auto* x = find_row<T>(layer.x, sample);
  Scratch s(n.channels);
  set_origin(x, find_row(layer.shift, sample), n, s);
  sums<T>(x, s.base, n, s.sum_v, s.sum_vv);
  statistics(s, n, find_row(layer.mean, sample), find_row(layer.scale, sample));
  set_line(select_terms(layer, sample), n, s);
  affine<act, T>(x, Lines(s), n, y);
}

/// to: gradients by sample, those of gamma and beta [B, C] as well.
template <Activation act, class T>
void run_backward(const Layer& layer, std::int64_t sample, const T* gy,
                  const Layer::Gradients& to) {
  const auto n = read_sizes(layer);
  const auto* x = find_row<T>(layer.x, sample);
  Scratch s(n.channels);
  set_origin(x, find_row(layer.shift, sample), n, s);
  set_line(select_terms(layer, sample), n, s);
  gradient_sums<act, T>(x, gy, Lines(s), n, s.sum_g, s.sum_gv);
  set_gradient_line(select_terms(layer, sample), n, s, find_row(to.gamma, sample));
  std::copy_n(s.sum_g, n.channels, find_row(to.beta, sample));
  gradient<act, T>(x, gy, Lines(s), n, find_row<T>(to.x, sample));
  auto* g_shift = find_row(to.shift, sample);
  if (!g_shift) return;
  sums<T>(x, s.base, n, s.sum_v, s.sum_vv);
  for (std::int64_t c = 0; c < n.channels; ++c)  // the sum of gx over pixels
    g_shift[c] = s.a[c] * s.sum_g[c] + s.u[c] * s.sum_v[c] + s.w[c] * float(n.pixels);
}

}  // namespace

Tensor GroupNormLayer::forward() const {
  auto y = torch::empty_like(x);
  dispatch(x, activation, [&](auto type, auto act) {
    using T = decltype(type);
    for_each_sample(x.size(0), [&](std::int64_t sample) {
      run_forward<decltype(act)::value, T>(*this, sample, find_row<T>(y, sample));
    });
  });
  return y;
}

GroupNormLayer::Gradients GroupNormLayer::backward(const Tensor& gy) const {
  const auto B = x.size(0), C = x.size(1);
  Gradients to{torch::empty_like(x), torch::empty(shift.sizes()), torch::empty({B, C}),
               torch::empty({B, C})};
  dispatch(x, activation, [&](auto type, auto act) {
    using T = decltype(type);
    for_each_sample(B, [&](std::int64_t sample) {
      run_backward<decltype(act)::value, T>(*this, sample, find_row<T>(gy, sample), to);
    });
  });
  return {to.x, to.shift, to.gamma.sum(0), to.beta.sum(0)};
}

}  // namespace marginalia::unet
