#include <cmath>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/error.h>
#include <marginalia/inference/enumeration.h>

namespace marginalia {

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
