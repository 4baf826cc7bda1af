#pragma once

#include <cstdint>
#include <vector>

#include "elimination_plan.h"

namespace marginalia::elimination {

/// How a source lies over a step's separator, whose last variables, the inner ones, make blocks of
/// entries that lie side by side.
enum class Reach {
  kOuter,  ///< one number a block: it has none of the inner variables
  kInner,  ///< the same block for all outer values: it has none of the outer variables
  kBoth
};

struct LoopSource {
  Reach reach;
  bool side_by_side;                     ///< whether a block's entries are so in the source as well
  bool whole;                            ///< whether each of its entries is read at one place alone
  std::int64_t run = 1;                  ///< neighbours in a block that are the same entry of it
  std::int64_t base = 0;                 ///< where it begins at what is known
  std::int64_t stride = 0;               ///< of the step's own variable
  std::vector<std::int64_t> outer = {};  ///< strides by outer variable
  std::vector<std::int32_t> places = {};  ///< of a block's entries where they are not side by side
};

/// A step as its loops run: over outer values, then over the block of inner ones.
struct StepLoop {
  /// values: [D], those that are known.
  StepLoop(const PlanStep& step, const std::vector<std::int64_t>& values);

  const PlanStep& step;
  std::vector<std::int64_t> sizes;  ///< of the outer variables
  std::int64_t count = 1;           ///< of blocks
  std::int64_t inner = 1;           ///< entries of a block
  std::vector<LoopSource> sources;
};

/// Where a source begins at the known values of its scope. values: [D]
std::int64_t known_offset(const TableSource& source, const std::vector<std::int64_t>& values);

/// Where each source is while the blocks are walked through in order.
class BlockWalk {
 public:
  BlockWalk(const StepLoop& loop, std::int64_t block);
  /// Of source j: its entry at this block and value 0 of the step's variable.
  std::int64_t at(std::size_t j) const { return at_[j]; }
  void advance();

 private:
  const StepLoop& loop_;
  std::vector<std::int64_t> at_, digits_;
};

/// The same entry by entry: where each source is at one entry of the separator.
class EntryWalk {
 public:
  EntryWalk(const PlanStep& step, const std::vector<std::int64_t>& values, std::int64_t entry);
  std::int64_t at(std::size_t j) const { return at_[j]; }
  void advance();

 private:
  const PlanStep& step_;
  std::vector<std::int64_t> at_, digits_;
};

}  // namespace marginalia::elimination
