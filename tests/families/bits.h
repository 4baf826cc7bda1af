#pragma once

#include <cmath>
#include <fstream>
#include <string>

#include <fmt/format.h>
#include <torch/types.h>

#include "built.h"
#include "host/training/trainer.h"
#include "marginalia_test.h"

#include <marginalia/inference/enumeration.h>

namespace marginalia::test {

/// 400 rows of six bits, each bit the one before with probability 0.8, as text at `file`.
inline void write_bits(const std::string& file) {
  torch::manual_seed(3);
  std::ofstream out(file);
  for (int n = 0; n < 400; ++n) {
    auto bit = torch::randint(2, {1}).item<int>();
    for (int i = 0; i < 6; ++i) {
      if (torch::rand({1}).item<double>() < 0.2) bit = 1 - bit;
      out << bit << (i == 5 ? "\n" : ",");
    }
  }
}

/// sum_x p (log p - log q) of their true law p.  log_q: float64 [64], of all states.
inline double divergence_of_bits(const Tensor& log_q) {
  const auto states = all_states(StateSpace::uniform(6, 2));
  const auto repeats = (states.slice(1, 1) == states.slice(1, 0, 5)).sum(1).to(torch::kDouble);
  const auto log_p = std::log(0.5) + repeats * std::log(0.8) + (5 - repeats) * std::log(0.2);
  return (log_p.exp() * (log_p - log_q)).sum().item<double>();
}

/// The same of `family` after it has learned from them: JSON of the family and of "training".
inline double divergence_of_bits(const std::string& family, const std::string& training) {
  const TempDir folder;
  write_bits(folder / "rows.txt");
  const auto text = fmt::format(R"({{"marginalia": 2, "seed": 1, "family": {}, "training": {},
    "dataset": {{"type": "table", "train": "rows.txt", "valid": "rows.txt", "test": "rows.txt"}}}})",
                                family, training);
  const auto spec = Spec::from_text(text, "spec.json", {folder.path(), folder.path()});
  Experiment experiment(in_float32(spec), loaded_registry(), "cpu");
  train(experiment, RunDirectory::create(folder / "run", false), {}, {});
  const auto states = all_states(experiment.space());
  Stream stream(1, "test");
  return divergence_of_bits(
      experiment.family->answer({QueryKind::kLogMarginal, states}, stream).value);
}

}  // namespace marginalia::test
