/// \file
/// A weighted sum of energies of the same variables, a product of experts:
///
///   log f(x) = sum_t w_t log f_t(x)
///
/// A state that one term forbids is forbidden, whatever the weight.
/// Source: Hinton (2002), doi:10.1162/089976602760128018, equation 1.
#include <algorithm>
#include <map>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/inference/elimination.h>
#include <marginalia/plugin.h>

#include "scaled.h"

using namespace marginalia;

namespace {

struct Term {
  std::shared_ptr<Energy> energy;
  double weight;
};

/// The terms, or the reason why they have no sum.
std::vector<Term> make_terms(const Children<Energy>& energies, const std::vector<double>& weights) {
  if (energies.empty()) throw SpecError("give \"energies\": a list of one at least");
  if (!weights.empty() && weights.size() != energies.size())
    throw SpecError(fmt::format("\"weights\" are {} for {} energies; give one for each, or none",
                                weights.size(), energies.size()));
  const auto& first = energies[0].value->space();
  std::vector<Term> terms;
  for (std::size_t t = 0; t < energies.size(); ++t) {
    const auto& energy = energies[t].value;
    const auto& space = energy->space();
    if (space.cardinalities != first.cardinalities)
      throw SpecError(fmt::format(
          "\"energies\"[{}]: {} has {} variables of up to {} levels, but \"energies\"[0] has {} of "
          "up to {}; the levels of each variable must be the same",
          t, energy->label(), space.dimension(), space.levels(), first.dimension(),
          first.levels()));
    terms.push_back({energy, weights.empty() ? 1.0 : weights[t]});
  }
  return terms;
}

/// A colour for each combination of colours: variables of one share no factor in any term.
Tensor combine_colours(const std::vector<Term>& terms) {
  std::vector<Tensor> columns;
  for (const auto& term : terms)
    columns.push_back(term.energy->local()->colours());
  const auto combinations = torch::stack(columns, 1);  // [D, terms]
  return std::get<1>(torch::unique_dim(combinations, 0, true, true));
}

/// The factors of all terms; those on the same two variables are added.
PairwiseFactors sum_pairs(const std::vector<Term>& terms) {
  PairwiseFactors sum;
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> place;  // of an edge in the sum
  std::vector<std::int64_t> ends;
  std::vector<Tensor> places;  // of each term's edges
  for (const auto& [energy, weight] : terms) {
    const auto factors = energy->pairwise();
    const auto unary = scaled(factors->unary, weight);
    sum.unary = sum.unary.defined() ? sum.unary + unary : unary;
    const auto edges = factors->edges.contiguous();
    const auto at = edges.accessor<std::int64_t, 2>();
    places.push_back(torch::empty({edges.size(0)}, torch::kLong));
    auto to = places.back().accessor<std::int64_t, 1>();
    for (std::int64_t e = 0; e < edges.size(0); ++e) {
      const auto [found, is_new] =
          place.try_emplace({at[e][0], at[e][1]}, static_cast<std::int64_t>(place.size()));
      if (is_new) ends.insert(ends.end(), {at[e][0], at[e][1]});
      to[e] = found->second;
    }
  }
  const auto E = static_cast<std::int64_t>(place.size()), K = sum.unary.size(1);
  sum.edges = torch::tensor(ends, torch::kLong).view({E, 2});
  sum.pairs = torch::zeros({E, K, K});
  for (std::size_t t = 0; t < terms.size(); ++t)
    sum.pairs.index_add_(0, places[t], scaled(terms[t].energy->pairwise()->pairs, terms[t].weight));
  return sum;
}

FactorModel sum_factors(const std::vector<Term>& terms) {
  FactorModel sum{terms[0].energy->space().cardinalities, {}};
  for (const auto& [energy, weight] : terms)
    for (auto& factor : scaled(*energy->factors(), weight).factors)
      sum.factors.push_back(std::move(factor));
  return sum;
}

/// What any term forbids.
FactorModel collect_constraints(const std::vector<Term>& terms) {
  FactorModel all{terms[0].energy->space().cardinalities, {}};
  for (const auto& [energy, _] : terms)
    if (const auto some = energy->constraints())
      all.factors.insert(all.factors.end(), some->factors.begin(), some->factors.end());
  return all;
}

class Sum final : public Energy, private LocalConditionals, private Readable {
 public:
  static constexpr const char* kName = "sum";
  static constexpr const char* kSummary = "a weighted sum of energies of the same variables";
  static constexpr const char* kFormula =
      "log f(x) = sum_t w_t log f_t(x); what one term forbids is forbidden";
  static constexpr const char* kSource = "Hinton (2002), doi:10.1162/089976602760128018";
  static constexpr const char* kExample =
      R"({"energies": [{"type": "max_cut", "edges": ["1 2", "2 3", "3 4 2", "4 5", "5 6", "6 1"]},)"
      R"( {"type": "max_independent_set", "edges": ["1 2", "1 4", "5 6"], "penalty": 1}],)"
      R"( "weights": [1.5, 0.5]})";

  struct Params {
    Children<Energy> energies;
    std::vector<double> weights;
    double memory = 8;
    void visit(ParamVisitor& p) {
      p("energies", energies,
        {.doc = "f_1, f_2, ..., of variables of the same levels; the shape is that of f_1"});
      p("weights", weights, {.doc = "w_t, one for each; empty: all 1"});
      p("memory", memory, {.doc = "GiB that exact answers may take", .min = 0});
    }
  };

  explicit Sum(const Params& params)
      : terms_(make_terms(params.energies, params.weights)), elimination_(params.memory) {
    for (const auto& [energy, weight] : terms_) {
      note(no_local_, *energy, energy->local());
      note(no_pairwise_, *energy, energy->pairwise());
      note(no_factors_, *energy, energy->factors());
    }
    if (no_local_.empty()) colours_ = combine_colours(terms_);
    if (no_pairwise_.empty()) pairs_ = sum_pairs(terms_);
    if (no_factors_.empty())
      model_ = sum_factors(terms_);
    else
      constraints_ = collect_constraints(terms_);
  }

  const StateSpace& space() const override { return terms_[0].energy->space(); }
  Offer<LocalConditionals> local() const override {
    if (!no_local_.empty()) return Offer<LocalConditionals>::none(no_local_);
    return {this};
  }
  Offer<PairwiseFactors> pairwise() const override {
    if (!no_pairwise_.empty()) return Offer<PairwiseFactors>::none(no_pairwise_);
    return {&pairs_};
  }
  Offer<FactorModel> factors() const override {
    if (!no_factors_.empty()) return Offer<FactorModel>::none(no_factors_);
    return {&model_};
  }
  Offer<FactorModel> constraints() const override {
    return {no_factors_.empty() ? &model_ : &constraints_};
  }
  Offer<Oracle> exact() const override;
  Offer<Readable> readable() const override;

 private:
  /// Keeps why the first term without an offer has none.
  template <class T>
  static void note(std::string& reason, const Energy& energy, const Offer<T>& offer) {
    if (reason.empty() && !offer) reason = fmt::format("{}: {}", energy.label(), offer.reason);
  }

  /// sum_t w_t part(f_t).
  template <class F>
  Tensor sum(F part) const {
    auto total = scaled(part(*terms_[0].energy), terms_[0].weight);
    for (std::size_t t = 1; t < terms_.size(); ++t)
      total = total + scaled(part(*terms_[t].energy), terms_[t].weight);
    return total;
  }

  Tensor compute_log_density(const Tensor& x) const override {
    return sum([&](const Energy& energy) { return energy.log_density(x); });
  }
  Tensor logits(const Tensor& partial) const override {
    return sum([&](const Energy& energy) { return energy.local()->logits(partial); });
  }
  Tensor known_part(const Tensor& partial) const override {
    return sum([&](const Energy& energy) { return energy.local()->known_part(partial); });
  }
  const Tensor& colours() const override { return colours_; }

  // Where people can read several terms, the first gives text and drawing, and all give scores.
  const Readable& first_readable() const;
  std::string to_text(const Tensor& state) const override {
    return first_readable().to_text(state);
  }
  Tensor from_text(const PartialText& text) const override {
    return first_readable().from_text(text);
  }
  std::string to_svg(const Tensor& state) const override { return first_readable().to_svg(state); }
  Tensor raw_score(const Tensor& x) const override { return log_density(x); }
  std::vector<Score> scores(const Tensor& x) const override;

  std::vector<Term> terms_;
  std::string no_local_, no_pairwise_, no_factors_;  // why; empty where there are
  Tensor colours_;
  PairwiseFactors pairs_;
  FactorModel model_, constraints_;  // the latter where some term has no factors
  ByElimination elimination_;
};

/// A single term has its own oracle; several need elimination, as sums of the f_t do not give sums
/// of their product.
Offer<Oracle> Sum::exact() const {
  if (terms_.size() == 1 && terms_[0].weight == 1)
    if (const auto own = terms_[0].energy->exact()) return own;
  if (no_factors_.empty()) return elimination_.oracle(model_, space());
  return Offer<Oracle>::none(
      fmt::format("answers of the terms do not give those of the sum, which would need their "
                  "factors: {}",
                  no_factors_));
}

/// The one term that people can read; of several the sum itself.
Offer<Readable> Sum::readable() const {
  Offer<Readable> only;
  for (const auto& [energy, weight] : terms_)
    if (const auto readable = energy->readable()) only = only ? Offer<Readable>{this} : readable;
  return only ? only : Offer<Readable>::none("none of its terms has a text of its own");
}

const Readable& Sum::first_readable() const {
  const auto has_text = [](const Term& term) { return bool(term.energy->readable()); };
  return *std::ranges::find_if(terms_, has_text)->energy->readable();
}

/// Where several terms have a score of the same name, that of the second is called name_2.
std::vector<Score> Sum::scores(const Tensor& x) const {
  std::vector<Score> all;
  std::map<std::string, int> times;
  for (const auto& [energy, weight] : terms_)
    if (const auto readable = energy->readable())
      for (auto& score : readable->scores(x)) {
        if (const int n = ++times[score.name]; n > 1) score.name += fmt::format("_{}", n);
        all.push_back(scaled(score, weight));
      }
  return all;
}

}  // namespace

MARGINALIA_PLUGIN(Sum);
