#include <ATen/Parallel.h>

#include <marginalia/gibbs.h>

#include "marginalia_test.h"

using namespace marginalia;

namespace {

const char* kIsing = R"({"type": "ising", "side": 3, "coupling": 0.5, "field": 0.3})";

/// The energy without its pairwise factors, so that the general way is taken.
class Unfactored final : public Energy {
 public:
  explicit Unfactored(std::shared_ptr<Energy> of) : of_(std::move(of)) {}
  const StateSpace& space() const override { return of_->space(); }
  Offer<LocalConditionals> local() const override { return of_->local(); }

 private:
  Tensor compute_log_density(const Tensor& x) const override { return of_->log_density(x); }
  std::shared_ptr<Energy> of_;
};

}  // namespace

TEST_CASE("clamped Gibbs sweeps sample the exact posterior, by the kernel and by colours") {
  const auto energy = test::make<Energy>(kIsing);
  const Unfactored unfactored(energy);
  const EnumerationOracle exact(*energy);
  auto partial = energy->space().empty()[0];
  partial[0] = 1;
  partial[4] = 0;
  const auto p = exact.single_marginals(partial).select(1, 1);  // [D]
  for (const Energy* e :
       {static_cast<const Energy*>(energy.get()), static_cast<const Energy*>(&unfactored)}) {
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
