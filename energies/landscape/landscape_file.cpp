#include "landscape_file.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>

namespace marginalia::landscape {
namespace {

constexpr double kMaxWords = 1e15;  // indices of more would not fit
constexpr double kMaxWithMissing = 1 << 24;

using Fields = std::vector<std::string_view>;

/// A word of the file and its score.
struct Entry {
  std::string_view word;  // in the file's text
  double score;
  std::int64_t line;
  std::int64_t index;  // among all words in alphabetical order
};

/// Reads the file: words, scores and the lines they stand in.
class LandscapeReader {
 public:
  LandscapeReader(const TextFile& file, const FileFormat& format)
      : file_(file), records_(file, "#"), format_(format) {}

  std::vector<Entry> read() {
    if (records_.next()) {
      width_ = records_.fields().size();
      take_first(records_.fields());
      while (records_.next())
        take_row(records_.fields());
    }
    if (entries_.empty())
      throw SpecError(
          fmt::format("{}: has no words; below a header, each line is one", file_.name()));
    return std::move(entries_);
  }

 private:
  /// The first record: names of the columns, or a word.
  void take_first(const Fields& first) {
    const bool is_header =
        format_.header == "auto" ? looks_like_header(first) : format_.header == "yes";
    const auto names = is_header ? first : Fields{};
    word_ = column(names, "word", format_.word);
    second_word_ =
        format_.second_word.empty() ? word_ : column(names, "second_word", format_.second_word);
    score_ = column(names, "score", format_.score);
    if (is_header) return;
    if (format_.header == "auto")
      warn(fmt::format("{}: the first line is taken as a word, as its score is a number; where it "
                       "is a header, say \"header\": \"yes\"",
                       records_.file().place(records_.line())));
    take_row(first);
  }

  bool looks_like_header(const Fields& first) const {
    const auto names = {format_.word, format_.score};
    const auto is_name = [&](const std::string& name) {
      return std::ranges::count(first, name) > 0;
    };
    if (std::ranges::all_of(names, is_name)) return true;
    const auto score = parse_integer(format_.score);
    if (score.fault || score.value < 1 || score.value > std::ssize(first)) return true;
    return parse_number(first[std::size_t(score.value - 1)]).fault != nullptr;
  }

  /// The index of a column that is called `name`, or has that number.
  std::size_t column(const Fields& names, const char* parameter, const std::string& name) const {
    const auto count = std::ranges::count(names, name);
    if (count == 1) return std::size_t(std::ranges::find(names, name) - names.begin());
    if (count > 1)
      records_.fail(
          fmt::format("\"{}\": {} columns are called \"{}\"; give the column's number, from 1",
                      parameter, count, name));
    const auto number = parse_integer(name);
    if (!number.fault && 1 <= number.value && number.value <= std::int64_t(width_))
      return std::size_t(number.value - 1);
    if (names.empty())
      records_.fail(fmt::format("\"{}\": there is no column \"{}\"; without a header they are 1 to "
                                "{}",
                                parameter, name, width_));
    records_.fail(fmt::format("\"{}\": there is no column \"{}\"; there are {}, or their numbers "
                              "from 1 to {}",
                              parameter, name, fmt::join(names, ", "), width_));
  }

  void take_row(const Fields& fields) {
    if (fields.size() != width_)
      records_.fail(fmt::format("{} columns, but the first line has {}", fields.size(), width_));
    const auto score = file_.number(fields[score_], records_.line(), "the score");
    add(fields[word_], score);
    if (fields[second_word_] != fields[word_]) add(fields[second_word_], score);
  }

  void add(std::string_view word, double score) {
    if (word.empty()) records_.fail("the word is empty; it has one letter at least");
    const auto letters = entries_.empty() ? word.size() : entries_[0].word.size();
    if (word.size() != letters)
      records_.fail(fmt::format("the word \"{}\" has {} letters, but the first one has {}", word,
                                word.size(), letters));
    if (std::ranges::any_of(word, [](char c) { return c <= ' ' || c > '~'; }))
      records_.fail(
          fmt::format("the word \"{}\" has a character that is not printable ASCII", word));
    entries_.push_back({word, score, records_.line(), 0});
  }

  const TextFile& file_;
  RecordReader records_;
  const FileFormat& format_;
  std::size_t width_ = 0, word_ = 0, second_word_ = 0, score_ = 0;
  std::vector<Entry> entries_;
};

/// The letters in the order of their levels: those given, or those that occur.
std::string choose_alphabet(const std::vector<Entry>& entries, const std::string& given) {
  std::string letters = given;
  if (letters.empty()) {
    std::set<char> found;
    for (const auto& entry : entries)
      found.insert(entry.word.begin(), entry.word.end());
    letters.assign(found.begin(), found.end());
  }
  for (const auto letter : letters)
    if (std::ranges::count(letters, letter) > 1)
      throw SpecError(fmt::format("\"alphabet\" has \"{}\" twice; give each letter once", letter));
  return letters;
}

/// The place of each word in alphabetical order. Throws where it is not spelt in the alphabet.
void find_indices(std::vector<Entry>& entries, const std::string& alphabet, const TextFile& file) {
  const auto K = std::int64_t(alphabet.size());
  for (auto& entry : entries)
    for (const auto letter : entry.word) {
      const auto level = alphabet.find(letter);
      if (level == alphabet.npos)
        file.fail(entry.line,
                  fmt::format("\"{}\" of the word \"{}\" is not a letter of the alphabet \"{}\"",
                              letter, entry.word, alphabet));
      entry.index = entry.index * K + std::int64_t(level);
    }
}

/// The first word in alphabetical order that is not among the entries, which are in that order.
std::string first_missing(const std::vector<Entry>& entries, const std::string& alphabet) {
  auto missing = std::int64_t{0};
  while (missing < std::ssize(entries) && entries[std::size_t(missing)].index == missing)
    ++missing;
  std::string word(entries[0].word.size(), alphabet[0]);
  for (auto letter = word.rbegin(); letter != word.rend();
       ++letter, missing /= std::int64_t(alphabet.size()))
    *letter = alphabet[std::size_t(missing) % alphabet.size()];
  return word;
}

/// Throws where there are more words than can be held, or a word stands twice or is missing.
void check_words(std::vector<Entry>& entries, const std::string& alphabet, double count,
                 const TextFile& file, bool missing_words) {
  for (std::size_t i = 1; i < entries.size(); ++i)
    if (entries[i].index == entries[i - 1].index)
      file.fail(entries[i].line,
                fmt::format("the word \"{}\" stands in line {} too; give each once",
                            entries[i].word, entries[i - 1].line));
  if (missing_words || double(entries.size()) == count) return;
  throw SpecError(fmt::format("{}: has {} of the {:.0f} words of {} letters {}; \"{}\" is missing; "
                              "for what is to be of such words, see \"missing\"",
                              file.name(), entries.size(), count, entries[0].word.size(), alphabet,
                              first_missing(entries, alphabet)));
}

}  // namespace

WordTable read_words(const TextFile& file, const FileFormat& format) {
  auto entries = LandscapeReader(file, format).read();
  WordTable table{
      choose_alphabet(entries, format.alphabet), std::int64_t(entries[0].word.size()), {}};
  const auto count = std::pow(double(table.alphabet.size()), double(table.letters));
  if (count > (format.missing_words ? kMaxWithMissing : kMaxWords))
    throw SpecError(fmt::format("{}: has {} of the {:.3g} words of {} letters {}; {}", file.name(),
                                entries.size(), count, table.letters, table.alphabet,
                                format.missing_words
                                    ? fmt::format("at most {} are held", kMaxWithMissing)
                                    : "it needs all"));
  find_indices(entries, table.alphabet, file);
  std::ranges::stable_sort(entries, {}, &Entry::index);
  check_words(entries, table.alphabet, count, file, format.missing_words);
  const auto [low, high] = std::ranges::minmax(entries, {}, &Entry::score);
  table.low = low.score;
  table.high = high.score;
  table.lowest_line = low.line;
  table.scores.assign(std::size_t(count), std::numeric_limits<double>::quiet_NaN());
  for (const auto& entry : entries)
    table.scores[std::size_t(entry.index)] = entry.score;
  return table;
}

}  // namespace marginalia::landscape
