#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/error.h>

namespace marginalia {

LocalConditionals::~LocalConditionals() = default;
Readable::~Readable() = default;
Energy::~Energy() = default;

/// Refuses NaN and +inf; the first offending row is named.
static void check_values(const Tensor& value, const std::string& who) {
  const auto bad = torch::isnan(value).logical_or(value == INFINITY);
  if (!bad.any().item<bool>()) return;
  const auto row = bad.nonzero()[0].item<std::int64_t>();
  throw Error(
      fmt::format("{}: log_density is {} for row {} of {}; it must be finite, or -inf for a "
                  "forbidden state",
                  who, value[row].item<double>(), row, value.size(0)));
}

Tensor Energy::log_density(const Tensor& x) const {
  space().check(x, false, label());
  Tensor result;
  try {
    result = compute_log_density(x);
  } catch (const SpecError&) {
    throw;
  } catch (const Error& e) {
    throw EnergyFailure(e.what());
  } catch (const std::exception& e) {
    throw EnergyFailure(fmt::format("{}: log_density failed: {}", label(), describe_error(e)));
  }
  if (result.dim() != 1 || result.size(0) != x.size(0))
    throw Error(fmt::format("{}: log_density returned [{}] for a batch of {}", label(),
                            fmt::join(result.sizes(), ", "), x.size(0)));
  result = result.to(torch::kDouble);
  check_values(result, label());
  return result;
}

Offer<Oracle> Energy::exact() const {
  return Offer<Oracle>::none("it has no exact solution of its own");
}
Offer<LocalConditionals> Energy::local() const {
  return Offer<LocalConditionals>::none("it has no local conditionals");
}
Offer<PairwiseFactors> Energy::pairwise() const {
  return Offer<PairwiseFactors>::none("it is not made of pairwise factors");
}
Offer<FactorModel> Energy::factors() const {
  return Offer<FactorModel>::none("it is not made of factors");
}
Offer<FactorModel> Energy::constraints() const {
  return factors();
}
Offer<PosteriorSampler> Energy::posterior() const {
  return Offer<PosteriorSampler>::none("it has no sampler of its posteriors");
}
std::optional<KnownLogZ> Energy::known_log_z() const {
  return std::nullopt;
}
Offer<Readable> Energy::readable() const {
  return Offer<Readable>::none("its states are digits");
}

Tensor Readable::from_text(const PartialText&) const {
  throw SpecError("what this energy writes of its states it does not read; give a list of values");
}
std::string Readable::to_svg(const Tensor&) const {
  return "";
}
std::vector<Score> Readable::scores(const Tensor& x) const {
  return {{.name = "score", .values = raw_score(x)}};
}

Tensor state_of_text(const Energy& energy, const PartialText& text) {
  if (const auto readable = energy.readable()) return readable->from_text(text);
  return state_of_text(energy.space(), text);
}

Tensor MeteredEnergy::log_density(const Tensor& x) {
  evaluations_ += x.size(0);
  return inverse_temperature_ * energy_.log_density(x);  // -inf stays, as b > 0
}

}  // namespace marginalia
