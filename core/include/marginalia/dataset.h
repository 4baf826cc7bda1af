#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <marginalia/component.h>
#include <marginalia/json.h>
#include <marginalia/state_space.h>
#include <marginalia/state_text.h>

namespace marginalia {

enum class Split { kTrain, kValid, kTest };
MARGINALIA_API std::string_view to_string(Split split);   ///< "train", "valid", "test"
MARGINALIA_API Split split_named(std::string_view name);  ///< throws SpecError

/// States to learn from, in three splits. One that reads files of the user's by a parameter "file"
/// may say which kinds, by the ends of their names, for `marginalia data describe FILE`:
///
///   static constexpr const char* kFiles = ".csv .tsv";
class MARGINALIA_API Dataset : public Component {
 public:
  using Interface = Dataset;
  using Context = NoContext;
  static constexpr const char* kKind = "dataset";

  ~Dataset() override;
  virtual const StateSpace& space() const = 0;
  virtual std::int64_t size(Split split) const = 0;

  /// Whether rows may have gaps, variables that were not observed: kUnknown. A model learns from
  /// what was observed alone.
  virtual bool has_gaps() const { return false; }

  /// Which levels of each variable lie on a scale, in ascending order, as those of numbers do:
  /// bool [D, K]; undefined (the default): nothing is known of it.
  virtual Tensor ordered() const;

  /// What its files were taken for, as columns and their kinds: what a run keeps of it, for tools.
  /// Null: nothing (the default).
  virtual Json description() const;
  /// The same for people, in lines; by default the space and how many rows there are.
  virtual std::string summary() const;

  /// Rows by index. What is random in them (crops, binarisation) depends on (epoch_key, index)
  /// alone.  indices: int64 [B], 0 <= index < size  ->  int64 [B, D], on the CPU.
  Tensor rows(Split split, const Tensor& indices, std::uint64_t epoch_key = 0) const;
  /// log p(what was recorded | the row's levels), where levels gather what was recorded, as bins do
  /// numbers, of each variable: float64 [B, D], 0 where one is unknown; undefined where levels say
  /// all of it.
  Tensor log_recorded(Split split, const Tensor& indices) const;
  /// What was recorded, where every variable is a number: float64 [B, D], each in units of its
  /// resolution, NaN where it is unknown; undefined (the default): some variable is no number. The
  /// density of these is the probability of what was recorded.
  Tensor recorded(Split split, const Tensor& indices) const;
  /// How much each row counts in means over rows: float64 [B], 0 or more; undefined (the default):
  /// all alike. Rows to learn from are given by `rows` as often as they count.
  Tensor weights(Split split, const Tensor& indices) const;
  /// The class of each row: int64 [B], or undefined where the dataset has none.
  Tensor labels(Split split, const Tensor& indices) const;
  virtual std::string to_text(const Tensor& state) const;  ///< by default the space's
  /// The state that a text names, the inverse of to_text: int64 [D], kUnknown for what is unknown.
  /// Throws SpecError, saying at which character. By default as the space's letters spell it.
  virtual Tensor from_text(const PartialText& text) const;
  /// A drawing of a state: a whole SVG document, or empty (the default) where there is none.
  virtual std::string to_svg(const Tensor& state) const;

 private:
  virtual Tensor compute_rows(Split split, const Tensor& indices,
                              std::uint64_t epoch_key) const = 0;
  virtual Tensor compute_labels(Split split, const Tensor& indices) const;        // by default none
  virtual Tensor compute_log_recorded(Split split, const Tensor& indices) const;  // likewise
  virtual Tensor compute_recorded(Split split, const Tensor& indices) const;      // likewise
  virtual Tensor compute_weights(Split split, const Tensor& indices) const;       // likewise
  void check_indices(Split split, const Tensor& indices) const;
};

}  // namespace marginalia
