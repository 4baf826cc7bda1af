#include <algorithm>
#include <cmath>

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <marginalia/state_space.h>

namespace marginalia {
namespace {

constexpr std::int64_t kFew = 8;  // from here on LibTorch's own loops are as fast

/// Calls row(offset) for every row of K numbers of `t`, on all threads.
template <class Row>
void for_each_row(const Tensor& t, std::int64_t K, const Row& row) {
  at::parallel_for(0, t.numel() / K, 4096, [&](std::int64_t begin, std::int64_t end) {
    for (auto n = begin; n < end; ++n)
      row(n * K);
  });
}

/// y_k = exp(x_k - m) / s,  s = sum_l exp(x_l - m), m the largest.
struct Softmax {
  template <class T>
  static void forward(const T* x, T* y, std::int64_t K) {
    const T largest = *std::max_element(x, x + K);
    T sum = 0;
    for (std::int64_t k = 0; k < K; ++k)
      sum += y[k] = std::exp(x[k] - largest);
    for (std::int64_t k = 0; k < K; ++k)
      y[k] /= sum;
  }
  /// dx_k = y_k (g_k - sum_l g_l y_l).
  template <class T>
  static void backward(const T* y, const T* g, T* dx, std::int64_t K) {
    T sum = 0;
    for (std::int64_t k = 0; k < K; ++k)
      sum += g[k] * y[k];
    for (std::int64_t k = 0; k < K; ++k)
      dx[k] = y[k] * (g[k] - sum);
  }
};

/// y_k = x_k - m - log s.
struct LogSoftmax {
  template <class T>
  static void forward(const T* x, T* y, std::int64_t K) {
    const T largest = *std::max_element(x, x + K);
    T sum = 0;
    for (std::int64_t k = 0; k < K; ++k)
      sum += x[k] == largest ? T(1) : std::exp(x[k] - largest);
    const T log_sum = largest + std::log(sum);
    for (std::int64_t k = 0; k < K; ++k)
      y[k] = x[k] - log_sum;
  }
  /// dx_k = g_k - exp(y_k) sum_l g_l.
  template <class T>
  static void backward(const T* y, const T* g, T* dx, std::int64_t K) {
    T sum = 0;
    for (std::int64_t k = 0; k < K; ++k)
      sum += g[k];
    for (std::int64_t k = 0; k < K; ++k)
      dx[k] = g[k] - std::exp(y[k]) * sum;
  }
};

/// A function of each row, as a node of autograd.
template <class Row>
struct OfRows : torch::autograd::Function<OfRows<Row>> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& logits) {
    const auto x = logits.contiguous();
    const auto y = at::empty_like(x);
    const auto K = x.size(-1);
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "levels", [&] {
      const auto* from = x.data_ptr<scalar_t>();
      auto* to = y.data_ptr<scalar_t>();
      for_each_row(x, K, [&](std::int64_t at) { Row::forward(from + at, to + at, K); });
    });
    context->save_for_backward({y});
    return y;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list gradients) {
    const auto y = context->get_saved_variables()[0], g = gradients[0].contiguous();
    const auto dx = at::empty_like(y);
    const auto K = y.size(-1);
    AT_DISPATCH_FLOATING_TYPES(y.scalar_type(), "levels", [&] {
      const auto *of_y = y.data_ptr<scalar_t>(), *of_g = g.data_ptr<scalar_t>();
      auto* to = dx.data_ptr<scalar_t>();
      for_each_row(y, K, [&](std::int64_t at) { Row::backward(of_y + at, of_g + at, to + at, K); });
    });
    return {dx};
  }
};

bool is_own(const Tensor& logits) {
  const auto type = logits.scalar_type();
  return logits.is_cpu() && logits.size(-1) < kFew &&
         (type == torch::kFloat || type == torch::kDouble);
}

}  // namespace

Tensor log_softmax_levels(const Tensor& logits) {
  return is_own(logits) ? OfRows<LogSoftmax>::apply(logits) : logits.log_softmax(-1);
}

Tensor softmax_levels(const Tensor& logits) {
  return is_own(logits) ? OfRows<Softmax>::apply(logits) : logits.softmax(-1);
}

}  // namespace marginalia
