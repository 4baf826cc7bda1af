#include "batches.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <omp.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/stream.h>

#include "sdk/base/clock.h"

namespace marginalia {

Batches::Batches(const Dataset& dataset, std::uint64_t seed, std::int64_t rows, std::int64_t folds)
    : dataset_(dataset),
      seed_(seed),
      rows_(rows),
      size_(dataset.size(Split::kTrain)),
      folds_(folds) {
  if (size_ < folds)
    throw SpecError(fmt::format("{}: its training split has {}", dataset.label(),
                                size_ == 0 ? "no rows" : "fewer rows than there are folds"));
}

Batches::~Batches() {
  for (auto& [_, batch] : begun_)
    batch.wait();
}

Tensor Batches::take(std::int64_t position) {
  begin(position);
  for (std::int64_t n = 1; n <= kAhead; ++n)
    begin(position + n * rows_);
  begun_.erase(begun_.begin(), begun_.find(position));
  const auto start = Clock::now();
  auto batch = begun_.at(position).get();
  waited_ = seconds_since(start);
  begun_.erase(position);
  return batch;
}

void Batches::begin(std::int64_t position) {
  if (begun_.contains(position)) return;
  auto task = std::make_shared<std::packaged_task<Tensor()>>([this, position] {
    omp_set_num_threads(1);  // of this thread: training needs the others
    return make(position);
  });
  begun_.emplace(position, task->get_future());
  workers_.enqueue([task] { (*task)(); });
}

Tensor Batches::make(std::int64_t position) {
  const auto fold = this->fold(position);
  const auto size = (size_ - fold + folds_ - 1) / folds_;  // rows n with n % folds = fold
  if (folds_ > 1) position = position / rows_ / folds_ * rows_;
  std::vector<Tensor> parts;
  for (auto wanted = rows_; wanted > 0;) {
    const auto epoch = position / size, at = position % size;
    const auto count = std::min(wanted, size - at);
    const auto indices = permutation(fold, epoch).slice(0, at, at + count) * folds_ + fold;
    const auto key = seed_ ^ static_cast<std::uint64_t>(epoch);
    parts.push_back(dataset_.rows(Split::kTrain, indices, key));
    position += count;
    wanted -= count;
  }
  return parts.size() == 1 ? parts.front() : torch::cat(parts);
}

/// The order of a fold's rows in an epoch: a function of the seed, the fold and the epoch alone.
Tensor Batches::permutation(std::int64_t fold, std::int64_t epoch) {
  const std::lock_guard lock(mutex_);
  auto [found, is_new] = orders_.try_emplace(fold, -1, Tensor());
  auto& [of_epoch, order] = found->second;
  if (of_epoch != epoch) {
    const auto name = folds_ > 1 ? fmt::format("data/order/{}", fold) : std::string("data/order");
    Stream stream(seed_, name, static_cast<std::uint64_t>(epoch));
    order = stream.permutations(1, (size_ - fold + folds_ - 1) / folds_)[0];
    of_epoch = epoch;
  }
  return order;
}

}  // namespace marginalia
