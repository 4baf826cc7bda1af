/// \file
/// A model that is a table, and an evaluation whose states are chosen: both small enough that every
/// metric can be counted by hand.
#pragma once

#include "marginalia_test.h"
#include "mean.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include <marginalia/dataset.h>
#include <marginalia/inference/any_order.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/metric.h>
#include <marginalia/registry.h>

namespace marginalia::test::metrics {

using State = std::vector<std::int64_t>;

inline State to_state(const Tensor& x, std::int64_t b) {
  const auto row = x[b].contiguous();
  return {row.data_ptr<std::int64_t>(), row.data_ptr<std::int64_t>() + row.numel()};
}
inline Tensor stack_rows(const std::vector<State>& states) {
  std::vector<Tensor> rows;
  for (const auto& s : states)
    rows.push_back(torch::tensor(s, torch::kLong));
  return torch::stack(rows);
}
inline std::int64_t known_in(const State& s) {
  return std::int64_t(s.size()) - std::ranges::count(s, kUnknown);
}

/// A number in [-1, 1] that looks random and is the same everywhere.
inline double scatter(const State& s, std::int64_t i = 0, std::int64_t k = 0) {
  double h = 1.7 + 3.1 * double(i) + 7.3 * double(k);
  for (const auto v : s)
    h = 2.9 * h + 1.3 * double(v + 2);
  return std::sin(h);
}

/// Three variables of 2, 3 and 2 values; f(x) is a whole number, so that states can be repeated
/// f(x) times each, and their plain mean is the expectation.
class WholeEnergy final : public Energy {
 public:
  const StateSpace& space() const override { return space_; }
  double weight(const State& s) const { return double((5 * s[0] + 3 * s[1] + 7 * s[2]) % 6 + 1); }
  /// Brute force: log sum of f over the completions.
  double log_sum(const State& partial) const {
    double sum = 0;
    for (const auto& s : states_) {
      bool fits = true;
      for (std::size_t i = 0; i < s.size(); ++i)
        fits = fits && (partial[i] == kUnknown || partial[i] == s[i]);
      if (fits) sum += weight(s);
    }
    return std::log(sum);
  }
  double log_z() const { return log_sum({-1, -1, -1}); }
  double log_marginal(const State& partial) const { return log_sum(partial) - log_z(); }
  /// Every state, f(x) times.
  Tensor repeated() const {
    std::vector<State> rows;
    for (const auto& s : states_)
      rows.insert(rows.end(), std::size_t(weight(s)), s);
    return stack_rows(rows);
  }

 private:
  Tensor compute_log_density(const Tensor& x) const override {
    std::vector<double> values;
    for (std::int64_t b = 0; b < x.size(0); ++b)
      values.push_back(std::log(weight(to_state(x, b))));
    return torch::tensor(values, torch::kDouble);
  }
  StateSpace space_{{2, 3, 2}, {3}};
  std::vector<State> states_ = [this] {
    std::vector<State> states;
    const auto all = all_states(space_);
    for (std::int64_t n = 0; n < all.size(0); ++n)
      states.push_back(to_state(all, n));
    return states;
  }();
};

/// Exact but for `tilt` times a scatter in the conditionals, and `offset` times |S| plus `noise`
/// times a scatter in the one-pass marginals.
class TableFamily final : public Family {
 public:
  double tilt = 0, offset = 0, noise = 0, learned_log_z = 3;
  std::vector<Capability> can = [] {
    auto all = capabilities_of_conditionals();
    all.insert(all.begin(),
               {QueryKind::kLogMarginal, "one_pass", Status::kEstimate, "1", Route::kOnePass});
    all.push_back({QueryKind::kLogZ, "learned", Status::kEstimate, "1"});
    return all;
  }();
  mutable std::vector<std::pair<std::string, Tensor>> asked;  // estimator, partial

  explicit TableFamily(const WholeEnergy& energy) : energy_(energy) {}
  const StateSpace& space() const override { return energy_.space(); }
  std::vector<Capability> capabilities() const override { return can; }
  void step(Step&) override {}
  std::vector<ParameterGroup> parameters() override { return {}; }
  void visit(StateVisitor&) override {}
  void set_training(bool) override {}

  double one_pass(const State& s) const {
    const auto size = double(known_in(s));
    return size == 0 ? 0 : energy_.log_marginal(s) + offset * size + noise * scatter(s);
  }
  /// log q(x_i = k | x_S).
  double conditional(const State& s, std::size_t i, std::int64_t k) const {
    double total = 0;
    for (std::int64_t v = 0; v < space().cardinalities[i]; ++v)
      total += std::exp(logit(s, i, v));
    return logit(s, i, k) - std::log(total);
  }
  /// log q(x_S | order), the known variables of x in this order.
  double chain(const State& x, const State& order) const {
    State s(x.size(), kUnknown);
    double sum = 0;
    for (const auto i : order) {
      if (x[std::size_t(i)] == kUnknown) continue;
      sum += conditional(s, std::size_t(i), x[std::size_t(i)]);
      s[std::size_t(i)] = x[std::size_t(i)];
    }
    return sum;
  }
  /// chain() for each of the six orders.
  std::vector<double> chain_log_probs(const State& x) const {
    State order{0, 1, 2};
    std::vector<double> all;
    do {
      all.push_back(chain(x, order));
    } while (std::ranges::next_permutation(order).found);
    return all;
  }

 private:
  double logit(State s, std::size_t i, std::int64_t k) const {
    const auto bend = tilt * scatter(s, std::int64_t(i), k);
    s[i] = k;
    return energy_.log_sum(s) + bend;
  }
  Tensor table(const Tensor& partial) const {
    const auto B = partial.size(0);
    auto log_p = torch::full({B, 3, 3}, -INFINITY, torch::kDouble);
    auto at = log_p.accessor<double, 3>();
    for (std::int64_t b = 0; b < B; ++b) {
      const auto s = to_state(partial, b);
      for (std::size_t i = 0; i < 3; ++i)
        for (std::int64_t k = 0; k < space().cardinalities[i]; ++k)
          at[b][std::int64_t(i)][k] = conditional(s, i, k);
    }
    return log_p;
  }
  Answer compute_answer(const Query& query, Stream& stream) const override {
    asked.emplace_back(query.estimator, query.partial);
    if (query.kind == QueryKind::kLogZ)
      return {torch::tensor({learned_log_z}, torch::kDouble), {}, "", Status::kEstimate, 1};
    if (query.kind == QueryKind::kLogMarginal &&
        (query.estimator == "one_pass" || query.estimator == "exact")) {
      std::vector<double> values;
      for (std::int64_t b = 0; b < query.partial.size(0); ++b)
        values.push_back(one_pass(to_state(query.partial, b)));
      return {torch::tensor(values, torch::kDouble), {}, "", Status::kEstimate, 1};
    }
    return answer_from_conditionals([this](const Tensor& s) { return table(s); }, query, stream);
  }
  const WholeEnergy& energy_;
};

/// Rows that are given, which may have gaps.
class Rows final : public Dataset {
 public:
  Rows(StateSpace space, Tensor rows) : space_(std::move(space)), rows_(std::move(rows)) {}
  const StateSpace& space() const override { return space_; }
  std::int64_t size(Split) const override { return rows_.size(0); }
  bool has_gaps() const override { return (rows_ == kUnknown).any().item<bool>(); }
  Tensor all() const { return rows_; }
  Tensor log_recorded_given;  // float64 [N, D]
  Tensor recorded_given;      // float64 [N, D]
  Tensor weights_given;       // float64 [N]

 private:
  Tensor compute_rows(Split, const Tensor& indices, std::uint64_t) const override {
    return rows_.index({indices});
  }
  static Tensor of_rows(const Tensor& given, const Tensor& indices) {
    return given.defined() ? given.index({indices}) : given;
  }
  Tensor compute_log_recorded(Split, const Tensor& indices) const override {
    return of_rows(log_recorded_given, indices);
  }
  Tensor compute_recorded(Split, const Tensor& indices) const override {
    return of_rows(recorded_given, indices);
  }
  Tensor compute_weights(Split, const Tensor& indices) const override {
    return of_rows(weights_given, indices);
  }
  StateSpace space_;
  Tensor rows_;
};

/// What a metric sees. Without a dataset and an oracle the true states are the model's samples.
class FakeEvaluation : public Evaluation {
 public:
  const Energy*& target = subject_.energy;
  const Dataset*& rows_given = subject_.dataset;
  double& health = subject_.chain_health;
  bool with_oracle = true;
  ModelSamples samples;
  Tensor truth;   // int64 [N, D]
  Tensor chains;  // int64 [C, N, D]; undefined: truth, independent

  explicit FakeEvaluation(const Family& family)
      : Evaluation(
            {.family = family, .space = family.space(), .split = Split::kValid, .rows = 100}),
        streams_(7) {}
  virtual ~FakeEvaluation() = default;
  Offer<Oracle> oracle() const override {
    if (!target || !with_oracle) return Offer<Oracle>::none("too many states");
    if (!oracle_) oracle_ = std::make_unique<EnumerationOracle>(*target);
    return {oracle_.get()};
  }
  Stream& stream(const std::string& name) override { return streams_.at(name); }
  const ModelSamples& model_samples() override { return samples; }
  const Tensor& data_rows() override { return data_ = rows_given->rows(split(), all_rows()); }
  const Tensor& data_log_recorded() override {
    return log_recorded_ = rows_given->log_recorded(split(), all_rows());
  }
  const Tensor& data_recorded() override {
    return recorded_ = rows_given->recorded(split(), all_rows());
  }
  const Tensor& data_weights() override {
    return weights_ = rows_given->weights(split(), all_rows());
  }
  const TrueStates& true_chains() override {
    return true_chains_ = {chains.defined() ? chains : truth.unsqueeze(1), "exact samples",
                           !oracle() && !dataset()};
  }
  const TrueRows& true_states() override { return true_rows_ = {truth, "exact samples"}; }

  /// Samples with log w = log f - log q as given.
  void weigh(const std::vector<double>& log_weight) {
    const auto w = torch::tensor(log_weight, torch::kDouble);
    samples.states = torch::zeros({w.numel(), space().dimension()}, torch::kLong);
    samples.log_prob = torch::full_like(w, -1.5);
    samples.log_density = w - 1.5;
  }

 private:
  Streams streams_;
  mutable std::unique_ptr<EnumerationOracle> oracle_;
  TrueStates true_chains_;
  TrueRows true_rows_;
  Tensor all_rows() const { return torch::arange(rows_given->size(split())); }
  Tensor data_, log_recorded_, recorded_, weights_;
};

inline std::map<std::string, Measurement> run_metric(const std::string& metric,
                                                     Evaluation& evaluation,
                                                     const std::string& params = "") {
  torch::NoGradGuard no_grad;
  const auto json = "{\"type\": \"" + metric + "\"" + (params.empty() ? "" : ", ") + params + "}";
  std::map<std::string, Measurement> measurements;
  for (auto& measurement : make<Metric>(json)->measure(evaluation)) {
    REQUIRE_MESSAGE(!measurements.contains(measurement.estimator), measurement.estimator);
    measurements[measurement.estimator] = measurement;
  }
  return measurements;
}

/// Why a metric cannot be computed; any other exception is a failure.
inline std::string unavailable(const std::string& metric, Evaluation& evaluation,
                               const std::string& params = "") {
  try {
    run_metric(metric, evaluation, params);
  } catch (const Unavailable& e) {
    return e.what();
  }
  return "available";
}

/// A model that is a table of the target, and an evaluation of it on `copies` of all its states.
struct TableBench {
  WholeEnergy energy;
  TableFamily family{energy};
  FakeEvaluation evaluation{family};
  explicit TableBench(std::int64_t copies = 4) {
    evaluation.target = &energy;
    evaluation.truth = energy.repeated().repeat({copies, 1});
  }
};

/// Removes an estimator, or with "" all of them, of one kind.
inline void remove(TableFamily& family, QueryKind kind, const std::string& estimator = "") {
  std::erase_if(family.can, [&](const Capability& c) {
    return c.kind == kind && (estimator.empty() || c.estimator == estimator);
  });
}

using test::mean;
inline double log_mean_exp(const std::vector<double>& x) {
  double sum = 0;
  for (const auto v : x)
    sum += std::exp(v);
  return std::log(sum / double(x.size()));
}
inline double deviation(const std::vector<double>& x) {
  double sum = 0;
  for (const auto v : x)
    sum += (v - mean(x)) * (v - mean(x));
  return std::sqrt(sum / double(x.size() - 1));
}

}  // namespace marginalia::test::metrics
