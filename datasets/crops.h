#pragma once

#include <array>
#include <string>

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/dataset.h>
#include <marginalia/error.h>
#include <marginalia/stream.h>

/// One long sequence in three parts, cut into rows of one length: for training at random places,
/// for validation and test one after the other.
class Crops {
 public:
  using Sizes = std::array<std::int64_t, 3>;

  Crops() = default;
  /// sequence: [N], N at least the sum of sizes; `who` names it in an error.
  Crops(at::Tensor sequence, const Sizes& sizes, std::int64_t length, const std::string& who)
      : sequence_(std::move(sequence)), sizes_(sizes), length_(length) {
    for (const auto split :
         {marginalia::Split::kTrain, marginalia::Split::kValid, marginalia::Split::kTest})
      if (size(split) < 1)
        throw marginalia::SpecError(fmt::format(
            "{}: the {} split has {} characters; \"length\" {} needs that many at least", who,
            marginalia::to_string(split), sizes_[std::size_t(split)], length_));
  }

  /// Rows that lie side by side; as many random ones are an epoch.
  std::int64_t size(marginalia::Split split) const { return sizes_[std::size_t(split)] / length_; }

  /// indices: int64 [B]  ->  [B, length], of the sequence's type.
  at::Tensor rows(marginalia::Split split, const at::Tensor& indices, std::uint64_t key) const {
    const auto starts =
        split == marginalia::Split::kTrain ? random_starts(indices, key) : indices * length_;
    const auto places = starts.add(begin(split)).unsqueeze(1) + torch::arange(length_);
    return sequence_.index_select(0, places.flatten()).view({-1, length_});
  }

 private:
  std::int64_t begin(marginalia::Split split) const {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < std::size_t(split); ++i)
      sum += sizes_[i];
    return sum;
  }

  /// Uniform over the places where a row fits, from (key, index) alone.
  at::Tensor random_starts(const at::Tensor& indices, std::uint64_t key) const {
    auto starts = indices.clone(at::MemoryFormat::Contiguous);
    auto* start = starts.data_ptr<std::int64_t>();
    const auto places = static_cast<std::uint64_t>(sizes_[0] - length_ + 1);
    for (std::int64_t b = 0; b < starts.numel(); ++b) {
      marginalia::Stream stream(key, "crops", std::uint64_t(start[b]));
      auto* draws = at::check_generator<at::CPUGeneratorImpl>(stream.generator());
      start[b] =
          static_cast<std::int64_t>(draws->random64() % places);  // 2^64 is far beyond places
    }
    return starts;
  }

  at::Tensor sequence_;
  Sizes sizes_{};
  std::int64_t length_ = 1;
};
