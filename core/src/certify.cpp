#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/certify.h>
#include <marginalia/error.h>

#include "certify_question.h"
#include "certify_sampling.h"
#include "clock.h"

namespace marginalia {
namespace {

constexpr double kMostTwist = 1e6;  // nats: a twist must be positive where f is
constexpr double kBaseShare = 0.1;  // of 1 - confidence that log Z takes
constexpr double kBaseWidth = 0.1;  // of the width that is asked for
/// Of sums that are exact, relative.
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

Json bound(double value) {
  if (std::isfinite(value)) return value;
  return Json();
}

}  // namespace

Json Certificate::to_json() const {
  Json json{{"log_marginal", bound(log_marginal)},
            {"lower", bound(lower)},
            {"upper", bound(upper)},
            {"confidence", confidence},
            {"passes", passes},
            {"route", route}};
  if (exact() && log_marginal == -INFINITY)
    json["log_marginal"] = json["lower"] = json["upper"] = "-inf";
  if (!upper_by.empty()) json["upper_by"] = upper_by;
  if (!stopped.empty()) json["stopped"] = stopped;
  if (samples > 0) json["samples"] = samples;
  if (!reason.empty()) json["reason"] = reason;
  return json;
}

Certificate Certificate::from_json(const Json& json) {
  Certificate certificate;
  const auto number = [&](const char* key, double otherwise) {
    const auto it = json.find(key);
    if (it == json.end()) return otherwise;
    if (*it == "-inf") return -double(INFINITY);
    return it->is_number() ? it->get<double>() : otherwise;
  };
  certificate.log_marginal = number("log_marginal", NAN);
  certificate.lower = number("lower", -INFINITY);
  certificate.upper = number("upper", INFINITY);
  certificate.confidence = number("confidence", 0);
  certificate.passes = number("passes", 0);
  certificate.samples = std::int64_t(number("samples", 0));
  for (const auto& [key, field] : {std::pair{"route", &Certificate::route},
                                   {"upper_by", &Certificate::upper_by},
                                   {"stopped", &Certificate::stopped},
                                   {"reason", &Certificate::reason}})
    certificate.*field = json.value(key, "");
  return certificate;
}

Certifier::Certifier(const Family& family, const Energy* energy, CertifySettings settings)
    : settings_(std::move(settings)),
      family_(&family),
      energy_(energy),
      proposal_(proposal_of(family)),
      passes_(std::make_unique<Passes>(settings_.colours)) {
  if (energy) posteriors_ = std::make_unique<PosteriorSource>(*energy);
  if (family.offers(QueryKind::kLogMarginal, "one_pass"))
    twist_ = [&family](const Tensor& states) {
      Stream unused(0, "twist");
      const Query query{.partial = states, .estimator = "one_pass"};
      const auto twist = family.answer(query, unused).value.to(torch::kDouble);
      return at::nan_to_num(twist, -kMostTwist, kMostTwist, -kMostTwist);
    };
}

Certifier::Certifier(std::unique_ptr<Proposal> proposal, const Energy& energy,
                     CertifySettings settings)
    : settings_(std::move(settings)),
      energy_(&energy),
      proposal_(std::move(proposal)),
      posteriors_(std::make_unique<PosteriorSource>(energy)),
      passes_(std::make_unique<Passes>(settings_.colours)) {}

Certifier::~Certifier() = default;

Certificate Certifier::sum(const Tensor& x, const Budget& budget, Stream& stream) {
  const auto start = Clock::now();
  const auto question = ask(x, budget.seconds);
  auto certificate = question.exact ? exactly(*question.exact, energy_ ? 0 : question.rounding)
                                    : Sampling(*this, question, budget, stream).run();
  certificate.seconds = seconds_since(start);
  return certificate;
}

Certificate Certifier::certify_sum(const Tensor& x, Stream& stream) {
  proposal_->space().check(x.unsqueeze(0), true, "a certificate");
  return sum(x.contiguous(),
             {1 - settings_.confidence, settings_.width, settings_.seconds, settings_.samples},
             stream);
}

void Certifier::forget() {
  passes_ = std::make_unique<Passes>(settings_.colours);
}

void Certifier::set_log_z(const Certificate& certificate) {
  log_z_ = certificate;
}

const Certificate& Certifier::log_z(Stream& stream) {
  if (log_z_) return *log_z_;
  if (!energy_) {
    log_z_ = exactly(0);
    return *log_z_;
  }
  const auto known = energy_->exact() ? std::nullopt : energy_->known_log_z();
  if (known && known->error == 0) {
    log_z_ = exactly(known->value);
    return *log_z_;
  }
  const Budget budget{kBaseShare * (1 - settings_.confidence), kBaseWidth * settings_.width,
                      settings_.base_seconds, settings_.base_samples};
  log_z_ = sum(energy_->space().empty()[0].contiguous(), budget, stream);
  return *log_z_;
}

namespace {

/// a - b, of which each holds with its own confidence.
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

/// What is asked must hold what is given.
void check_given(const Tensor& x, const Tensor& given) {
  if (!(given == kUnknown).logical_or(given == x).all().item<bool>())
    throw SpecError("what is asked differs from what is given in a variable that is given");
}

}  // namespace

Certificate Certifier::certify(const Tensor& x, const Tensor& given, Stream& stream) {
  proposal_->space().check(x.unsqueeze(0), true, "a certificate");
  const auto delta = 1 - settings_.confidence;
  const auto& s = settings_;
  if (given.defined()) {
    proposal_->space().check(given.unsqueeze(0), true, "what is given");
    check_given(x, given);
    if (x.equal(given)) return exactly(0);
    const Budget half{delta / 2, s.width / 2, s.seconds / 2, s.samples};
    const auto below = sum(given.contiguous(), half, stream);
    if (below.log_marginal == -INFINITY && below.exact())
      throw SpecError("what is given has probability zero");
    return difference(sum(x.contiguous(), half, stream), below, "given");
  }
  if ((x == kUnknown).all().item<bool>()) return exactly(0);
  auto base = log_z(stream);
  base.passes = base.seconds = 0;  // paid once
  const auto share = base.confidence < 1 ? 1 - kBaseShare : 1;
  const auto left = s.width > 0 ? std::max(s.width - base.width(), s.width / 2) : 0;
  const auto top = sum(x.contiguous(), {share * delta, left, s.seconds, s.samples}, stream);
  return difference(top, base, "log Z");
}

}  // namespace marginalia
