#include "labels.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/any_order.h>
#include <marginalia/inference/gibbs.h>
#include <marginalia/inference/masking.h>
#include <marginalia/inference/single_changes.h>

#include "links.h"

namespace marginalia::mam {
namespace {

class Hard final : public Labels {
 public:
  Tensor loss(Step&, const Tensor& x, const Tensor& unknown, const Tensor& log_p) const override {
    const auto device = log_p.device();
    return masked_cross_entropy(log_p, x.to(device), unknown.to(device)).mean();
  }
};

class Soft : public Labels {
 public:
  Tensor loss(Step& step, const Tensor& x, const Tensor& unknown,
              const Tensor& log_p) const override {
    const auto device = log_p.device();
    return label_divergence(soft(step, x, unknown).to(device), log_p, unknown.to(device)).mean();
  }

 private:
  /// -> float32 [B, D, K].
  virtual Tensor soft(Step& step, const Tensor& x, const Tensor& unknown) const = 0;
};

class BySweeps final : public Soft {
 public:
  BySweeps(const Energy& energy, std::int64_t sweeps) : sampler_(energy), sweeps_(sweeps) {}

 private:
  Tensor soft(Step& step, const Tensor& x, const Tensor& unknown) const override {
    auto& stream = step.own_stream("family/labels");
    return sampler_.sweep(step.energy(), x, unknown, sweeps_, stream, true).mean;
  }
  mutable GibbsSampler sampler_;  // follows the inverse temperature of the step
  std::int64_t sweeps_;
};

class BySingleChanges final : public Soft {
 private:
  Tensor soft(Step& step, const Tensor& x, const Tensor&) const override {
    return conditionals_by_changes(step.energy(), x);
  }
};

void check(const char* labels, const Energy* energy, bool states_of_target) {
  if (!energy) throw SpecError(fmt::format("\"labels\": \"{}\" needs an \"energy\"", labels));
  if (!states_of_target)
    throw SpecError(
        fmt::format("\"labels\": \"{}\" needs states of the target: \"states\" \"gibbs\" "
                    "or \"metropolis\"",
                    labels));
}

}  // namespace

std::unique_ptr<Labels> make_labels(const LabelParams& params, const Energy* energy,
                                    bool states_of_target) {
  if (std::holds_alternative<HardLabels>(params)) return std::make_unique<Hard>();
  std::visit([&](const auto& p) { check(p.kName, energy, states_of_target); }, params);
  if (const auto* sweeps = std::get_if<GibbsSweeps>(&params))
    return std::make_unique<BySweeps>(*energy, sweeps->count);
  return std::make_unique<BySingleChanges>();
}

}  // namespace marginalia::mam
