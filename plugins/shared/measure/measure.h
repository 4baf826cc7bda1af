/// \file
/// What the metrics share: the estimators there are, random queries, means and errors by size.
///
/// B queries, N numbers, D variables, S the subset of known variables. All numbers are float64.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <marginalia/inference/certify.h>
#include <marginalia/metric.h>
#include <marginalia/params.h>

namespace marginalia::measure {

/// The estimators of `kind` that the family offers, in its order.
std::vector<Capability> offered(const Family& family, QueryKind kind);
/// The route of one of them; kOther for a name that the family does not have.
Route find_route(const Family& family, QueryKind kind, const std::string& estimator);
/// Its log-marginals in one pass. Throws Unavailable, naming what it offers, where there are none.
Capability need_one_pass(const Family& family);
/// Throws Unavailable where it has no conditionals in one pass, by which chains are drawn and
/// scored.
void need_one_pass_conditionals(const Family& family);
/// "one_pass, chain", or "none".
std::string list_estimators(const std::vector<Capability>& capabilities);

/// A mean and its standard error; no error for fewer than two numbers, or infinite ones.
struct Mean {
  double value;
  std::optional<double> error;
};
/// sum_n v_n / N, and sd / sqrt(N) with sd^2 = sum_n (v_n - mean)^2 / (N - 1).  float64 [N]
Mean compute_mean(const Tensor& values);
/// mean = sum_n w_n v_n / sum_n w_n, and the square root of
///   N / (N - 1) sum_n w_n^2 (v_n - mean)^2 / (sum_n w_n)^2.  float64 [N]; w undefined: all alike
Mean compute_mean(const Tensor& values, const Tensor& weights);
/// rms = sqrt(mean of e^2), and sd(e^2) / (2 rms sqrt(N)) by the delta method.  float64 [N]
/// variance: that of what e is measured against, float64 [N], which is taken out of each e^2; a
/// mean below 0 counts as 0. Undefined: none.
Mean root_mean_square(const Tensor& errors, const Tensor& variance = {});
/// log of the mean of exp(v), and sd(exp v) / (mean of exp(v) sqrt(N)).  float64 [N]
Mean log_mean_exp(const Tensor& values);

/// The middle one of an odd number of values, the upper of the two middle ones of an even number;
/// NaN for none.
double median(std::vector<double> values);

/// a - b, where two equal infinities differ by 0.
Tensor difference(const Tensor& a, const Tensor& b);

/// The family's answers to log p(x_S), a thousand rows at a time.
struct Answers {
  Tensor value;       ///< float64 [B], nats
  double passes = 0;  ///< network passes a query, on average
  bool exact = true;  ///< whether every one of them was exact
};
Answers log_marginals(const Family& family, const Tensor& partial, const std::string& estimator,
                      Stream& stream, std::int64_t orders = 5);
/// log p(x_i | x_S) of one variable a row, by the family's first estimator of conditionals.
/// partial, x: int64 [B, D]; variable: int64 [B]  ->  float64 [B].
Tensor log_conditionals(const Family& family, const Tensor& partial, const Tensor& x,
                        const Tensor& variable, Stream& stream);

/// States of the truth, or (said in `source`) of the model; throws Unavailable when there are none.
TrueRows true_states(Evaluation& evaluation);

/// Which queries are asked: parameters of a metric.
struct SubsetParams {
  std::vector<std::int64_t> sizes{10, 30, 50, 70, 90};
  std::int64_t queries = 100;
  void visit(ParamVisitor& p);
  /// The sizes |S|, ascending, for D variables.
  std::vector<std::int64_t> resolved(std::int64_t dimension) const;
};

/// Uniformly random subsets of true states: for every size, `queries` different states, or all.
struct Subsets {
  Tensor partial;  ///< int64 [B, D]
  Tensor size;     ///< int64 [B]: |S|
  std::string source;
};
Subsets random_subsets(Evaluation& evaluation, const SubsetParams& params, Stream& stream);
/// The same where what is said of them is held against the oracle: sets that it can sum.
Subsets oracle_subsets(Evaluation& evaluation, const SubsetParams& params, Stream& stream);

/// Parameters of a metric in format 1 of specs, which called exact_width "islands", in today's
/// words.
Json with_exact_width(const Json& old);

/// What is asked of every certificate: parameters of a metric.
struct IntervalParams {
  double confidence = 0.95, width = 0.1, exact_width = 12;
  void visit(ParamVisitor& p);
  CertifySettings settings() const;
};

/// True states x with S uniform among the subsets of a size that is uniform on 0..D-1, and a
/// uniformly random variable i outside S.
struct Links {
  Tensor x, partial;  ///< int64 [B, D]
  Tensor variable;    ///< int64 [B]: i
  Tensor size;        ///< int64 [B]: |S|
  std::string source;
};
Links random_links(Evaluation& evaluation, std::int64_t queries, Stream& stream);

/// The measurement of errors e: the rms, and in `more` the largest |e|, the mean e ("bias") and
/// "by_size" [{"size", "rms", "max", "bias", "count"}, ...]. More than `bins` sizes are joined to
/// bins of equal width, each at its mean size.  errors: float64 [B]; size: int64 [B]; variance: as
/// of root_mean_square.
Measurement error_measurement(const std::string& estimator, Route route, const Tensor& errors,
                              const Tensor& size, std::int64_t bins, const Tensor& variance = {});

}  // namespace marginalia::measure
