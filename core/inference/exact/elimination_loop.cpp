#include "elimination_loop.h"

#include <algorithm>

namespace marginalia::elimination {
namespace {

constexpr std::int64_t kBlock = 1024;  // entries: a few blocks of doubles fit into the first cache

/// Moves an odometer and the places that follow it.  stride(j, a): of source j by digit a
template <class Stride>
void turn(std::vector<std::int64_t>& digits, const std::vector<std::int64_t>& sizes,
          std::vector<std::int64_t>& at, const Stride& stride) {
  for (auto a = digits.size(); a-- > 0;) {
    const bool wraps = ++digits[a] == sizes[a];
    const auto by = wraps ? 1 - sizes[a] : 1;
    for (std::size_t j = 0; j < at.size(); ++j)
      at[j] += by * stride(j, a);
    if (!wraps) return;
    digits[a] = 0;
  }
}

/// Sets it to the state that an index names.
template <class Stride>
void set(std::int64_t index, std::vector<std::int64_t>& digits,
         const std::vector<std::int64_t>& sizes, std::vector<std::int64_t>& at,
         const Stride& stride) {
  for (auto a = digits.size(); a-- > 0; index /= sizes[a]) {
    digits[a] = index % sizes[a];
    for (std::size_t j = 0; j < at.size(); ++j)
      at[j] += digits[a] * stride(j, a);
  }
}

/// Places of a block's entries, the last variable fastest.
std::vector<std::int32_t> block_places(const std::vector<std::int64_t>& strides,
                                       const std::vector<std::int64_t>& sizes, std::size_t first,
                                       std::int64_t inner) {
  std::vector<std::int32_t> places(static_cast<std::size_t>(inner));
  std::size_t filled = 1;
  for (auto a = sizes.size(); a-- > first;) {
    const auto digits = std::size_t(sizes[a]);
    for (std::size_t d = 1; d < digits; ++d) {
      const auto shift = std::int32_t(std::int64_t(d) * strides[a]);
      for (std::size_t i = 0; i < filled; ++i)
        places[d * filled + i] = places[i] + shift;
    }
    filled *= digits;
  }
  return places;
}

LoopSource loop_source(const TableSource& source, const PlanStep& step, std::size_t first,
                       std::int64_t inner, const std::vector<std::int64_t>& values) {
  LoopSource result{.reach = Reach::kBoth,
                    .side_by_side = true,
                    .whole = std::ranges::find(source.strides, 0) == source.strides.end(),
                    .base = known_offset(source, values),
                    .stride = source.stride};
  const auto begin = source.strides.begin(), split = begin + std::ptrdiff_t(first);
  result.outer.assign(begin, split);
  const auto is_zero = [](auto stride) { return stride == 0; };
  if (std::all_of(split, source.strides.end(), is_zero)) {
    result.reach = Reach::kOuter;
    return result;
  }
  if (std::all_of(begin, split, is_zero)) result.reach = Reach::kInner;
  std::int64_t stride = 1;
  for (auto a = step.sizes.size(); a-- > first; stride *= step.sizes[a])
    if (source.strides[a] != stride && step.sizes[a] > 1) result.side_by_side = false;
  if (result.side_by_side) return result;
  result.places = block_places(source.strides, step.sizes, first, inner);
  for (auto a = step.sizes.size(); source.strides[--a] == 0;)
    result.run *= step.sizes[a];
  return result;
}

}  // namespace

std::int64_t known_offset(const TableSource& source, const std::vector<std::int64_t>& values) {
  std::int64_t offset = 0;
  for (const auto& [variable, stride] : source.known)
    offset += stride * values[std::size_t(variable)];
  return offset;
}

StepLoop::StepLoop(const PlanStep& of, const std::vector<std::int64_t>& values) : step(of) {
  auto first = step.sizes.size();
  while (first > 0 && (inner == 1 || inner * step.sizes[first - 1] <= kBlock))
    inner *= step.sizes[--first];
  sizes.assign(step.sizes.begin(), step.sizes.begin() + std::ptrdiff_t(first));
  count = step.entries / inner;
  for (const auto& source : step.sources)
    sources.push_back(loop_source(source, step, first, inner, values));
}

BlockWalk::BlockWalk(const StepLoop& loop, std::int64_t block)
    : loop_(loop), digits_(loop.sizes.size()) {
  for (const auto& source : loop.sources)
    at_.push_back(source.base);
  set(block, digits_, loop.sizes, at_,
      [&](std::size_t j, std::size_t a) { return loop.sources[j].outer[a]; });
}

void BlockWalk::advance() {
  turn(digits_, loop_.sizes, at_,
       [&](std::size_t j, std::size_t a) { return loop_.sources[j].outer[a]; });
}

EntryWalk::EntryWalk(const PlanStep& step, const std::vector<std::int64_t>& values,
                     std::int64_t entry)
    : step_(step), digits_(step.sizes.size()) {
  for (const auto& source : step.sources)
    at_.push_back(known_offset(source, values));
  set(entry, digits_, step.sizes, at_,
      [&](std::size_t j, std::size_t a) { return step.sources[j].strides[a]; });
}

void EntryWalk::advance() {
  turn(digits_, step_.sizes, at_,
       [&](std::size_t j, std::size_t a) { return step_.sources[j].strides[a]; });
}

}  // namespace marginalia::elimination
