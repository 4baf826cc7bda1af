#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "elimination_block.h"
#include "elimination_branches.h"
#include "stored_values.h"

namespace marginalia::elimination {

/// A table of values >= 0, the true ones divided by exp(log_scale); or, where they are too far
/// apart for that, of their logs.
struct Table {
  StoredValues values;
  double log_scale = 0;
  int low = 0, high = 0;  ///< log2 of what is above 0 lies between them
  bool logs = false;
};

/// A model as tables to multiply, of which equal ones are one: those of factors that are too wide
/// for values are empty.
class Tables {
 public:
  explicit Tables(const FactorModel& model);
  const FactorModel& model() const { return model_; }
  const Table& factor(std::size_t a) const { return distinct_[of_factor_[a]]; }

 private:
  const FactorModel& model_;
  std::vector<Table> distinct_;
  std::vector<std::size_t> of_factor_;
};

/// The messages of one query: values side by side, with one scale a message, wherever products of
/// them can neither underflow nor overflow; logs entry by entry elsewhere. Those that no step works
/// on are at rest, without their zeros.
class Messages {
 public:
  /// What is kept of them: for log Z alone each goes once it was read.
  enum class Keep { kNone, kAll };
  /// values: [D], those that are known.
  Messages(const Tables& tables, const EliminationPlan& plan,
           const std::vector<std::int64_t>& values, Keep keep);

  double log_z() const { return log_z_; }

  /// p(x_i = k | known) of every unknown variable: calls put(i, k, p), from several threads, each
  /// (i, k) once. Once, and last: the messages are used up.
  void marginals(const std::function<void(std::int64_t, std::int64_t, double)>& put);

  /// Completes `x` [D] by one draw: uniform() gives numbers in [0, 1).
  void sample(std::int64_t* x, const std::function<double()>& uniform) const;

 private:
  struct Down;
  struct Block {
    const double* p = nullptr;
    double total = 0;
  };
  void for_children(std::size_t n, const std::function<void(std::size_t)>& visit) const;
  bool read_next(std::size_t n) const;
  std::vector<const double*> sources_of(const PlanStep& step) const;
  const Table& table(const TableSource& source) const;
  double log_at(const TableSource& source, std::int64_t entry) const;
  double log_sum(const PlanStep& step, const EntryWalk& walk, std::int64_t k) const;
  void send(std::size_t n);
  void send_values(std::size_t n);
  void send_logs(std::size_t n);
  bool in_place(std::size_t n, const LoopSource& child, std::size_t index) const;
  void pass_values(std::size_t n, Down& down);
  void open(const TableSource& child, std::int64_t levels, Down& down) const;
  void close(const TableSource& child, Down& down);
  void pass_values(std::size_t n, const StepLoop& loop, BlockProduct<SumProduct>& product,
                   std::pair<std::int64_t, std::int64_t> levels, double* marginal, Down& down);
  void hand_down(const StepLoop& loop, std::size_t j, std::int64_t at, const Block& block,
                 Down& down, bool in_place);
  void pass_logs(std::size_t n, Down& down);

  const Tables& factors_;
  const EliminationPlan& plan_;
  const std::vector<std::int64_t>& values_;
  std::vector<Table> tables_;
  std::vector<char> by_values_;  // whether a step multiplies values
  std::vector<double> units_;    // what a step's products are times
  Branches branches_;
  double log_z_ = 0;
};

}  // namespace marginalia::elimination
