/// \file
/// A landscape: a complete table of scores, one for each word of D letters.
///
///   s(x) = E(x), or (E(x) - E_min) / (E_max - E_min) with "scaling": "unit"
///   log f(x) = beta s(x), or beta p log s(x) with "power": p, that is f = s^(beta p)
///
/// beta is the inverse temperature; x_1 is the first letter, an index into the alphabet. Where
/// s = 0, a power forbids the word.
/// Source: for instance the binding of transcription factors to all DNA words of length 8: Barrera
/// et al. (2016), doi:10.1126/science.aad2257; as rewards: Jain et al. (2022), arXiv:2203.04115.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/plugin.h>
#include <marginalia/unpack.h>

using namespace marginalia;

namespace {

struct LandscapeParams {
  FilePath file;
  std::string word = "1", second_word, score = "2", alphabet, scaling = "none";
  double inverse_temperature = 1, power = 0;
  void visit(ParamVisitor& p) {
    p("file", file, {.doc = "a header, then a line a word; tabs or commas between columns"});
    p("word", word, {.doc = "column of the words: its name in the header, or its number from 1"});
    p("second_word", second_word,
      {.doc = "column of a second word with the same score, as the reverse complement"});
    p("score", score, {.doc = "column of E"});
    p("alphabet", alphabet, {.doc = "the letters, in order; empty: those of the words, sorted"});
    p("scaling", scaling,
      {.doc = "of s: none: E; unit: E from 0 (worst word) to 1 (best)",
       .one_of = {"none", "unit"}});
    p("inverse_temperature", inverse_temperature, {.doc = "beta"});
    p("power", power, {.doc = "p; 0: none, f = exp(beta s)", .min = 0});
  }
};

/// A word of the file and its score.
struct Entry {
  std::string_view word;  // in the file's text
  double score;
  std::int64_t line;
  std::int64_t index;  // among all words in alphabetical order
};

using Columns = std::vector<std::string_view>;

Columns split(std::string_view line, char separator) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  Columns columns;
  while (true) {
    const auto end = line.find(separator);
    columns.push_back(line.substr(0, end));
    if (end == line.npos) return columns;
    line.remove_prefix(end + 1);
  }
}

/// Reads the file: words, scores and the lines they stand in.
class LandscapeReader {
 public:
  LandscapeReader(const LandscapeParams& params, std::string file)
      : params_(params), file_(std::move(file)) {}

  std::vector<Entry> read(std::string_view text) {
    for (; !text.empty(); ++line_) {
      const auto line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(line.size() + 1, text.size()));
      if (line_ == 1)
        take_header(line);
      else if (line.find_first_not_of(" \t\r") != line.npos)
        take_row(split(line, separator_));
    }
    if (entries_.empty())
      throw SpecError(fmt::format("{}: has no words; below a header, each line is one", file_));
    return std::move(entries_);
  }

 private:
  void take_header(std::string_view line) {
    separator_ = line.find('\t') == line.npos ? ',' : '\t';
    const auto header = split(line, separator_);
    width_ = header.size();
    word_ = column(header, "word", params_.word);
    second_word_ =
        params_.second_word.empty() ? word_ : column(header, "second_word", params_.second_word);
    score_ = column(header, "score", params_.score);
  }

  std::size_t column(const Columns& header, const char* parameter, const std::string& name) const {
    const auto count = std::ranges::count(header, name);
    if (count == 1)
      return static_cast<std::size_t>(std::ranges::find(header, name) - header.begin());
    if (count > 1)
      fault(fmt::format("\"{}\": {} columns are called \"{}\"; give the column's number, from 1",
                        parameter, count, name));
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size() && 1 <= number &&
        number <= header.size())
      return number - 1;
    fault(fmt::format("\"{}\": there is no column \"{}\"; there are {}, or their numbers from 1 to "
                      "{}",
                      parameter, name, fmt::join(header, ", "), header.size()));
  }

  void take_row(const Columns& columns) {
    if (columns.size() != width_)
      fault(fmt::format("{} columns, but the header has {}", columns.size(), width_));
    const auto score = number(columns[score_]);
    add(columns[word_], score);
    if (columns[second_word_] != columns[word_]) add(columns[second_word_], score);
  }

  double number(std::string_view word) const {
    double value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size() || !std::isfinite(value))
      fault(fmt::format("the score \"{}\" is not a finite number", word));
    return value;
  }

  void add(std::string_view word, double score) {
    if (word.empty()) fault("the word is empty; it has one letter at least");
    const auto letters = entries_.empty() ? word.size() : entries_[0].word.size();
    if (word.size() != letters)
      fault(fmt::format("the word \"{}\" has {} letters, but the first one has {}", word,
                        word.size(), letters));
    if (std::ranges::any_of(word, [](char c) { return c <= ' ' || c > '~'; }))
      fault(fmt::format("the word \"{}\" has a character that is not printable ASCII", word));
    entries_.push_back({word, score, line_, 0});
  }

  [[noreturn]] void fault(const std::string& what) const {
    throw SpecError(fmt::format("{}:{}: {}", file_, line_, what));
  }

  const LandscapeParams& params_;
  std::string file_;
  char separator_ = ',';
  std::size_t width_ = 0, word_ = 0, second_word_ = 0, score_ = 0;
  std::int64_t line_ = 1;
  std::vector<Entry> entries_;
};

/// The letters in the order of their levels: those given, or those that occur.
std::string choose_alphabet(const std::vector<Entry>& entries, const LandscapeParams& params) {
  std::string letters = params.alphabet;
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

/// Puts the entries in alphabetical order. Throws unless every word is there once.
void sort_complete(std::vector<Entry>& entries, const std::string& alphabet,
                   const std::string& file) {
  const auto K = static_cast<std::int64_t>(alphabet.size());
  const auto D = static_cast<std::int64_t>(entries[0].word.size());
  const auto count = std::pow(double(K), double(D));
  if (count > 1e15)  // indices would not fit
    throw SpecError(fmt::format("{}: has {} of the {:.3g} words of {} letters {}; it needs all",
                                file, entries.size(), count, D, alphabet));
  for (auto& entry : entries)
    for (const auto letter : entry.word) {
      const auto level = alphabet.find(letter);
      if (level == alphabet.npos)
        throw SpecError(
            fmt::format("{}:{}: \"{}\" of the word \"{}\" is not a letter of the alphabet "
                        "\"{}\"",
                        file, entry.line, letter, entry.word, alphabet));
      entry.index = entry.index * K + static_cast<std::int64_t>(level);
    }
  std::ranges::stable_sort(entries, {}, &Entry::index);
  for (std::size_t i = 1; i < entries.size(); ++i)
    if (entries[i].index == entries[i - 1].index)
      throw SpecError(fmt::format("{}:{}: the word \"{}\" stands in line {} too; give each once",
                                  file, entries[i].line, entries[i].word, entries[i - 1].line));
  if (double(entries.size()) == count) return;
  auto missing = std::int64_t{0};
  while (missing < std::ssize(entries) && entries[std::size_t(missing)].index == missing)
    ++missing;
  std::string word;
  for (auto rest = missing; std::ssize(word) < D; rest /= K)
    word.insert(word.begin(), alphabet[std::size_t(rest % K)]);
  throw SpecError(fmt::format("{}: has {} of the {:.0f} words of {} letters {}; \"{}\" is missing",
                              file, entries.size(), count, D, alphabet, word));
}

class Landscape final : public Energy, private LocalConditionals, private Readable {
 public:
  static constexpr const char* kName = "landscape";
  static constexpr const char* kSummary = "a complete table of scored words";
  static constexpr const char* kFormula =
      "log f(x) = beta s(x), or beta p log s(x) with power p; s = E, or E scaled to 0..1";
  static constexpr const char* kSource =
      "of the binding of transcription factors: Barrera et al. (2016), "
      "doi:10.1126/science.aad2257; as rewards: Jain et al. (2022), arXiv:2203.04115";
  static constexpr const char* kExample =
      R"({"file": "landscape/tiny.tsv", "word": "1", "second_word": "2", "score": "E-score",)"
      R"( "scaling": "unit", "inverse_temperature": 3})";

  using Params = LandscapeParams;
  explicit Landscape(const Params& params);

  const StateSpace& space() const override { return space_; }
  Offer<LocalConditionals> local() const override { return {this}; }
  Offer<Readable> readable() const override { return {this}; }
  Offer<FactorModel> factors() const override { return {&model_}; }
  Offer<PairwiseFactors> pairwise() const override {
    return Offer<PairwiseFactors>::none("its one factor is the table of whole words");
  }

 private:
  void tabulate(const std::vector<Entry>& entries, const Params& params, const std::string& file);

  Tensor compute_log_density(const Tensor& x) const override { return at(log_f_, index(x)); }
  Tensor logits(const Tensor& partial) const override;
  Tensor known_part(const Tensor& partial) const override;
  const Tensor& colours() const override { return colours_; }

  std::string to_text(const Tensor& state) const override { return space_.to_text(state); }
  Tensor from_text(const PartialText& text) const override { return state_of_text(space_, text); }
  Tensor raw_score(const Tensor& x) const override { return at(scores_, index(x)); }

  /// The index of the word that has level 0 where a letter is unknown: int64 [B].
  Tensor index(const Tensor& partial) const {
    return (partial.clamp_min(0) * strides_.to(partial.device())).sum(1);
  }
  /// The entries of a table at indices of any shape.
  static Tensor at(const Tensor& table, const Tensor& indices) {
    return table.to(indices.device()).index_select(0, indices.flatten()).view(indices.sizes());
  }

  StateSpace space_;
  Tensor scores_, log_f_;  // float64 [K^D]: E and log f of each word, the last letter fastest
  Tensor strides_;         // int64 [D]: a word's index is the sum of x_i stride_i
  Tensor colours_;         // all different: the one factor holds every letter
  FactorModel model_;      // log f_ as that factor
};

Landscape::Landscape(const Params& params) {
  if (!params.file) throw SpecError("give \"file\": the table of words and scores");
  const auto found = find_packed(params.file.found);
  if (found.empty())
    throw SpecError(fmt::format("{}: there is no such file, nor that with .gz or .zip; a file is "
                                "looked for beside the spec, then in the data directory (--data, "
                                "$MARGINALIA_DATA)",
                                params.file.found.string()));
  const auto text = read_unpacked(found);
  auto entries = LandscapeReader(params, found.string()).read(text);
  const auto alphabet = choose_alphabet(entries, params);
  sort_complete(entries, alphabet, found.string());

  const auto D = static_cast<std::int64_t>(entries[0].word.size());
  const auto K = static_cast<std::int64_t>(alphabet.size());
  space_ = StateSpace::uniform(D, K);
  for (const auto letter : alphabet)
    space_.alphabet.emplace_back(1, letter);
  colours_ = torch::arange(D);
  strides_ = torch::ones({D}, torch::kLong);
  for (auto i = D - 2; i >= 0; --i)
    strides_[i] = strides_[i + 1] * K;
  tabulate(entries, params, found.string());
}

void Landscape::tabulate(const std::vector<Entry>& entries, const Params& params,
                         const std::string& file) {
  const auto [low, high] = std::ranges::minmax(entries, {}, &Entry::score);
  const bool unit = params.scaling == "unit";
  if (unit && low.score == high.score)
    throw SpecError(fmt::format("{}: every score is {}; \"scaling\": \"unit\" needs two different "
                                "ones",
                                file, low.score));
  if (params.power > 0 && params.inverse_temperature <= 0)
    throw SpecError("with \"power\", \"inverse_temperature\" must be greater than 0");
  if (params.power > 0 && !unit && low.score < 0)
    throw SpecError(fmt::format("{}:{}: the score {} has no logarithm, which \"power\" needs; take "
                                "\"scaling\": \"unit\"",
                                file, low.line, low.score));
  std::vector<double> scores;
  for (const auto& entry : entries)
    scores.push_back(entry.score);
  scores_ = torch::tensor(scores, torch::kDouble);
  const auto s = unit ? (scores_ - low.score) / (high.score - low.score) : scores_;
  log_f_ = params.inverse_temperature * (params.power > 0 ? params.power * s.log() : s);

  const auto* log_f = log_f_.data_ptr<double>();
  std::vector<std::int64_t> scope;
  for (std::int64_t i = 0; i < space_.dimension(); ++i)
    scope.push_back(i);
  model_ = {space_.cardinalities, {{scope, {log_f, log_f + log_f_.numel()}}}};
}

/// log f of the completions of a word by one letter; 0 where another letter is unknown too.
Tensor Landscape::logits(const Tensor& partial) const {
  const auto unknown = (partial == kUnknown).to(torch::kLong);
  const auto others_known = unknown.sum(1, true) == unknown;                          // [B, D]
  const auto strides = strides_.to(partial.device());                                 // [D]
  const auto without = index(partial).unsqueeze(1) - partial.clamp_min(0) * strides;  // [B, D]
  const auto levels = torch::arange(space_.levels(), partial.options());              // [K]
  const auto words = without.unsqueeze(2) + strides.unsqueeze(1) * levels;            // [B, D, K]
  return torch::where(others_known.unsqueeze(2), at(log_f_, words), 0.0).to(torch::kFloat);
}

Tensor Landscape::known_part(const Tensor& partial) const {
  return torch::where((partial != kUnknown).all(1), at(log_f_, index(partial)), 0.0);
}

}  // namespace

MARGINALIA_PLUGIN(Landscape);
