#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include <marginalia/api.h>

namespace marginalia::elimination {

/// The entries of a table, many of which may be one value, such as the zeros of a message. At rest
/// those are not stored, where that is worth it: there is a bit for every entry, and the others lie
/// side by side. What works on the table wakes it.
class MARGINALIA_API StoredValues {
 public:
  StoredValues() = default;
  /// common: the value of all entries now, which is not stored at rest.
  StoredValues(std::int64_t size, double common);

  /// Every entry side by side; null while the table rests.
  double* data() { return dense_.get(); }
  const double* data() const { return dense_.get(); }
  std::int64_t size() const { return size_; }
  /// Entry i, also of a table at rest.
  double at(std::int64_t i) const;

  /// Puts the entries side by side, to be read.
  void wake();
  /// The same to be written: what rested is forgotten.
  void wake_to_write();
  /// Stores the others alone where they are so few that with the dense table, beside which they are
  /// made, and woken, they take at most 1.2 times what it takes.
  void rest();
  void clear() { *this = StoredValues(); }

 private:
  struct Free {
    void operator()(double* p) const { std::free(p); }
  };
  struct Others {
    std::vector<std::uint64_t> stored;  // bit i % 64 of word i / 64: entry i is one of them
    std::vector<std::uint32_t> before;  // how many there are before a word
    std::vector<double> values;
  };
  static std::unique_ptr<double[], Free> filled(std::int64_t size, double value);
  Others find_others() const;

  std::int64_t size_ = 0;
  double common_ = 0;
  std::unique_ptr<double[], Free> dense_;
  std::unique_ptr<const Others> others_;
};

}  // namespace marginalia::elimination
