#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/state_space.h>

namespace marginalia {

StateSpace StateSpace::uniform(std::int64_t dimension, std::int64_t levels,
                               std::vector<std::int64_t> shape) {
  if (shape.empty()) shape = {dimension};
  return {std::vector<std::int64_t>(static_cast<std::size_t>(dimension), levels), std::move(shape)};
}

std::int64_t StateSpace::levels() const {
  return cardinalities.empty() ? 0 : *std::ranges::max_element(cardinalities);
}

bool StateSpace::mixed() const {
  return !std::ranges::all_of(cardinalities, [&](auto k) { return k == cardinalities.front(); });
}

double StateSpace::log_states() const {
  return std::accumulate(cardinalities.begin(), cardinalities.end(), 0.0,
                         [](double sum, auto k) { return sum + std::log(double(k)); });
}

Tensor StateSpace::possible() const {
  const auto K = torch::tensor(cardinalities, torch::kLong);
  return torch::arange(levels()).unsqueeze(0) < K.unsqueeze(1);  // [D, K]
}

Tensor StateSpace::empty() const {
  return torch::full({1, dimension()}, kUnknown, torch::kLong);
}

void StateSpace::check(const Tensor& x, bool partial, std::string_view who) const {
  if (!x.defined() || x.dim() != 2 || x.size(1) != dimension() || x.scalar_type() != at::kLong)
    throw Error(fmt::format("{}: states must be int64 [B, {}], not {}", who, dimension(),
                            x.defined() ? fmt::format("{} [{}]", at::toString(x.scalar_type()),
                                                      fmt::join(x.sizes(), ", "))
                                        : "undefined"));
  if (x.numel() == 0) return;
  const std::int64_t low = partial ? kUnknown : 0;
  if (x.min().item<std::int64_t>() >= low && !mixed() && x.max().item<std::int64_t>() < levels())
    return;
  const auto limits = torch::tensor(cardinalities, x.options());
  const auto wrong = (x < low).logical_or(x >= limits).nonzero();
  if (wrong.size(0) == 0) return;
  const auto b = wrong[0][0].item<std::int64_t>(), i = wrong[0][1].item<std::int64_t>();
  throw Error(fmt::format("{}: variable {} must be 0 to {}{}, not {}", who, i,
                          cardinalities[std::size_t(i)] - 1, partial ? " or -1 for unknown" : "",
                          x[b][i].item<std::int64_t>()));
}

std::string StateSpace::to_text(const Tensor& x) const {
  const auto values = x.to(torch::kCPU).contiguous();
  const auto* v = values.data_ptr<std::int64_t>();
  const bool wide = alphabet.empty() && levels() > 10;
  const auto row = alphabet.empty() && shape.size() > 1 ? shape.back() : dimension();
  std::string text;
  for (std::int64_t i = 0; i < dimension(); ++i) {
    if (i > 0 && i % row == 0) text += '/';
    if (wide && i % row != 0) text += ' ';
    if (v[i] == kUnknown)
      text += '?';
    else
      text += alphabet.empty() ? std::to_string(v[i]) : alphabet[std::size_t(v[i])];
  }
  return text;
}

}  // namespace marginalia
