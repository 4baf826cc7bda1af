#pragma once

#include <cmath>
#include <fstream>
#include <memory>
#include <string>

#include "built.h"
#include "host/experiment/experiment.h"
#include "host/training/trainer.h"
#include "marginalia_test.h"

#include <marginalia/inference/enumeration.h>

namespace marginalia::test {

/// Five variables of 2, 3, 2, 2 and 3 values, 40 rows in which neighbours depend on each other.
inline torch::Tensor mixed_rows() {
  torch::manual_seed(11);
  auto x = torch::empty({40, 5}, torch::kLong);
  const std::int64_t K[] = {2, 3, 2, 2, 3};
  for (std::int64_t i = 0; i < 5; ++i) {
    const auto fresh = torch::randint(K[i], {40}, torch::kLong);
    const auto copied = i == 0 ? fresh : x.select(1, i - 1).clamp_max(K[i] - 1);
    x.select(1, i).copy_(torch::where(torch::rand({40}) < 0.7, copied, fresh));
  }
  return x;
}

/// A family after at most `steps` steps on mixed_rows(), all of them in a batch.
struct TrainedOnRows {
  TempDir folder;
  std::unique_ptr<Experiment> experiment;
  std::int64_t steps_taken = 0;

  /// more: further settings of training, as text
  TrainedOnRows(const std::string& family, int steps, const std::string& more = "") {
    std::ofstream file(folder / "rows.txt");
    const auto x = mixed_rows();
    for (std::int64_t n = 0; n < x.size(0); ++n)
      for (std::int64_t i = 0; i < 5; ++i)
        file << x[n][i].item<std::int64_t>() << (i == 4 ? "\n" : ",");
    file.close();
    const auto text = R"({"marginalia": 2, "seed": 1, "family": )" + family +
                      R"(, "training": {"batch_size": 40, "steps": )" + std::to_string(steps) +
                      (more.empty() ? "" : ", " + more) +
                      R"(, "optimizer": {"learning_rate": 0.03}},
      "dataset": {"type": "table", "train": "rows.txt", "valid": "rows.txt", "test": "rows.txt"}})";
    const auto spec = Spec::from_text(text, "spec.json", {folder.path(), folder.path()});
    experiment = std::make_unique<Experiment>(in_float32(spec), loaded_registry(), "cpu");
    const auto run = RunDirectory::create(folder / "run", false);
    steps_taken = train(*experiment, run, {}, {}).state.step;
    experiment->family->set_training(false);
  }
  const Family& family() const { return *experiment->family; }
  Tensor log_p(const Tensor& partial, const Tensor& given = {}) const {
    Stream stream(1, "test");
    return family().answer({QueryKind::kLogMarginal, partial, given}, stream).value;
  }
};

/// Log-marginals, conditionals and samples of `family` against sums of its own p over all states.
inline void check_exact(const Family& family) {
  Stream stream(3, "test");
  const auto& space = family.space();
  const auto D = space.dimension();
  const auto states = all_states(space);
  const auto ask = [&](QueryKind kind, const torch::Tensor& x, const torch::Tensor& given = {}) {
    return family.answer({kind, x, given}, stream);
  };
  const auto p = ask(QueryKind::kLogMarginal, states).value.exp();
  CHECK(p.sum().item<double>() == doctest::Approx(1).epsilon(1e-9));
  const auto summed = [&](const torch::Tensor& partial) {
    const auto agrees = (partial == kUnknown).logical_or(states == partial).all(1);
    return p.masked_select(agrees).sum().item<double>();
  };

  torch::manual_seed(4);
  const auto partial = states.index({torch::randint(states.size(0), {12}, torch::kLong)})
                           .masked_fill(torch::rand({12, D}) < 0.5, kUnknown);
  const auto log_p = ask(QueryKind::kLogMarginal, partial).value;
  const auto conditionals = ask(QueryKind::kConditionals, partial).value.exp();
  for (std::int64_t b = 0; b < partial.size(0); ++b) {
    const auto total = summed(partial[b]);
    CHECK(log_p[b].item<double>() == doctest::Approx(std::log(total)).epsilon(1e-9));
    for (std::int64_t i = 0; i < D; ++i)
      for (std::int64_t k = 0; k < space.levels(); ++k) {
        auto more = partial[b].clone();
        const auto known = more[i].item<std::int64_t>();
        more[i] = k;
        const auto expected = known == kUnknown ? summed(more) / total : double(known == k);
        CHECK(conditionals[b][i][k].item<double>() == doctest::Approx(expected).epsilon(1e-9));
      }
  }

  constexpr std::int64_t kDraws = 20000;
  auto given = torch::full({kDraws, D}, kUnknown, torch::kLong);
  given.select(1, 2).fill_(1);
  const auto drawn = ask(QueryKind::kSample, given);
  CHECK(drawn.states.select(1, 2).equal(given.select(1, 2)));
  CHECK(drawn.value.allclose(ask(QueryKind::kLogMarginal, drawn.states, given).value));
  const auto agrees = states.select(1, 2) == 1;
  const auto expected = kDraws * torch::where(agrees, p / summed(given[0]), torch::zeros_like(p));
  const auto counts = (drawn.states.unsqueeze(1) == states).all(2).sum(0);
  const auto deviations = (counts - expected) / expected.sqrt();
  CHECK(deviations.masked_select(expected > 5).abs().max().item<double>() < 4.5);
}

/// The most probable completions of partial states, proved, against a look at all states.
inline void check_most_probable(const Family& family) {
  Stream stream(5, "test");
  const auto& space = family.space();
  const auto states = all_states(space);
  const auto log_p = family.answer({QueryKind::kLogMarginal, states}, stream).value;
  torch::manual_seed(6);
  const auto partial = states.index({torch::randint(states.size(0), {30}, torch::kLong)})
                           .masked_fill(torch::rand({30, space.dimension()}) < 0.7, kUnknown);
  const auto found = family.answer({QueryKind::kMaxProbable, partial}, stream);
  CHECK((found.status == Status::kExact));
  const auto given = family.answer({QueryKind::kLogMarginal, partial}, stream).value;
  for (std::int64_t b = 0; b < partial.size(0); ++b) {
    CAPTURE(b);
    const auto agrees = (partial[b] == kUnknown).logical_or(states == partial[b]).all(1);
    const auto best = log_p.masked_select(agrees).max().item<double>();
    CHECK((found.value + given)[b].item<double>() == doctest::Approx(best).epsilon(1e-9));
  }
}

}  // namespace marginalia::test
