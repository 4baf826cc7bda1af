#include <torch/nn/modules/linear.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include "host/training/checkpoint.h"
#include "host/training/optimizer.h"
#include "marginalia_test.h"

using namespace marginalia;

namespace {

/// Twenty steps on a quadratic by our optimiser and by LibTorch's: largest difference.
template <class Theirs>
double difference(const OptimizerParams& params, Theirs make) {
  torch::manual_seed(4);
  const auto start = torch::randn({37, 3}), target = torch::randn({37, 3});
  auto ours = start.clone().requires_grad_(), theirs = start.clone().requires_grad_();
  Optimizer optimizer(params, {{"all", {{"p", ours}}}});
  auto reference = make(theirs);
  for (int step = 0; step < 20; ++step) {
    (ours - target).square().mul(torch::arange(1, 4)).sum().backward();
    optimizer.step("", 1);
    reference.zero_grad();
    (theirs - target).square().mul(torch::arange(1, 4)).sum().backward();
    reference.step();
  }
  return (ours - theirs).abs().max().item<double>();
}

}  // namespace

TEST_CASE("the update rules are LibTorch's") {
  OptimizerParams params;
  params.learning_rate = 0.05;
  params.beta2 = 0.99;
  CHECK(difference(params, [](Tensor p) {
          return torch::optim::Adam({p}, torch::optim::AdamOptions(0.05).betas({0.9, 0.99}));
        }) < 2e-6);
  params.weight_decay = 0.1;
  CHECK(difference(params, [](Tensor p) {
          return torch::optim::Adam(
              {p}, torch::optim::AdamOptions(0.05).betas({0.9, 0.99}).weight_decay(0.1));
        }) < 2e-6);
  params.type = "adamw";
  CHECK(difference(params, [](Tensor p) {
          return torch::optim::AdamW(
              {p}, torch::optim::AdamWOptions(0.05).betas({0.9, 0.99}).weight_decay(0.1));
        }) < 2e-6);
  params = {};
  params.type = "sgd";
  params.learning_rate = 0.01;
  params.momentum = 0.9;
  CHECK(difference(params, [](Tensor p) {
          return torch::optim::SGD({p}, torch::optim::SGDOptions(0.01).momentum(0.9));
        }) < 2e-6);
}

TEST_CASE("clipping scales the whole gradient to the norm asked for") {
  auto a = torch::zeros({2}).requires_grad_(), b = torch::zeros({1}).requires_grad_();
  Optimizer optimizer({}, {{"all", {{"a", a}, {"b", b}}}});
  (a * torch::tensor({3.0, 0.0})).sum().add((b * 4).sum()).backward();
  CHECK(optimizer.clip("", 1) == doctest::Approx(5));
  CHECK(a.grad()[0].item<double>() == doctest::Approx(0.6));
  CHECK(b.grad()[0].item<double>() == doctest::Approx(0.8));
}

TEST_CASE("the cosine schedule warms up, then falls to its final fraction") {
  ScheduleParams schedule;
  schedule.type = "cosine";
  schedule.warmup_steps = 4;
  schedule.final_fraction = 0.1;
  CHECK(learning_rate_factor(schedule, 0, 0) == doctest::Approx(0.25));
  CHECK(learning_rate_factor(schedule, 4, 0) == doctest::Approx(1));
  CHECK(learning_rate_factor(schedule, 50, 0.5) == doctest::Approx(0.55));
  CHECK(learning_rate_factor(schedule, 100, 1) == doctest::Approx(0.1));
}

TEST_CASE("a factor for a group that is not there is refused") {
  OptimizerParams params;
  params.factors = {{"log_y", 10.0}};
  auto p = torch::zeros({1}).requires_grad_();
  CHECK(test::refusal([&] {
          Optimizer(params, {{"log_z", {{"p", p}}}});
        }) == "training.optimizer.factors: no parameter group is called \"log_y\"; did you mean "
              "\"log_z\"?\n  there is: log_z");
}

TEST_CASE("the average of a parameter begins with its own first update") {
  auto early = torch::zeros({2}).requires_grad_(), late = torch::zeros({2}).requires_grad_();
  OptimizerParams params;
  params.type = "sgd";
  params.learning_rate = 1;
  Optimizer optimizer(params, {{"early", {{"e", early}}}, {"late", {{"l", late}}}});
  MovingAverage average(0.99, {{"early", {{"e", early}}}, {"late", {{"l", late}}}});
  double of_early = 0, of_late = 0;
  const auto averages = [&] {
    average.swap();
    const std::pair both{early[0].item<double>(), late[0].item<double>()};
    average.swap();
    return both;
  };
  for (int n = 1; n <= 100; ++n) {  // every update adds 1
    if (n > 60) early.set_requires_grad(false);
    (n <= 60 ? -early.sum() : -late.sum()).backward();
    optimizer.step(n <= 60 ? "early" : "late", 1);
    average.update(optimizer.updates());
    if (n <= 60)
      of_early += (n - of_early) * (1 - std::min(0.99, n / (9.0 + n)));
    else
      of_late += (n - 60 - of_late) * (1 - std::min(0.99, (n - 60) / (n - 51.0)));
    CAPTURE(n);
    CHECK(averages().first == doctest::Approx(of_early));
    CHECK(averages().second == doctest::Approx(of_late));
  }
  CHECK(of_late > 30);                                          // of 40, not of 100
  CHECK(early[0].item<double>() == doctest::Approx(of_early));  // what is frozen is its average
}
