#include <cmath>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/error.h>
#include <marginalia/oracle.h>

namespace marginalia {

using torch::indexing::Slice;

Tensor Oracle::log_sum(const Tensor& partial) const {
  space().check(partial, true, method());
  return compute_log_sum(partial);
}

double Oracle::log_z() const {
  if (!log_z_) log_z_ = compute_log_sum(space().empty()).item<double>();
  return *log_z_;
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

Tensor all_states(const StateSpace& space) {
  std::vector<Tensor> axes;
  for (const auto k : space.cardinalities)
    axes.push_back(torch::arange(k));
  return axes.size() == 1 ? axes[0].unsqueeze(1) : torch::cartesian_prod(axes);
}

EnumerationOracle::EnumerationOracle(const Energy& energy) : space_(energy.space()) {
  if (space_.log_states() > std::log(double(kEnumerationLimit)) + 1e-9)
    throw SpecError(fmt::format("{}: enumeration takes at most {} states, this space has 10^{:.1f}",
                                energy.label(), kEnumerationLimit,
                                space_.log_states() / std::log(10.0)));
  std::vector<Tensor> parts;
  for (const auto& part : all_states(space_).split(std::int64_t{1} << 16))
    parts.push_back(energy.log_density(part));
  log_density_ = torch::cat(parts).view(space_.cardinalities);
}

Tensor EnumerationOracle::compute_log_sum(const Tensor& partial) const {
  auto result = torch::empty({partial.size(0)}, torch::kDouble);
  const auto values = partial.accessor<std::int64_t, 2>();
  for (std::int64_t b = 0; b < partial.size(0); ++b) {
    auto rest = log_density_;
    std::int64_t axis = 0;
    for (std::int64_t i = 0; i < space_.dimension(); ++i) {
      if (values[b][i] == kUnknown)
        ++axis;
      else
        rest = rest.select(axis, values[b][i]);
    }
    result[b] = rest.reshape({-1}).logsumexp(0);
  }
  return result;
}

Tensor EnumerationOracle::compute_sample(const Tensor& partial, Stream& stream) const {
  if ((partial != kUnknown).any().item<bool>()) return Oracle::compute_sample(partial, stream);
  const auto weights = torch::softmax(log_density_.reshape({-1}), 0);
  auto index = torch::multinomial(weights, partial.size(0), true, stream.generator());
  auto x = torch::empty_like(partial);
  for (auto i = space_.dimension() - 1; i >= 0; --i) {
    const auto K = space_.cardinalities[std::size_t(i)];
    x.select(1, i).copy_(index.remainder(K));
    index = index.div(K, "floor");
  }
  return x;
}

ExactAnswers::ExactAnswers(const Energy& energy) : offer_(energy.exact()) {
  if (offer_) return;
  if (energy.space().log_states() <= std::log(double(kEnumerationLimit)) + 1e-9) {
    owned_ = std::make_unique<EnumerationOracle>(energy);
    offer_ = {owned_.get()};
  }
}

}  // namespace marginalia
