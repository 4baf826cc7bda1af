#pragma once

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/training/checkpoint.h"
#include "host/training/tensor_collector.h"
#include "host/training/trainer.h"
#include "ranks.h"

namespace marginalia::test {

/// All that a family knows, one number after the other.
inline Tensor flat_state(Family& family) {
  TensorCollector state;
  family.visit(state);
  std::vector<Tensor> all;
  for (const auto& [_, tensor] : state.tensors)
    all.push_back(tensor.to(torch::kDouble).flatten());
  return torch::cat(all);
}

/// What training has come to on each rank.
struct Learned {
  std::vector<Tensor> knows;  // flat_state
  std::vector<std::vector<double>> losses;
  std::vector<TrainingState> states;
  std::vector<Outcome> outcomes;
  std::vector<std::int64_t> sent;  // bytes of all ranks, which are one process, after each step
};

/// Trains `make()` in `run` on `size` ranks, from its newest checkpoint where it has one.
inline Learned train_on_ranks(int size, const std::function<Experiment()>& make,
                              const std::filesystem::path& run,
                              const std::vector<std::atomic<bool>>* stops = nullptr) {
  const auto count = std::size_t(size);
  std::vector<std::unique_ptr<Experiment>> experiments;
  for (std::size_t i = 0; i < count; ++i)  // one after the other: they seed LibTorch's generator
    experiments.push_back(std::make_unique<Experiment>(make()));
  auto directory = std::filesystem::exists(run) ? RunDirectory::open(run, true)
                                                : RunDirectory::create(run, false);
  directory.set_record({{"spec", experiments[0]->resolved}});
  std::vector<std::string> refused;
  const auto from = newest_checkpoint(directory.checkpoints(), refused);
  Learned learned{std::vector<Tensor>(count),
                  std::vector<std::vector<double>>(count),
                  std::vector<TrainingState>(count),
                  std::vector<Outcome>(count),
                  {}};
  const auto work = [&](Communicator* ranks) {
    const auto i = ranks ? std::size_t(ranks->rank()) : 0;
    const TrainingHooks hooks{stops ? &(*stops)[i] : nullptr, {}};
    TrainingLoop loop(*experiments[i], {i == 0 ? &directory : nullptr, ranks}, from, hooks);
    for (bool more = true; more;) {
      more = loop.advance();
      learned.losses[i].push_back(loop.loss());
      if (i == 0) learned.sent.push_back(sent_bytes());
    }
    const auto end = loop.end();
    learned.outcomes[i] = end.outcome;
    learned.states[i] = end.state;
    learned.knows[i] = flat_state(*experiments[i]->family);
  };
  if (size == 1)
    work(nullptr);
  else
    on_all_ranks(size, [&](Communicator& ranks) { work(&ranks); });
  return learned;
}

inline std::vector<Json> read_steady_numbers(const std::filesystem::path& run) {
  std::vector<Json> lines;
  std::ifstream in(run / "metrics.jsonl");
  for (std::string line; std::getline(in, line);) {
    lines.push_back(Json::parse(line));
    for (const auto* clock : {"seconds", "train/step_seconds", "train/data_wait_seconds"})
      lines.back().erase(clock);
  }
  return lines;
}

}  // namespace marginalia::test
