#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/enumeration.h>

#include "exact_posterior.h"

namespace marginalia {

static void append(std::string& reasons, const std::string& more) {
  reasons += (reasons.empty() ? "" : "; ") + more;
}

ExactPosterior::ExactPosterior(const Energy& energy)
    : exact_(std::make_unique<ExactAnswers>(energy)) {
  if (const auto own = energy.posterior()) ways_.push_back({own.value, nullptr});
  if (const auto factors = energy.factors()) {
    const auto obstacle = MonotoneCoupling::obstacle(*factors);
    if (obstacle.empty()) {
      coupling_ = std::make_unique<MonotoneCoupling>(*factors);
      ways_.push_back({coupling_.get(), nullptr});
    } else {
      append(reason_, "no coupling from the past: " + obstacle);
    }
  } else {
    append(reason_, "no coupling from the past: " + factors.reason);
  }
  if (const auto oracle = exact_->oracle())
    ways_.push_back({nullptr, oracle.value});
  else
    append(reason_, "no oracle: " + oracle.reason);
}

ExactPosterior::Draws ExactPosterior::draws(const Tensor& state) const {
  Draws draws;
  draws.source_ = this;
  draws.state_ = state;
  return draws;
}

Tensor ExactPosterior::Draws::sample(std::int64_t count, Stream& stream) {
  const auto rows = state_.unsqueeze(0).repeat({count, 1});
  for (; next_ < source_->ways_.size(); ++next_) {
    const auto& [sampler, oracle] = source_->ways_[next_];
    try {
      method_ = sampler ? sampler->method() : oracle->method();
      const auto drawn = sampler ? sampler->sample(rows, stream) : oracle->sample(rows, stream);
      yielded_ = true;
      return drawn;
    } catch (const std::exception& e) {
      if (yielded_) throw;
      append(reasons_, describe_error(e));
    }
  }
  method_.clear();
  auto all = reasons_;
  if (!source_->reason_.empty()) append(all, source_->reason_);
  throw Error(all);
}

}  // namespace marginalia
