#include "stored_values.h"

#include <algorithm>
#include <bit>
#include <new>

#include <ATen/Parallel.h>

namespace marginalia::elimination {
namespace {

constexpr std::int64_t kWord = 64;
constexpr std::int64_t kGrain = 1 << 10;               // words that are worth a thread
constexpr std::int64_t kFewest = 1 << 12;              // entries that are worth it
constexpr std::int64_t kMost = std::int64_t(1) << 32;  // entries that 32 bits count

/// Which of up to 64 entries are not `common`.
std::uint64_t others_among(const double* x, std::int64_t n, double common) {
  bool any = false;
  for (std::int64_t i = 0; i < n; ++i)
    any |= x[i] != common;
  std::uint64_t bits = 0;
  if (any)
    for (std::int64_t i = 0; i < n; ++i)
      bits |= std::uint64_t(x[i] != common) << i;
  return bits;
}

}  // namespace

StoredValues::StoredValues(std::int64_t size, double common)
    : size_(size), common_(common), dense_(filled(size, common)) {}

/// Zeros cost nothing where the system hands out pages of them.
std::unique_ptr<double[], StoredValues::Free> StoredValues::filled(std::int64_t size,
                                                                   double value) {
  std::unique_ptr<double[], Free> all(
      static_cast<double*>(std::calloc(std::size_t(size), sizeof(double))));
  if (!all && size > 0) throw std::bad_alloc();
  if (value != 0) std::fill_n(all.get(), size, value);
  return all;
}

double StoredValues::at(std::int64_t i) const {
  if (dense_) return dense_[std::size_t(i)];
  const auto w = std::size_t(i / kWord);
  const auto word = others_->stored[w], bit = std::uint64_t(1) << (i % kWord);
  if (!(word & bit)) return common_;
  return others_->values[others_->before[w] + std::size_t(std::popcount(word & (bit - 1)))];
}

/// Without their values where those are too many.
StoredValues::Others StoredValues::find_others() const {
  const auto words = (size_ + kWord - 1) / kWord;
  Others others;
  others.stored.resize(std::size_t(words));
  at::parallel_for(0, words, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (auto w = begin; w < end; ++w)
      others.stored[std::size_t(w)] =
          others_among(dense_.get() + w * kWord, std::min(kWord, size_ - w * kWord), common_);
  });
  std::uint32_t count = 0;
  for (const auto word : others.stored) {
    others.before.push_back(count);
    count += std::uint32_t(std::popcount(word));
  }
  if (std::int64_t(count) * 6 > size_) return others;  // bits and counts are 3 % more
  others.values.resize(count);
  at::parallel_for(0, words, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (auto w = begin; w < end; ++w) {
      auto* out = others.values.data() + others.before[std::size_t(w)];
      for (auto bits = others.stored[std::size_t(w)]; bits != 0; bits &= bits - 1)
        *out++ = dense_[std::size_t(w * kWord + std::countr_zero(bits))];
    }
  });
  return others;
}

void StoredValues::rest() {
  if (!dense_ || size_ < kFewest || size_ >= kMost) return;
  if (!others_) {
    auto others = find_others();
    if (others.values.empty()) return;
    others_ = std::make_unique<const Others>(std::move(others));
  }
  dense_.reset();
}

void StoredValues::wake() {
  if (dense_ || !others_) return;
  dense_ = filled(size_, common_);
  at::parallel_for(
      0, std::ssize(others_->stored), kGrain, [&](std::int64_t begin, std::int64_t end) {
        for (auto w = begin; w < end; ++w) {
          const auto* value = others_->values.data() + others_->before[std::size_t(w)];
          for (auto bits = others_->stored[std::size_t(w)]; bits != 0; bits &= bits - 1)
            dense_[std::size_t(w * kWord + std::countr_zero(bits))] = *value++;
        }
      });
}

void StoredValues::wake_to_write() {
  wake();
  others_.reset();
}

}  // namespace marginalia::elimination
