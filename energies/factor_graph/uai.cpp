#include "uai.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <marginalia/error.h>

namespace marginalia::uai {
namespace {

constexpr std::int64_t kMaxVariables = 1 << 20;
constexpr std::int64_t kMaxLevels = 1 << 16;
constexpr double kMaxEntries = 1 << 28;
constexpr std::string_view kComments = "c#";

/// Numbers one after the other, whatever lines they stand on.
class Numbers {
 public:
  explicit Numbers(const TextFile& file) : words_(file, kComments) {}

  std::string_view word() { return words_.next(); }  // empty at the end
  [[noreturn]] void fail(const std::string& reason) const { words_.fail(reason); }

  /// An integer from low to high. what() says what it stands for, where it is wrong.
  template <class What>
  std::int64_t integer(std::int64_t low, std::int64_t high, What what) {
    const auto word = next(what);
    const auto [value, fault, underflow] = parse_integer(word);
    if (fault) fail(fmt::format("{} must be a number, but \"{}\" {}", what(), word, fault));
    if (value < low || value > high)
      fail(fmt::format("{} is {}; it must be from {} to {}", what(), value, low, high));
    return value;
  }

  template <class What>
  double number(What what) {
    const auto word = next(what);
    const auto [value, fault, underflow] = parse_number(word);
    return fault || underflow ? words_.file().number(word, words_.line(), what()) : value;
  }

 private:
  template <class What>
  std::string_view next(What what) {
    const auto word = words_.next();
    if (word.empty()) fail(fmt::format("the file ends where {} should stand", what()));
    return word;
  }

  WordReader words_;
};

/// what() of a constant text.
auto always(const char* text) {
  return [text] { return std::string(text); };
}

std::vector<std::int64_t> read_scope(Numbers& numbers, std::int64_t a, std::int64_t D) {
  const auto size = numbers.integer(0, D, [&] { return fmt::format("the size of scope {}", a); });
  std::vector<std::int64_t> scope;
  for (std::int64_t n = 0; n < size; ++n) {
    scope.push_back(
        numbers.integer(0, D - 1, [&] { return fmt::format("a variable of scope {}", a); }));
    if (std::count(scope.begin(), scope.end(), scope.back()) > 1)
      numbers.fail(fmt::format("scope {} names variable {} twice", a, scope.back()));
  }
  return scope;
}

/// One entry of table a, as a log.
double read_entry(Numbers& numbers, std::int64_t a, std::int64_t n, Tables tables) {
  const auto what = [&] { return fmt::format("entry {} of table {}", n, a); };
  const auto value = numbers.number(what);
  if (tables == Tables::kLogs) return value;
  if (value < 0)
    numbers.fail(fmt::format("{} is {}, but values are 0 or more; where the file holds their logs, "
                             "say \"tables\": \"log\"",
                             what(), value));
  if (value > 1e300) numbers.fail(fmt::format("{} is {}; at most 1e300 is taken", what(), value));
  return std::log(value);
}

void read_table(Numbers& numbers, std::int64_t a, const std::vector<std::int64_t>& cardinalities,
                Tables tables, Factor& factor) {
  double entries = 1;
  for (const auto i : factor.scope)
    entries *= double(cardinalities[std::size_t(i)]);
  if (entries > kMaxEntries)
    numbers.fail(fmt::format("factor {} has {:.3g} entries; at most {:.3g} are taken", a, entries,
                             kMaxEntries));
  const auto given = numbers.integer(0, std::int64_t(kMaxEntries),
                                     [&] { return fmt::format("the size of table {}", a); });
  if (given != std::int64_t(entries))
    numbers.fail(fmt::format("table {} has {} entries, but its scope has {} states", a, given,
                             std::int64_t(entries)));
  bool possible = false;
  for (std::int64_t n = 0; n < given; ++n) {
    factor.log_values.push_back(read_entry(numbers, a, n, tables));
    possible = possible || factor.log_values.back() > -INFINITY;
  }
  if (!possible) numbers.fail(fmt::format("table {} is 0 everywhere: no state is possible", a));
}

bool equals_ignoring_case(std::string_view word, std::string_view upper) {
  return std::ranges::equal(word, upper, {}, [](unsigned char c) { return char(std::toupper(c)); });
}

/// How many numbers stand on each line that holds any.
std::vector<std::size_t> count_by_line(const TextFile& file) {
  std::vector<std::size_t> counts;
  LineReader lines(file.text(), kComments);
  while (lines.next_filled())
    counts.push_back(split_words(lines.line()).size());
  return counts;
}

/// Whether the file begins with the number of its samples.
bool begins_with_count(const TextFile& file) {
  const auto counts = count_by_line(file);
  std::size_t total = 0;
  for (const auto count : counts)
    total += count;
  Numbers numbers(file);
  const auto first = parse_integer(numbers.word());
  const bool is_one_sample = total % 2 == 1 && std::cmp_equal(total / 2, first.value);
  if (first.fault || !is_one_sample) return true;
  return first.value > 0 && counts[0] == 1 && std::cmp_equal(counts.size() - 1, first.value) &&
         std::all_of(counts.begin() + 1, counts.end(), [](auto count) { return count % 2 == 1; });
}

Evidence read_sample(Numbers& numbers, const std::vector<std::int64_t>& cardinalities) {
  const auto D = std::int64_t(cardinalities.size());
  const auto clamped = numbers.integer(0, D, always("the number of clamped variables"));
  Evidence evidence;
  for (std::int64_t n = 0; n < clamped; ++n) {
    const auto i = numbers.integer(0, D - 1, always("a clamped variable"));
    const auto value = numbers.integer(0, cardinalities[std::size_t(i)] - 1,
                                       [&] { return fmt::format("the value of variable {}", i); });
    if (!evidence.emplace(i, value).second)
      numbers.fail(fmt::format("variable {} is clamped twice", i));
  }
  return evidence;
}

}  // namespace

Tables kind_of_tables(const std::string& parameter, const std::filesystem::path& file) {
  if (parameter != "auto") return parameter == "log" ? Tables::kLogs : Tables::kValues;
  auto name = file;
  if (name.extension() == ".gz" || name.extension() == ".zip") name.replace_extension();
  return equals_ignoring_case(name.extension().string(), ".LG") ? Tables::kLogs : Tables::kValues;
}

FactorModel read_model(const TextFile& file, Tables tables) {
  Numbers numbers(file);
  if (const auto type = numbers.word();
      !equals_ignoring_case(type, "MARKOV") && !equals_ignoring_case(type, "BAYES"))
    numbers.fail(fmt::format("begins with \"{}\"; a UAI file begins with MARKOV or BAYES",
                             type.substr(0, 20)));
  const auto D = numbers.integer(1, kMaxVariables, always("the number of variables"));
  FactorModel model;
  for (std::int64_t i = 0; i < D; ++i)
    model.cardinalities.push_back(numbers.integer(
        1, kMaxLevels, [&] { return fmt::format("the cardinality of variable {}", i); }));
  const auto factors = numbers.integer(0, std::int64_t{1} << 24, always("the number of factors"));
  for (std::int64_t a = 0; a < factors; ++a)
    model.factors.push_back({read_scope(numbers, a, D), {}});
  for (std::int64_t a = 0; a < factors; ++a)
    read_table(numbers, a, model.cardinalities, tables, model.factors[std::size_t(a)]);
  if (const auto more = numbers.word(); !more.empty())
    numbers.fail(fmt::format("goes on with \"{}\" after the last table", more.substr(0, 20)));
  return model;
}

std::vector<Evidence> read_evidence(const TextFile& file,
                                    const std::vector<std::int64_t>& cardinalities) {
  Numbers numbers(file);
  if (Numbers(file).word().empty()) return {{}};
  const auto samples = begins_with_count(file)
                           ? numbers.integer(1, kMaxVariables, always("the number of samples"))
                           : 1;
  std::vector<Evidence> all;
  for (std::int64_t s = 0; s < samples; ++s)
    all.push_back(read_sample(numbers, cardinalities));
  if (const auto more = numbers.word(); !more.empty())
    numbers.fail(fmt::format("goes on with \"{}\" after the last value of {} sample{} of evidence",
                             more.substr(0, 20), samples, samples == 1 ? "" : "s"));
  return all;
}

Evidence choose_sample(const std::vector<Evidence>& samples, std::int64_t sample,
                       const std::string& file) {
  const auto count = std::ssize(samples);
  if (sample == 0 && count > 1)
    throw SpecError(fmt::format("{}: holds {} samples of evidence; choose one by "
                                "\"evidence_sample\", from 1",
                                file, count));
  if (sample > count)
    throw SpecError(fmt::format("{}: \"evidence_sample\" is {}, but the file holds {} sample{}",
                                file, sample, count, count == 1 ? "" : "s"));
  return samples[std::size_t(std::max<std::int64_t>(sample, 1) - 1)];
}

}  // namespace marginalia::uai
