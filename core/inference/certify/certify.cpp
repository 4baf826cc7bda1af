#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <variant>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/error.h>
#include <marginalia/family.h>
#include <marginalia/inference/certify.h>

#include "certify_question.h"
#include "certify_sampling.h"
#include "inference/sampling/exact_posterior.h"
#include "sdk/base/clock.h"

namespace marginalia {
namespace {

constexpr double kTwistClamp = 1e6;      // nats: a twist must be positive where f is
constexpr double kLogZErrorShare = 0.1;  // of 1 - confidence that log Z takes
constexpr double kLogZWidthShare = 0.1;  // of the width that is asked for
/// The relative rounding error that is allowed for in sums that are exact.
constexpr double kExactRounding = 1e-11;

/// more: nats, what float32 terms may have moved the value by.
Certificate exactly(double value, double more = 0) {
  Certificate certificate;
  const auto rounding = std::isfinite(value) ? kExactRounding * (1 + std::abs(value)) + more : 0;
  certificate.log_marginal = value;
  certificate.lower = value - rounding;
  certificate.upper = value + rounding;
  certificate.route = "exact";
  return certificate;
}

/// The interval of a - b by a union bound: the error probabilities 1 - confidence add up.
Certificate difference(const Certificate& a, const Certificate& b, const std::string& of_b) {
  if (a.exact() && a.log_marginal == -INFINITY) return a;  // whatever b is
  auto result = a;
  result.log_marginal = a.log_marginal - b.log_marginal;
  result.lower = a.lower - b.upper;
  result.upper = a.upper - b.lower;
  result.confidence = 1 - (1 - a.confidence) - (1 - b.confidence);
  result.passes += b.passes;
  result.seconds += b.seconds;
  if (a.route != b.route && b.route != "exact") result.route = "mixed";
  if (!b.reason.empty())
    result.reason += fmt::format("{}{}: {}", result.reason.empty() ? "" : "; ", of_b, b.reason);
  if (result.upper_by.empty()) result.upper_by = b.upper_by;
  return result;
}

/// Refuses a question that differs from what is given in a variable that is given.
void check_given(const Tensor& x, const Tensor& given) {
  if (!(given == kUnknown).logical_or(given == x).all().item<bool>())
    throw SpecError("what is asked differs from what is given in a variable that is given");
}

/// The one-pass marginals F, by which particles are steered; empty where the family has none.
std::function<Tensor(const Tensor&)> make_twist(const Family& family) {
  const auto one_pass = family.by_route(QueryKind::kLogMarginal, Route::kOnePass);
  if (!one_pass) return {};
  return [&family, estimator = one_pass->estimator](const Tensor& states) {
    Stream unused(0, "twist");
    const Query query{.partial = states, .estimator = estimator};
    const auto twist = family.answer(query, unused).value.to(torch::kDouble);
    return at::nan_to_num(twist, -kTwistClamp, kTwistClamp, -kTwistClamp);
  };
}

}  // namespace

class Certifier::Impl {
 public:
  Impl(std::unique_ptr<Proposal> proposal, const Family* family, const Energy* energy,
       CertifySettings settings)
      : settings_(std::move(settings)),
        proposal_(std::move(proposal)),
        subject_{family, energy, *proposal_, settings_.exact_width},
        posteriors_(energy ? std::make_unique<ExactPosterior>(*energy) : nullptr),
        schedule_(settings_.colours),
        twist_(family ? make_twist(*family) : nullptr) {}

  const CertifySettings& settings() const { return settings_; }
  const std::optional<Certificate>& kept_log_z() const { return log_z_; }
  void set_log_z(const Certificate& certificate) { log_z_ = certificate; }
  void forget() { schedule_ = certify::RevealSchedule(settings_.colours); }

  Certificate certify(const Tensor& x, const Tensor& given, Stream& stream);
  Certificate certify_sum(const Tensor& x, Stream& stream);
  const Certificate& log_z(Stream& stream);

 private:
  Certificate conditional(const Tensor& x, const Tensor& given, Stream& stream);
  Certificate sum(const Tensor& x, const certify::Budget& budget, Stream& stream);

  CertifySettings settings_;
  std::unique_ptr<Proposal> proposal_;
  certify::Subject subject_;
  std::unique_ptr<ExactPosterior> posteriors_;  // null: the model's own joint is f
  certify::RevealSchedule schedule_;
  std::function<Tensor(const Tensor&)> twist_;
  std::optional<Certificate> log_z_;
};

Certificate Certifier::Impl::sum(const Tensor& x, const certify::Budget& budget, Stream& stream) {
  const auto start = Clock::now();
  const auto question = certify::make_question(subject_, x, budget.seconds);
  const certify::Means means{*proposal_, twist_, posteriors_.get(), schedule_, settings_.particles};
  Certificate certificate;
  if (const auto* exact = std::get_if<certify::ExactSum>(&question))
    certificate = exactly(exact->value, exact->rounding);
  else
    certificate =
        certify::Sampling(means, std::get<certify::SampledSum>(question), budget, stream).run();
  certificate.seconds = seconds_since(start);
  return certificate;
}

Certificate Certifier::Impl::certify_sum(const Tensor& x, Stream& stream) {
  proposal_->space().check(x.unsqueeze(0), true, "a certificate");
  return sum(x.contiguous(),
             {1 - settings_.confidence, settings_.width, settings_.seconds, settings_.samples},
             stream);
}

const Certificate& Certifier::Impl::log_z(Stream& stream) {
  if (log_z_) return *log_z_;
  const auto* energy = subject_.energy;
  if (!energy) return log_z_.emplace(exactly(0));
  const auto known = energy->exact() ? std::nullopt : energy->known_log_z();
  if (known && known->error == 0) return log_z_.emplace(exactly(known->value));
  const certify::Budget budget{kLogZErrorShare * (1 - settings_.confidence),
                               kLogZWidthShare * settings_.width, settings_.base_seconds,
                               settings_.base_samples};
  return log_z_.emplace(sum(energy->space().empty()[0].contiguous(), budget, stream));
}

Certificate Certifier::Impl::conditional(const Tensor& x, const Tensor& given, Stream& stream) {
  proposal_->space().check(given.unsqueeze(0), true, "what is given");
  check_given(x, given);
  if (x.equal(given)) return exactly(0);
  const auto& s = settings_;
  const certify::Budget half{(1 - s.confidence) / 2, s.width / 2, s.seconds / 2, s.samples};
  const auto below = sum(given.contiguous(), half, stream);
  if (below.log_marginal == -INFINITY && below.exact()) throw ImpossibleGiven(0);
  return difference(sum(x.contiguous(), half, stream), below, "given");
}

Certificate Certifier::Impl::certify(const Tensor& x, const Tensor& given, Stream& stream) {
  proposal_->space().check(x.unsqueeze(0), true, "a certificate");
  if (given.defined()) return conditional(x, given, stream);
  if ((x == kUnknown).all().item<bool>()) return exactly(0);
  const auto& s = settings_;
  auto base = log_z(stream);
  base.passes = base.seconds = 0;  // paid once
  const auto share = base.confidence < 1 ? 1 - kLogZErrorShare : 1;
  const auto left = s.width > 0 ? std::max(s.width - base.width(), s.width / 2) : 0;
  const certify::Budget rest{share * (1 - s.confidence), left, s.seconds, s.samples};
  return difference(sum(x.contiguous(), rest, stream), base, "log Z");
}

Certifier::Certifier(const Family& family, const Energy* energy, CertifySettings settings)
    : impl_(std::make_unique<Impl>(make_proposal(family), &family, energy, std::move(settings))) {}

Certifier::Certifier(std::unique_ptr<Proposal> proposal, const Energy& energy,
                     CertifySettings settings)
    : impl_(std::make_unique<Impl>(std::move(proposal), nullptr, &energy, std::move(settings))) {}

Certifier::~Certifier() = default;

Certificate Certifier::certify(const Tensor& x, const Tensor& given, Stream& stream) {
  return impl_->certify(x, given, stream);
}
Certificate Certifier::certify_sum(const Tensor& x, Stream& stream) {
  return impl_->certify_sum(x, stream);
}
const Certificate& Certifier::log_z(Stream& stream) {
  return impl_->log_z(stream);
}
bool Certifier::has_log_z() const {
  return impl_->kept_log_z().has_value();
}
void Certifier::set_log_z(const Certificate& certificate) {
  impl_->set_log_z(certificate);
}
void Certifier::forget() {
  impl_->forget();
}
const CertifySettings& Certifier::settings() const {
  return impl_->settings();
}

}  // namespace marginalia
