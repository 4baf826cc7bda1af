#include "group_norm.h"

#include <cmath>
#include <vector>

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <marginalia/kernel.h>

namespace marginalia::unet {
namespace {

using marginalia::exponential;
using torch::Tensor, torch::autograd::AutogradContext, torch::autograd::tensor_list;

constexpr float kEpsilon = 1e-5F;

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

/// One sample: [P, C] values, P pixels.
struct Sizes {
  std::int64_t pixels, channels, groups;
};

// All values are taken less those of the first pixel, `base`: where a group is nearly constant, as
// in a picture of which nothing is known, its variance would drown in the rounding of its mean.

/// Sums of v = x - base and of v^2 over pixels, by channel.
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

/// y = act(a v + b), a and b by channel.
template <Activation kind, class T>
MARGINALIA_KERNEL void affine(const T* __restrict x, const float* __restrict base,
                              const float* __restrict a, const float* __restrict b, Sizes n,
                              T* __restrict y) {
  for (std::int64_t p = 0; p < n.pixels; ++p)
    for (std::int64_t c = 0; c < n.channels; ++c) {
      const auto i = p * n.channels + c;
      y[i] = T(activate<kind>(a[c] * (float(x[i]) - base[c]) + b[c]));
    }
}

/// With g = gy act'(a v + b): sums of g and of g v over pixels, by channel.
template <Activation kind, class T>
MARGINALIA_KERNEL void gradient_sums(const T* __restrict x, const T* __restrict gy,
                                     const float* __restrict base, const float* __restrict a,
                                     const float* __restrict b, Sizes n, float* __restrict sum,
                                     float* __restrict product) {
  for (std::int64_t p = 0; p < n.pixels; ++p)
    for (std::int64_t c = 0; c < n.channels; ++c) {
      const auto i = p * n.channels + c;
      const float v = float(x[i]) - base[c], g = float(gy[i]) * slope<kind>(a[c] * v + b[c]);
      sum[c] += g;
      product[c] += g * v;
    }
}

/// gx = a g + u v + w, with g as above.
template <Activation kind, class T>
MARGINALIA_KERNEL void gradient(const T* __restrict x, const T* __restrict gy,
                                const float* __restrict base, const float* __restrict a,
                                const float* __restrict b, const float* __restrict u,
                                const float* __restrict w, Sizes n, T* __restrict gx) {
  for (std::int64_t p = 0; p < n.pixels; ++p)
    for (std::int64_t c = 0; c < n.channels; ++c) {
      const auto i = p * n.channels + c;
      const float v = float(x[i]) - base[c], g = float(gy[i]) * slope<kind>(a[c] * v + b[c]);
      gx[i] = T(a[c] * g + u[c] * v + w[c]);
    }
}

/// Where v = 0 lies in z = x + shift, by channel.
template <class T>
void bases(const T* x, const float* shift, Sizes n, float* base, float* origin) {
  for (std::int64_t c = 0; c < n.channels; ++c) {
    base[c] = float(x[c]);
    origin[c] = base[c] + (shift ? shift[c] : 0);
  }
}

/// Mean and 1 / deviation of every group of one sample of z = origin + v.
void statistics(const float* sum, const float* square, const float* origin, Sizes n, float* mean,
                float* scale) {
  const auto width = n.channels / n.groups;
  const double P = double(n.pixels), count = double(width) * P;
  for (std::int64_t g = 0; g < n.groups; ++g) {
    double m = 0, within = 0, between = 0;
    for (auto c = g * width; c < (g + 1) * width; ++c)
      m += (double(origin[c]) + sum[c] / P) / double(width);
    for (auto c = g * width; c < (g + 1) * width; ++c) {
      const double from_mean = double(origin[c]) + sum[c] / P - m;
      within += std::max(square[c] - double(sum[c]) * sum[c] / P, 0.0);
      between += P * from_mean * from_mean;
    }
    mean[g] = float(m);
    scale[g] = float(1 / std::sqrt((within + between) / count + kEpsilon));
  }
}

/// a and b of  gamma (z - mean) scale + beta = a v + b.
void coefficients(const float* mean, const float* scale, const float* origin, const float* gamma,
                  const float* beta, Sizes n, float* a, float* b) {
  const auto width = n.channels / n.groups;
  for (std::int64_t c = 0; c < n.channels; ++c) {
    a[c] = gamma[c] * scale[c / width];
    b[c] = beta[c] + a[c] * (origin[c] - mean[c / width]);
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

const float* data_of(const Tensor& t) {
  return t.data_ptr<float>();
}
/// Null where there are no rows: autograd takes no undefined tensors.
const float* row_of(const Tensor& t, std::int64_t row) {
  return t.numel() > 0 ? t.data_ptr<float>() + row * t.size(1) : nullptr;
}

struct GroupNorm : torch::autograd::Function<GroupNorm> {
  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& shift_,
                        const Tensor& gamma, const Tensor& beta, std::int64_t groups, bool relu) {
    const auto kind = relu ? Activation::kRelu : Activation::kSilu;
    const auto x = input.contiguous(at::MemoryFormat::ChannelsLast);
    const auto shift = shift_.contiguous();
    const auto B = x.size(0);
    const Sizes n{x.size(2) * x.size(3), x.size(1), groups};
    auto mean = torch::empty({B, groups}), scale = torch::empty({B, groups});
    auto y = torch::empty_like(x);
    dispatch(x, kind, [&](auto type, auto activation) {
      using T = decltype(type);
      for_each_sample(B, [&](std::int64_t s) {
        std::vector<float> work(6 * std::size_t(n.channels));
        float *sum = work.data(), *square = sum + n.channels, *a = square + n.channels,
              *b = a + n.channels, *base = b + n.channels, *origin = base + n.channels;
        const auto* from = x.data_ptr<T>() + s * n.pixels * n.channels;
        auto *m = mean.data_ptr<float>() + s * groups, *r = scale.data_ptr<float>() + s * groups;
        bases(from, row_of(shift, s), n, base, origin);
        sums<T>(from, base, n, sum, square);
        statistics(sum, square, origin, n, m, r);
        coefficients(m, r, origin, data_of(gamma), data_of(beta), n, a, b);
        affine<decltype(activation)::value, T>(from, base, a, b, n,
                                               y.data_ptr<T>() + s * n.pixels * n.channels);
      });
    });
    context->save_for_backward({x, shift, gamma, beta, mean, scale});
    context->saved_data["relu"] = relu;
    return y;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &shift = saved[1], &gamma = saved[2], &beta = saved[3],
               &mean = saved[4], &scale = saved[5];
    const auto kind = context->saved_data["relu"].toBool() ? Activation::kRelu : Activation::kSilu;
    const auto gy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    const auto B = x.size(0), C = x.size(1), G = mean.size(1), width = C / G;
    const Sizes n{x.size(2) * x.size(3), C, G};
    auto gx = torch::empty_like(x);
    auto g_gamma = torch::empty({B, C}), g_beta = torch::empty({B, C});
    auto g_shift = shift.numel() > 0 ? torch::empty({B, C}) : Tensor();
    dispatch(x, kind, [&](auto type, auto activation) {
      using T = decltype(type);
      constexpr auto act = decltype(activation)::value;
      for_each_sample(B, [&](std::int64_t s) {
        std::vector<float> work(8 * std::size_t(C));
        float *a = work.data(), *b = a + C, *u = b + C, *w = u + C, *sum = w + C,
              *product = sum + C, *base = product + C, *origin = base + C;
        const auto at = s * n.pixels * C;
        const auto *m = row_of(mean, s), *r = row_of(scale, s);
        const auto *from = x.data_ptr<T>() + at, *down = gy.data_ptr<T>() + at;
        bases(from, row_of(shift, s), n, base, origin);
        coefficients(m, r, origin, data_of(gamma), data_of(beta), n, a, b);
        gradient_sums<act, T>(from, down, base, a, b, n, sum, product);
        // zhat = (z - m) r;  gx = r (gamma g - mean_g(gamma g) - zhat mean_g(gamma g zhat))
        for (std::int64_t g = 0; g < G; ++g) {
          double first = 0, second = 0;
          for (auto c = g * width; c < (g + 1) * width; ++c) {
            const float with_zhat = (product[c] + (origin[c] - m[g]) * sum[c]) * r[g];
            g_gamma.data_ptr<float>()[s * C + c] = with_zhat;
            g_beta.data_ptr<float>()[s * C + c] = sum[c];
            first += data_of(gamma)[c] * sum[c];
            second += data_of(gamma)[c] * with_zhat;
          }
          const double count = double(width * n.pixels);
          for (auto c = g * width; c < (g + 1) * width; ++c) {
            u[c] = float(-r[g] * r[g] * second / count);
            w[c] = float(-r[g] * first / count) + u[c] * (origin[c] - m[g]);
          }
        }
        gradient<act, T>(from, down, base, a, b, u, w, n, gx.data_ptr<T>() + at);
        if (shift.numel() == 0) return;
        // d shift = sum over pixels of gx = a sum(g) + u sum(v) + w P
        std::vector<float> totals(2 * std::size_t(C));
        sums<T>(from, base, n, totals.data(), totals.data() + C);
        for (std::int64_t c = 0; c < C; ++c)
          g_shift.data_ptr<float>()[s * C + c] =
              a[c] * sum[c] + u[c] * totals[std::size_t(c)] + w[c] * float(n.pixels);
      });
    });
    return {gx, g_shift, g_gamma.sum(0), g_beta.sum(0), {}, {}};
  }
};

/// The same in ATen's words, for devices and types that the kernels are not written for.
Tensor by_parts(const Tensor& x, const Tensor& shift, const Tensor& gamma, const Tensor& beta,
                std::int64_t groups, Activation activation) {
  auto z = x.to(gamma.scalar_type());
  if (shift.defined()) z = z + shift.unsqueeze(2).unsqueeze(3);
  z = torch::group_norm(z, groups, gamma, beta, kEpsilon);
  return (activation == Activation::kRelu ? z.relu() : torch::silu(z)).to(x.scalar_type());
}

}  // namespace

Tensor group_norm(const Tensor& x, const Tensor& shift, const Tensor& gamma, const Tensor& beta,
                  std::int64_t groups, Activation activation) {
  const bool has_kernel =
      x.is_cpu() && (x.scalar_type() == torch::kFloat || x.scalar_type() == torch::kBFloat16);
  if (!has_kernel) return by_parts(x, shift, gamma, beta, groups, activation);
  return GroupNorm::apply(x, shift.defined() ? shift : torch::empty({0}), gamma, beta, groups,
                          activation == Activation::kRelu);
}

}  // namespace marginalia::unet
