#include "fused.h"

#include <cmath>
#include <vector>

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>
#include <torch/version.h>

#include <marginalia/kernel.h>

namespace marginalia::transformer {
namespace {

using marginalia::exponential;
using torch::Tensor, torch::autograd::AutogradContext, torch::autograd::tensor_list;

/// Rows of values whose beginnings are `step` apart.
template <class T>
struct Rows {
  T* __restrict data;
  std::int64_t step;
};

/// [rows, half] each, null: none.  direction: 1, or -1 for the way back.
struct Angles {
  const float* __restrict cos = nullptr;
  const float* __restrict sin = nullptr;
  float direction = 1;
};

/// y = x, the pairs of its rows of `2 * half` values turned by the angles of each row.
template <class T>
MARGINALIA_KERNEL void turn(const Rows<const T>& x, const Angles& by, std::int64_t rows,
                            std::int64_t half, const Rows<T>& y) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto* __restrict from = x.data + r * x.step;
    auto* __restrict to = y.data + r * y.step;
    if (!by.cos) {
      for (std::int64_t c = 0; c < 2 * half; ++c)
        to[c] = from[c];
      continue;
    }
    const auto* __restrict u = by.cos + r * half, * __restrict v = by.sin + r * half;
    for (std::int64_t c = 0; c < half; ++c) {
      const float a = float(from[c]), b = float(from[c + half]), s = by.direction * v[c];
      to[c] = T(a * u[c] - b * s);
      to[c + half] = T(b * u[c] + a * s);
    }
  }
}

/// In place: rows of [L, L] scores become softmax(scale x), row r of its first r + 1 alone where
/// causal. `work`: L floats.
template <class T>
MARGINALIA_KERNEL void softmax(T* __restrict x, std::int64_t L, float scale, bool causal,
                               float* __restrict work) {
  for (std::int64_t r = 0; r < L; ++r) {
    auto* __restrict row = x + r * L;
    const auto seen = causal ? r + 1 : L;
    float highest = -INFINITY, sum = 0;
#pragma omp simd reduction(max : highest)
    for (std::int64_t c = 0; c < seen; ++c) {
      work[c] = scale * float(row[c]);
      highest = work[c] > highest ? work[c] : highest;
    }
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < seen; ++c) {
      work[c] = exponential(work[c] - highest);
      sum += work[c];
    }
    const float inverse = 1 / sum;
    for (std::int64_t c = 0; c < seen; ++c)
      row[c] = T(work[c] * inverse);
    for (auto c = seen; c < L; ++c)
      row[c] = T(0.0F);
  }
}

/// In place: gradients of `p = softmax(scale x)` become those of x,  scale p (g - sum(g p)).
template <class T>
MARGINALIA_KERNEL void softmax_gradient(const T* __restrict p, T* __restrict g, std::int64_t rows,
                                        std::int64_t width, float scale) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto* __restrict probability = p + r * width;
    auto* __restrict row = g + r * width;
    float mean = 0;
#pragma omp simd reduction(+ : mean)
    for (std::int64_t c = 0; c < width; ++c)
      mean += float(probability[c]) * float(row[c]);
    for (std::int64_t c = 0; c < width; ++c)
      row[c] = T(scale * float(probability[c]) * (float(row[c]) - mean));
  }
}

/// exp(-x^2 / 2) and Phi(x) to 2e-7, by formula 7.1.26 of Abramowitz and Stegun.
struct Normal {
  float density, below;
};
inline Normal normal(float x) {
  const float z = std::fabs(x) * 0.70710678F, t = 1 / (1 + 0.3275911F * z);
  const float density = exponential(-z * z);
  const float polynomial =
      ((((1.061405429F * t - 1.453152027F) * t + 1.421413741F) * t - 0.284496736F) * t +
       0.254829592F) *
      t;
  const float tail = 0.5F * polynomial * density;
  return {density, x > 0 ? 1 - tail : tail};
}

template <class T>
MARGINALIA_KERNEL void gelu_values(const T* __restrict x, std::int64_t n, T* __restrict y) {
  for (std::int64_t i = 0; i < n; ++i)
    y[i] = T(float(x[i]) * normal(float(x[i])).below);
}

/// gx = g (Phi(x) + x phi(x))
template <class T>
MARGINALIA_KERNEL void gelu_gradient(const T* __restrict x, const T* __restrict g, std::int64_t n,
                                     T* __restrict gx) {
  for (std::int64_t i = 0; i < n; ++i) {
    const auto phi = normal(float(x[i]));
    gx[i] = T(float(g[i]) * (phi.below + 0.39894228F * float(x[i]) * phi.density));
  }
}

/// Calls work(begin, end) on all threads.
template <class Work>
void share(std::int64_t items, std::int64_t at_least, const Work& work) {
  at::parallel_for(0, items, at_least, work);
}

/// Calls work(T()) for the type of a tensor.
template <class Work>
void dispatch(const Tensor& x, const Work& work) {
  x.scalar_type() == torch::kFloat ? work(float()) : work(at::BFloat16());
}

bool has_kernel(const Tensor& x) {
  return x.is_cpu() && (x.scalar_type() == torch::kFloat || x.scalar_type() == torch::kBFloat16);
}

struct Sizes {
  std::int64_t batch, length, heads, width;
};

/// The angles of a sample, where there are any.  cos, sin: [L, half], [B, L, half] or without
/// elements.
Angles select_angles(const Tensor& cos, const Tensor& sin, std::int64_t sample, float direction) {
  if (cos.numel() == 0) return {};
  const auto at = cos.dim() == 3 ? sample * cos.size(1) * cos.size(2) : 0;
  return {cos.data_ptr<float>() + at, sin.data_ptr<float>() + at, direction};
}

/// [B, L, parts C] side by side -> [parts, B H, L, d], the first two parts turned.
Tensor split(const Tensor& x, std::int64_t parts, const Tensor& cos, const Tensor& sin, Sizes n) {
  const auto [B, L, H, d] = n;
  auto y = torch::empty({parts, B * H, L, d}, x.options());
  dispatch(x, [&](auto type) {
    using T = decltype(type);
    share(parts * B * H, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin; i < end; ++i) {
        const auto part = i / (B * H), b = i / H % B, h = i % H;
        const auto* from = x.data_ptr<T>() + (b * L * parts + part) * H * d + h * d;
        const auto by = part < 2 && parts > 1 ? select_angles(cos, sin, b, 1) : Angles();
        turn<T>({from, parts * H * d}, by, L, d / 2, {y.data_ptr<T>() + i * L * d, d});
      }
    });
  });
  return y;
}

/// The way back, [B H, L, d] each -> [B, L, parts C], the first two of three turned back.
Tensor join(const tensor_list& parts, const Tensor& cos, const Tensor& sin, Sizes n) {
  const auto [B, L, H, d] = n;
  const auto count = std::int64_t(parts.size());
  auto y = torch::empty({B, L, count * H * d}, parts[0].options());
  dispatch(y, [&](auto type) {
    using T = decltype(type);
    share(count * B * H, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin; i < end; ++i) {
        const auto part = i / (B * H), b = i / H % B, h = i % H;
        const auto* from = parts[std::size_t(part)].template data_ptr<T>() + (b * H + h) * L * d;
        auto* to = y.data_ptr<T>() + (b * L * count + part) * H * d + h * d;
        const auto by = part < 2 && count > 1 ? select_angles(cos, sin, b, -1) : Angles();
        turn<T>({from, d}, by, L, d / 2, {to, count * H * d});
      }
    });
  });
  return y;
}

struct Attention : torch::autograd::Function<Attention> {
  static Tensor forward(AutogradContext* context, const Tensor& projected, const Tensor& cos,
                        const Tensor& sin, std::int64_t heads, bool causal) {
    const auto B = projected.size(0), L = projected.size(1), C = projected.size(2) / 3;
    const Sizes n{B, L, heads, C / heads};
    const auto parts = split(projected.contiguous(), 3, cos, sin, n);
    const auto p = torch::bmm(parts[0], parts[1].transpose(1, 2));  // [B H, L, L]
    dispatch(p, [&](auto type) {
      using T = decltype(type);
      share(p.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
        std::vector<float> work(static_cast<std::size_t>(L));
        for (auto i = begin; i < end; ++i)
          softmax<T>(p.data_ptr<T>() + i * L * L, L, scale(n), causal, work.data());
      });
    });
    context->save_for_backward({parts, p, cos, sin});
    context->saved_data["heads"] = heads;
    return join({torch::bmm(p, parts[2])}, cos, sin, n);
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &parts = saved[0], &p = saved[1], &cos = saved[2], &sin = saved[3];
    const auto H = context->saved_data["heads"].toInt(), L = p.size(1);
    const Sizes n{p.size(0) / H, L, H, parts.size(3)};
    const auto g = split(gradients[0].contiguous(), 1, cos, sin, n)[0];
    const auto gs = torch::bmm(g, parts[2].transpose(1, 2));
    dispatch(gs, [&](auto type) {
      using T = decltype(type);
      share(p.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
        softmax_gradient<T>(p.data_ptr<T>() + begin * L * L, gs.data_ptr<T>() + begin * L * L,
                            (end - begin) * L, L, scale(n));
      });
    });
    const auto gx = join({torch::bmm(gs, parts[1]), torch::bmm(gs.transpose(1, 2), parts[0]),
                          torch::bmm(p.transpose(1, 2), g)},
                         cos, sin, n);
    return {gx, {}, {}, {}, {}};
  }

  static float scale(Sizes n) { return 1 / std::sqrt(float(n.width)); }
};

struct Gelu : torch::autograd::Function<Gelu> {
  static constexpr std::int64_t kGrain = 1 << 15;

  static Tensor forward(AutogradContext* context, const Tensor& input) {
    const auto x = input.contiguous();
    auto y = torch::empty_like(x);
    dispatch(x, [&](auto type) {
      using T = decltype(type);
      share(x.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
        gelu_values<T>(x.data_ptr<T>() + begin, end - begin, y.data_ptr<T>() + begin);
      });
    });
    context->save_for_backward({x});
    return y;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto x = context->get_saved_variables()[0], g = gradients[0].contiguous();
    auto gx = torch::empty_like(x);
    dispatch(x, [&](auto type) {
      using T = decltype(type);
      share(x.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
        gelu_gradient<T>(x.data_ptr<T>() + begin, g.data_ptr<T>() + begin, end - begin,
                         gx.data_ptr<T>() + begin);
      });
    });
    return {gx};
  }
};

// What follows is the same in ATen's words, for devices and types that the kernels are not written
// for.

/// x: [B, H, L, d]; cos, sin: [L, d / 2] or [B, L, d / 2].
Tensor turned(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  const auto fit = [&](const Tensor& t) {
    return (t.dim() == 3 ? t.unsqueeze(1) : t).to(x.scalar_type());
  };
  const auto halves = x.chunk(2, -1);
  const auto u = fit(cos), v = fit(sin);
  return torch::cat({halves[0] * u - halves[1] * v, halves[1] * u + halves[0] * v}, -1);
}

Tensor weighted(const Tensor& q, const Tensor& k, const Tensor& v, bool causal) {
#if TORCH_VERSION_MAJOR >= 2
  return at::scaled_dot_product_attention(q, k, v, {}, 0.0, causal);
#else
  auto scores = torch::matmul(q, k.transpose(2, 3)) / std::sqrt(double(q.size(3)));
  if (causal) {
    const auto L = q.size(2);
    const auto later = torch::ones({L, L}, q.options().dtype(torch::kBool)).triu(1);
    scores = scores.masked_fill(later, -INFINITY);
  }
  return torch::matmul(scores.softmax(3), v);
#endif
}

Tensor by_parts(const Tensor& projected, const Tensor& cos, const Tensor& sin, std::int64_t heads,
                bool causal) {
  const auto B = projected.size(0), L = projected.size(1), C = projected.size(2) / 3;
  const auto parts = projected.view({B, L, 3, heads, C / heads}).permute({2, 0, 3, 1, 4});
  const auto turn = [&](const Tensor& x) { return cos.defined() ? turned(x, cos, sin) : x; };
  return weighted(turn(parts[0]), turn(parts[1]), parts[2], causal)
      .transpose(1, 2)
      .reshape({B, L, C});
}

}  // namespace

Tensor attention(const Tensor& projected, const Tensor& cos, const Tensor& sin, std::int64_t heads,
                 bool causal) {
  if (!has_kernel(projected)) return by_parts(projected, cos, sin, heads, causal);
  const auto given = [](const Tensor& t) {
    return t.defined() ? t.contiguous() : torch::empty({0});
  };
  return Attention::apply(projected, given(cos), given(sin), heads, causal);
}

Tensor gelu(const Tensor& x) {
  return has_kernel(x) ? Gelu::apply(x) : torch::gelu(x);
}

}  // namespace marginalia::transformer
