#include <marginalia/evaluator.h>
#include <marginalia/trainer.h>

#include "marginalia_test.h"

#include "bits.h"

using namespace marginalia;

namespace {

/// Six bits, each likely to repeat the one before; a small causal transformer along `order`.
struct Chained {
  test::TempDir folder;
  std::unique_ptr<Experiment> experiment;

  explicit Chained(const std::string& order) {
    test::write_bits(folder / "rows.txt");
    const auto text = R"({"marginalia": 1, "seed": 1,
      "dataset": {"type": "table", "train": "rows.txt", "valid": "rows.txt", "test": "rows.txt"},
      "network": {"type": "transformer", "channels": 16, "depth": 1, "heads": 2},
      "family": {"type": "arm", "particles": 4000, )" +
                      order +
                      R"(},
      "training": {"steps": 150, "batch_size": 64, "optimizer": {"learning_rate": 0.01}}})";
    const auto spec = Spec::from_text(text, "spec.json", {folder.path(), folder.path()});
    experiment = std::make_unique<Experiment>(spec, test::loaded_registry(), "cpu");
    const auto run = RunDirectory::create(folder / "run", false);
    train(*experiment, run, {}, {});
    experiment->family->set_training(false);
  }
  Answer ask(QueryKind kind, const Tensor& partial, const Tensor& given = {}) const {
    Stream stream(9, "test");
    torch::NoGradGuard no_grad;
    return experiment->family->answer({kind, partial, given}, stream);
  }
};

Tensor all_bits() {
  const auto index = torch::arange(64);
  std::vector<Tensor> columns;
  for (std::int64_t i = 0; i < 6; ++i)
    columns.push_back(torch::floor_divide(index, std::int64_t{1} << i).remainder(2));
  return torch::stack(columns, 1);
}

}  // namespace

TEST_CASE("an autoregressive model is normalised, learns, and is exact where S begins its order") {
  const Chained model(R"("sequence": [2, 0, 1, 5, 4, 3])");
  const auto states = all_bits();
  const auto answer = model.ask(QueryKind::kLogMarginal, states);
  CHECK((answer.status == Status::kExact));
  CHECK(answer.passes == 1);
  const auto p = answer.value.exp();
  CHECK(p.sum().item<double>() == doctest::Approx(1).epsilon(1e-5));
  // The truth repeats with probability 0.8: entropy log 2 + 5 x 0.5004.
  const auto truth = [&] {
    const auto repeats = (states.slice(1, 1) == states.slice(1, 0, 5)).sum(1).to(torch::kDouble);
    return std::log(0.5) + repeats * std::log(0.8) + (5 - repeats) * std::log(0.2);
  }();
  CHECK((truth.exp() * (truth - answer.value)).sum().item<double>() < 0.15);

  auto beginning = torch::full({1, 6}, kUnknown, torch::kLong);
  beginning[0][2] = 1;
  beginning[0][0] = 0;
  const auto exact = model.ask(QueryKind::kLogMarginal, beginning);
  CHECK((exact.status == Status::kExact));
  const auto agrees = ((beginning == kUnknown).logical_or(states == beginning)).all(1);
  CHECK(exact.value[0].item<double>() ==
        doctest::Approx(std::log(p.masked_select(agrees).sum().item<double>())).epsilon(1e-5));
}

TEST_CASE("particles estimate marginals, conditionals and completions of any other set") {
  const Chained model(R"("order": "backward")");
  const auto states = all_bits();
  const auto p = model.ask(QueryKind::kLogMarginal, states).value.exp();
  auto partial = torch::full({1, 6}, kUnknown, torch::kLong);
  partial[0][0] = 1;
  partial[0][3] = 0;
  const auto agrees = ((partial == kUnknown).logical_or(states == partial)).all(1);
  const auto total = p.masked_select(agrees).sum().item<double>();
  const auto estimate = model.ask(QueryKind::kLogMarginal, partial);
  CHECK((estimate.status == Status::kEstimate));
  CHECK(estimate.value[0].item<double>() == doctest::Approx(std::log(total)).epsilon(0.05));
  const auto conditionals = model.ask(QueryKind::kConditionals, partial).value.exp();
  const auto one = agrees.logical_and(states.select(1, 4) == 1);
  CHECK(std::abs(conditionals[0][4][1].item<double>() -
                 p.masked_select(one).sum().item<double>() / total) < 0.05);
}
