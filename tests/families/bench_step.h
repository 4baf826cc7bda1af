#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <torch/types.h>

#include <marginalia/family.h>

#include "host/experiment/experiment.h"
#include "marginalia_test.h"

namespace marginalia::test {

/// Every order of D variables, [1, D] each.
inline std::vector<torch::Tensor> all_orders(std::int64_t D) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(D));
  std::iota(order.begin(), order.end(), 0);
  std::vector<torch::Tensor> all;
  do
    all.push_back(torch::tensor(order).unsqueeze(0));
  while (std::ranges::next_permutation(order).found);
  return all;
}

/// Whether the mean of independent `terms` is `truth`, within five standard errors.
inline void check_mean(const torch::Tensor& terms, double truth, double closest) {
  const auto error = terms.std().item<double>() / std::sqrt(double(terms.numel()));
  CHECK(std::abs(terms.mean().item<double>() - truth) < 5 * error + 1e-12);
  CHECK(error < closest);  // close enough to tell
}

/// All gradients of a family in one row, which are dropped.
inline torch::Tensor take_gradients(Family& family) {
  std::vector<torch::Tensor> all;
  for (auto& group : family.parameters())
    for (auto& [name, parameter] : group.parameters) {
      const auto& gradient = parameter.grad();
      all.push_back((gradient.defined() ? gradient : torch::zeros_like(parameter))
                        .flatten()
                        .to(torch::kDouble));
      parameter.mutable_grad() = torch::Tensor();
    }
  return torch::cat(all);
}

/// A step that takes the gradient of the loss, and moves nothing.
class BenchStep final : public Step {
 public:
  BenchStep(Experiment& of, std::int64_t batch)
      : family_(*of.family), batch_(batch), energy_(*of.energy), streams_(of.seed) {}
  std::vector<torch::Tensor> gradients;
  std::vector<double> losses;
  std::int64_t steps = 0, passes = 0;

  std::int64_t index() const override { return steps; }
  double progress() const override { return 0; }
  void set_stage(double, double) override {}
  std::int64_t batch_size() const override { return batch_; }
  torch::Tensor batch() override { throw Error("no data"); }
  torch::Tensor share(const torch::Tensor& rows) const override { return rows; }
  torch::Tensor gather(const torch::Tensor& share) override { return share; }
  torch::Tensor sum(const torch::Tensor& own) override { return own; }
  bool has_dataset() const override { return false; }
  MeteredEnergy& energy() override { return energy_; }
  bool has_energy() const override { return true; }
  Stream& stream(const std::string& name) override { return streams_.at(name); }
  Stream& own_stream(const std::string& name) override { return streams_.at(name); }
  void minimise(const torch::Tensor& loss, const std::string&) override {
    losses.push_back(loss.item<double>());
    loss.backward();
    gradients.push_back(take_gradients(family_));
    ++steps;
  }
  void record(const std::string&, double) override {}
  void count_passes(std::int64_t rows) override { passes += rows; }

 private:
  Family& family_;
  std::int64_t batch_;
  MeteredEnergy energy_;
  Streams streams_;
};

}  // namespace marginalia::test
