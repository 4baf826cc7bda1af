#include <ATen/Parallel.h>

#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/gibbs.h>

#include "factors.h"

using namespace marginalia;

namespace {

const char* kIsing = R"({"type": "ising", "side": 3, "coupling": 0.5, "field": 0.3})";

/// The energy with its factors alone.
class FactorsAlone final : public Energy {
 public:
  explicit FactorsAlone(std::shared_ptr<Energy> of) : of_(std::move(of)) {}
  const StateSpace& space() const override { return of_->space(); }
  Offer<FactorModel> factors() const override { return of_->factors(); }

 private:
  Tensor compute_log_density(const Tensor& x) const override { return of_->log_density(x); }
  std::shared_ptr<Energy> of_;
};

/// Pairs of chances whose sum is less than 1 by rounding, beside a variable of three values.
class Rounded final : public Energy, private LocalConditionals {
 public:
  Rounded() {
    logits_ = torch::tensor({0.0, 0.05, double(-INFINITY)}, torch::kFloat).repeat({1, 16, 1});
    logits_[0][15][2] = 0;
  }
  const StateSpace& space() const override { return space_; }
  Offer<LocalConditionals> local() const override { return {this}; }

 private:
  Tensor compute_log_density(const Tensor& x) const override {
    return torch::zeros({x.size(0)}, torch::kDouble);
  }
  Tensor logits(const Tensor& partial) const override {
    return logits_.expand({partial.size(0), 16, 3});
  }
  Tensor known_part(const Tensor& partial) const override {
    return torch::zeros({partial.size(0)}, torch::kDouble);
  }
  const Tensor& colours() const override { return colours_; }

  StateSpace space_{{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3}, {16}};
  Tensor logits_, colours_ = torch::zeros({16}, torch::kLong);
};

}  // namespace

TEST_CASE("Gibbs sweeps by colour draw no value that a variable does not have") {
  const Rounded energy;
  const GibbsSampler sampler(energy);
  Stream stream(1, "test");
  auto x = torch::zeros({1 << 17, 16}, torch::kLong);
  for (int n = 0; n < 12; ++n) {  // 2^24.6 draws, of which the largest u is one in 2^24
    x = sampler.sweep(x, {}, 1, stream, false).states;
    CHECK(test::refusal([&] { energy.space().check(x, false, "x"); }) == "accepted");
  }
}

TEST_CASE("clamped Gibbs sweeps sample the exact posterior, by kernels, factors and colours") {
  const auto energy = test::make<Energy>(kIsing);
  const test::Unfactored unfactored(energy);
  const FactorsAlone factored(energy);
  const EnumerationOracle exact(*energy);
  auto partial = energy->space().empty()[0];
  partial[0] = 1;
  partial[4] = 0;
  const auto p = exact.single_marginals(partial).select(1, 1);  // [D]
  for (const Energy* e :
       {static_cast<const Energy*>(energy.get()), static_cast<const Energy*>(&unfactored),
        static_cast<const Energy*>(&factored)}) {
    const GibbsSampler sampler(*e);
    Stream stream(7, "test");
    const auto rows = 4001;  // not a multiple of the lanes
    auto x = torch::randint(2, {rows, 9}, torch::kLong);
    x.select(1, 0).fill_(1);
    x.select(1, 4).fill_(0);
    const auto free = (partial == kUnknown).unsqueeze(0).expand({rows, 9}).contiguous();
    x = sampler.sweep(x, free, 30, stream, false).states;
    const auto result = sampler.sweep(x, free, 30, stream, true);
    CHECK(result.states.select(1, 0).eq(1).all().item<bool>());
    CHECK(result.states.select(1, 4).eq(0).all().item<bool>());
    const auto seen = result.states.to(torch::kDouble).mean(0);
    CHECK((seen - p).abs().max().item<double>() < 0.035);  // 4.4 sigma of 4001 draws
    const auto mean = result.mean.select(2, 1).to(torch::kDouble).mean(0);
    const auto unknown = partial == kUnknown;
    CHECK((mean - p).index({unknown}).abs().max().item<double>() < 0.006);
    CHECK(torch::allclose(result.mean.sum(2).index({free}), torch::ones({1}), 1e-4, 1e-4));
  }
}

TEST_CASE("Gibbs draws depend on the stream, not on the number of threads") {
  const auto energy = test::make<Energy>(kIsing);
  const GibbsSampler sampler(*energy);
  const auto x = torch::zeros({100, 9}, torch::kLong);
  const auto threads = at::get_num_threads();
  Stream one(1, "test"), two(1, "test");
  at::set_num_threads(1);
  const auto a = sampler.sweep(x, {}, 3, one, false).states;
  at::set_num_threads(threads);
  CHECK(sampler.sweep(x, {}, 3, two, false).states.equal(a));
  CHECK(x.eq(0).all().item<bool>());  // the input is left alone
}

TEST_CASE("sweeps of a metered energy are counted there, and follow its inverse temperature") {
  const auto energy = test::make<Energy>(kIsing);
  MeteredEnergy metered(*energy);
  GibbsSampler sampler(*energy);
  Stream stream(9, "test");
  const auto x = torch::zeros({5, 9}, torch::kLong);
  auto free = torch::zeros({5, 9}, torch::kBool);
  free.select(1, 2).fill_(true);
  sampler.sweep(metered, x, free, 4, stream, false);
  CHECK(metered.evaluations() == 5 * 1 * 4);  // rows, free variables, sweeps
  sampler.sweep(metered, x, {}, 2, stream, false);
  CHECK(metered.evaluations() == 20 + 5 * 9 * 2);
  metered.set_inverse_temperature(1e-6);  // every value becomes as likely as the other
  const auto mean = sampler.sweep(metered, x, {}, 1, stream, true).mean;
  CHECK(torch::allclose(mean, torch::full({1}, 0.5F), 1e-4, 1e-4));
}

TEST_CASE("Gibbs sweeps over factors of all kinds sample the exact distribution") {
  const test::TextFile file("MARKOV 4 2 3 2 3 3  3 0 1 2  2 2 3  1 3  12 1 2 0 3 1 1 2 2 4 1 0.5 3"
                            "  6 1 0 2 3 1 1  3 1 2 1.5");
  const auto energy =
      test::make<Energy>(R"({"type": "factor_graph", "file": ")" + file.path.string() + "\"}");
  const auto p = energy->exact()->single_marginals(energy->space().empty()[0]);
  const GibbsSampler sampler(*energy);
  Stream stream(8, "test");
  const auto rows = 4000;
  auto x = energy->exact()->sample(energy->space().empty().expand({rows, 4}), stream);
  const auto result = sampler.sweep(x, {}, 5, stream, true);
  CHECK(torch::isfinite(energy->log_density(result.states)).all().item<bool>());
  for (std::int64_t i = 0; i < 4; ++i)
    for (std::int64_t k = 0; k < 3; ++k) {
      const auto share = (result.states.select(1, i) == k).to(torch::kDouble).mean().item<double>();
      CHECK(std::abs(share - p[i][k].item<double>()) < 0.035);
      CHECK(std::abs(result.mean.select(1, i).select(1, k).mean().item<double>() -
                     p[i][k].item<double>()) < 0.02);
    }
}
