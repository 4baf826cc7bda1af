#include "uai.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/state_space.h>
#include <marginalia/unpack.h>

namespace marginalia::uai {
namespace {

using marginalia::SpecError;

constexpr std::int64_t kMaxVariables = 1 << 20;
constexpr std::int64_t kMaxLevels = 1 << 16;
constexpr double kMaxEntries = 1 << 28;

/// The words of a file, with the lines they stand on.
class Words {
 public:
  explicit Words(const std::filesystem::path& file)
      : name_(file.string()), text_(marginalia::read_unpacked(file)) {}

  /// Empty at the end of the file.
  std::string_view next() {
    while (at_ < text_.size() && is_space(text_[at_]))
      line_ += text_[at_++] == '\n';
    const auto start = at_;
    while (at_ < text_.size() && !is_space(text_[at_]))
      ++at_;
    return std::string_view(text_).substr(start, at_ - start);
  }

  /// The next word as a number of at least `low` and at most `high`; `what` it stands for.
  template <class Number>
  Number number(const std::string& what, Number low, Number high) {
    const auto word = next();
    if (word.empty()) fail(fmt::format("the file ends where {} should stand", what));
    Number value{};
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size())
      fail(fmt::format("{} must be a number, not \"{}\"", what, word));
    if (!(value >= low && value <= high))
      fail(fmt::format("{} is {}; it must be from {} to {}", what, value, low, high));
    return value;
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw SpecError(fmt::format("{}:{}: {}", name_, line_, reason));
  }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

  std::string name_, text_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
};

std::vector<std::int64_t> read_scope(Words& words, std::int64_t a, std::int64_t D) {
  const auto size = words.number<std::int64_t>(fmt::format("the size of scope {}", a), 0, D);
  std::vector<std::int64_t> scope;
  for (std::int64_t n = 0; n < size; ++n) {
    scope.push_back(words.number<std::int64_t>(fmt::format("a variable of scope {}", a), 0, D - 1));
    if (std::count(scope.begin(), scope.end(), scope.back()) > 1)
      words.fail(fmt::format("scope {} names variable {} twice", a, scope.back()));
  }
  return scope;
}

void read_table(Words& words, std::int64_t a, const std::vector<std::int64_t>& cardinalities,
                marginalia::Factor& factor) {
  double entries = 1;
  for (const auto i : factor.scope)
    entries *= double(cardinalities[std::size_t(i)]);
  if (entries > kMaxEntries)
    words.fail(fmt::format("factor {} has {:.3g} entries; at most {:.3g} are taken", a, entries,
                           kMaxEntries));
  const auto given = words.number<std::int64_t>(fmt::format("the size of table {}", a), 0,
                                                std::int64_t(kMaxEntries));
  if (given != std::int64_t(entries))
    words.fail(fmt::format("table {} has {} entries, but its scope has {} states", a, given,
                           std::int64_t(entries)));
  factor.log_values.reserve(std::size_t(given));
  bool possible = false;
  for (std::int64_t n = 0; n < given; ++n) {
    const auto value = words.number<double>(fmt::format("entry {} of table {}", n, a), 0, 1e300);
    possible = possible || value > 0;
    factor.log_values.push_back(std::log(value));
  }
  if (!possible) words.fail(fmt::format("table {} is 0 everywhere: no state is possible", a));
}

}  // namespace

marginalia::FactorModel read_model(const std::filesystem::path& file) {
  Words words(file);
  if (const auto type = words.next(); type != "MARKOV" && type != "BAYES")
    words.fail(fmt::format("begins with \"{}\"; a UAI file begins with MARKOV or BAYES",
                           type.substr(0, 20)));
  const auto D = words.number<std::int64_t>("the number of variables", 1, kMaxVariables);
  marginalia::FactorModel model;
  for (std::int64_t i = 0; i < D; ++i)
    model.cardinalities.push_back(words.number<std::int64_t>(
        fmt::format("the cardinality of variable {}", i), 1, kMaxLevels));
  const auto factors =
      words.number<std::int64_t>("the number of factors", 0, std::int64_t{1} << 24);
  for (std::int64_t a = 0; a < factors; ++a)
    model.factors.push_back({read_scope(words, a, D), {}});
  for (std::int64_t a = 0; a < factors; ++a)
    read_table(words, a, model.cardinalities, model.factors[std::size_t(a)]);
  if (const auto more = words.next(); !more.empty())
    words.fail(fmt::format("goes on with \"{}\" after the last table", more.substr(0, 20)));
  return model;
}

std::vector<std::int64_t> read_evidence(const std::filesystem::path& file,
                                        const std::vector<std::int64_t>& cardinalities) {
  std::int64_t count = 0;
  for (Words all(file); !all.next().empty();)
    ++count;
  Words words(file);
  const auto D = std::int64_t(cardinalities.size());
  std::vector<std::int64_t> evidence(cardinalities.size(), marginalia::kUnknown);
  if (count == 0) return evidence;
  if (count % 2 == 0) words.number<std::int64_t>("the number of samples of evidence", 1, 1);
  const auto clamped = words.number<std::int64_t>("the number of clamped variables", 0, D);
  if (count != 1 + 2 * clamped && count != 2 + 2 * clamped)
    words.fail(fmt::format("{} variables are clamped, which takes {} numbers after that, not {}",
                           clamped, 2 * clamped, count - (count % 2 == 0 ? 2 : 1)));
  for (std::int64_t n = 0; n < clamped; ++n) {
    const auto i = words.number<std::int64_t>("a clamped variable", 0, D - 1);
    const auto value = words.number<std::int64_t>(fmt::format("the value of variable {}", i), 0,
                                                  cardinalities[std::size_t(i)] - 1);
    if (evidence[std::size_t(i)] != marginalia::kUnknown)
      words.fail(fmt::format("variable {} is clamped twice", i));
    evidence[std::size_t(i)] = value;
  }
  return evidence;
}

}  // namespace marginalia::uai
