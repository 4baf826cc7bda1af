#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <marginalia/api.h>
#include <marginalia/tensor.h>

namespace marginalia {

/// Stands for a variable that is unknown, that is, summed out.
inline constexpr std::int64_t kUnknown = -1;

/// The discrete states a component works on: x_i in {0, ..., K_i - 1}, i = 1..D.
struct MARGINALIA_API StateSpace {
  std::vector<std::int64_t> cardinalities;  ///< K_i [D]
  std::vector<std::int64_t> shape;          ///< what people see, product D: [28, 28], [250]
  std::vector<std::string> alphabet = {};   ///< for strings: the text of each level, [K] or empty
  std::vector<std::string> names = {};      ///< of variables, for questions, [D] or empty

  /// D variables of K levels each; `shape` defaults to [D].
  static StateSpace uniform(std::int64_t dimension, std::int64_t levels,
                            std::vector<std::int64_t> shape = {});

  std::int64_t dimension() const { return static_cast<std::int64_t>(cardinalities.size()); }
  std::int64_t levels() const;  ///< K = max_i K_i
  bool mixed() const;           ///< whether the cardinalities differ
  double log_states() const;    ///< log prod_i K_i, nats
  bool operator==(const StateSpace&) const = default;

  /// bool [D, K]: whether variable i can take value k.
  Tensor possible() const;
  /// One all-unknown row: int64 [1, D].
  Tensor empty() const;

  /// Throws Error, naming `who`, unless x is int64 [B, D] with 0 <= x_i < K_i
  /// (partial: or kUnknown).
  void check(const Tensor& x, bool partial, std::string_view who) const;
  /// The state as text: its alphabet's letters, or digits in the shape's rows.
  std::string to_text(const Tensor& x) const;
};

/// Softmax over levels, the last axis of [..., K], and its logarithm: each row by itself, whatever
/// others there are. Of few levels on the CPU ten times faster than LibTorch's, which takes a
/// hundred nanoseconds for a row of two.
MARGINALIA_API Tensor softmax_levels(const Tensor& logits);
MARGINALIA_API Tensor log_softmax_levels(const Tensor& logits);

}  // namespace marginalia
