#include "batches.h"

#include <algorithm>
#include <vector>

#include <omp.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/stream.h>

#include "sdk/base/clock.h"

namespace marginalia {

Batches::Batches(const Dataset& dataset, std::uint64_t seed, std::int64_t rows)
    : dataset_(dataset), seed_(seed), rows_(rows), size_(dataset.size(Split::kTrain)) {
  if (size_ == 0) throw SpecError(dataset.label() + ": its training split has no rows");
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
  std::vector<Tensor> parts;
  for (auto wanted = rows_; wanted > 0;) {
    const auto epoch = position / size_, at = position % size_;
    const auto count = std::min(wanted, size_ - at);
    const auto indices = permutation(epoch).slice(0, at, at + count);
    const auto key = seed_ ^ static_cast<std::uint64_t>(epoch);
    parts.push_back(dataset_.rows(Split::kTrain, indices, key));
    position += count;
    wanted -= count;
  }
  return parts.size() == 1 ? parts.front() : torch::cat(parts);
}

/// The order of the training rows in an epoch: a function of the seed and the epoch alone.
Tensor Batches::permutation(std::int64_t epoch) {
  const std::lock_guard lock(mutex_);
  if (epoch != epoch_) {
    Stream order(seed_, "data/order", static_cast<std::uint64_t>(epoch));
    permutation_ = order.permutations(1, size_)[0];
    epoch_ = epoch;
  }
  return permutation_;
}

}  // namespace marginalia
