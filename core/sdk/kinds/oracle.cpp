#include <torch/types.h>

#include <marginalia/oracle.h>

namespace marginalia {

using torch::indexing::Slice;

Oracle::~Oracle() = default;

Tensor Oracle::can_sum(const Tensor& partial) const {
  return torch::ones({partial.size(0)}, torch::kBool);
}

Tensor Oracle::nearest_sets(const Tensor& known, Stream&) const {
  return known;
}

std::optional<double> Oracle::digits() const {
  return std::nullopt;
}

std::optional<LogDensityMoments> Oracle::log_density_moments() const {
  return std::nullopt;
}

Tensor Oracle::log_sum(const Tensor& partial) const {
  space().check(partial, true, method());
  return compute_log_sum(partial);
}

double Oracle::log_z() const {
  std::call_once(summed_, [this] { log_z_ = compute_log_sum(space().empty()).item<double>(); });
  return log_z_;
}

Tensor Oracle::log_marginal(const Tensor& partial) const {
  return log_sum(partial) - log_z();
}

/// The rows of `partial` with each value k at variable i: int64 [B * K_i, D].
static Tensor extensions(const Tensor& partial, std::int64_t i, std::int64_t levels) {
  auto rows = partial.repeat_interleave(levels, 0);
  rows.index_put_({Slice(), i}, torch::arange(levels).repeat({partial.size(0)}));
  return rows;
}

Tensor Oracle::single_marginals(const Tensor& partial) const {
  space().check(partial.unsqueeze(0), true, method());
  return compute_single_marginals(partial);
}

Tensor Oracle::compute_single_marginals(const Tensor& partial) const {
  const auto D = space().dimension(), K = space().levels();
  auto result = torch::zeros({D, K}, torch::kDouble);
  std::vector<Tensor> rows;
  for (std::int64_t i = 0; i < D; ++i)
    if (partial[i].item<std::int64_t>() == kUnknown)
      rows.push_back(extensions(partial.unsqueeze(0), i, space().cardinalities[std::size_t(i)]));
  const auto sums = rows.empty() ? Tensor() : log_sum(torch::cat(rows));
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < D; ++i) {
    const auto K_i = space().cardinalities[std::size_t(i)];
    if (const auto known = partial[i].item<std::int64_t>(); known != kUnknown) {
      result[i][known] = 1.0;
      continue;
    }
    result.index_put_({i, Slice(0, K_i)}, torch::softmax(sums.slice(0, at, at + K_i), 0));
    at += K_i;
  }
  return result;
}

Tensor Oracle::sample(const Tensor& partial, Stream& stream) const {
  space().check(partial, true, method());
  return compute_sample(partial, stream);
}

Tensor Oracle::compute_sample(const Tensor& partial, Stream& stream) const {
  auto x = partial.clone();
  for (std::int64_t i = 0; i < space().dimension(); ++i) {
    const auto rows = (x.select(1, i) == kUnknown).nonzero().squeeze(1);
    if (rows.numel() == 0) continue;
    const auto K = space().cardinalities[std::size_t(i)];
    const auto sums = compute_log_sum(extensions(x.index({rows}), i, K)).view({-1, K});
    const auto draw = torch::multinomial(torch::softmax(sums, 1), 1, false, stream.generator());
    x.index_put_({rows, i}, draw.squeeze(1));
  }
  return x;
}

}  // namespace marginalia
