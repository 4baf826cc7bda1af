#pragma once

#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include <oneapi/tbb/task_arena.h>

#include <marginalia/dataset.h>

namespace marginalia {

/// Training rows in a random order anew in each epoch, prepared on a thread of their own while the
/// last ones are used. What a batch holds depends on the seed and its position alone. With folds,
/// the n-th batch is of fold n % folds: of the rows whose index leaves that remainder.
class Batches {
 public:
  Batches(const Dataset& dataset, std::uint64_t seed, std::int64_t rows, std::int64_t folds = 1);
  ~Batches();

  /// The rows from `position` on, counted from the start of training: int64 [rows, D]. Those that
  /// follow are begun. Throws what the dataset threw.
  Tensor take(std::int64_t position);
  /// The fold of the batch at `position`.
  std::int64_t fold(std::int64_t position) const { return position / rows_ % folds_; }
  /// Seconds that the last take() waited.
  double waited() const { return waited_; }

 private:
  static constexpr std::int64_t kAhead = 3;

  void begin(std::int64_t position);
  Tensor make(std::int64_t position);
  Tensor permutation(std::int64_t fold, std::int64_t epoch);

  const Dataset& dataset_;
  std::uint64_t seed_;
  std::int64_t rows_, size_, folds_;
  tbb::task_arena workers_{1, 0};
  std::map<std::int64_t, std::future<Tensor>> begun_;
  std::mutex mutex_;                                                // of the orders
  std::map<std::int64_t, std::pair<std::int64_t, Tensor>> orders_;  // of each fold: epoch, order
  double waited_ = 0;
};

}  // namespace marginalia
