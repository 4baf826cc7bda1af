#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <marginalia/api.h>
#include <marginalia/tensor.h>

namespace marginalia {

/// kMaxProbable: the unknown variables' values that make the state most probable.
enum class QueryKind { kLogMarginal, kConditionals, kSample, kMaxProbable, kLogZ };
MARGINALIA_API std::string_view to_string(QueryKind kind);

/// How far an answer can be trusted: equal to the truth (of the model), a bound, or neither.
enum class Status { kExact, kUpper, kLower, kEstimate };
MARGINALIA_API std::string_view to_string(Status status);

/// How an estimator comes to its answer, whatever its name: what those ask by who need an answer of
/// a certain kind, and what reports colour and explain estimators by.
enum class Route {
  kOnePass,     ///< the model is asked once, in any state of knowledge
  kAlongOrder,  ///< conditionals along one order of the variables: their sum, or draws from them
  kEnsemble,    ///< the log-mean-exp over several orders
  kImportance,  ///< importance sampling from the model
  kExact,       ///< sums that an oracle makes
  kOther
};
MARGINALIA_API std::string_view to_string(Route route);  ///< "one pass", ..., "other"

/// The order in which variables are revealed along a chain. kParallel: by the network's colours
/// (Network::colours), in a random order of them, those of one colour in one pass; the same law as
/// one after the other.
enum class Order { kRandom, kForward, kBackward, kParallel };
MARGINALIA_API std::string_view to_string(Order order);     ///< "random", ...
MARGINALIA_API Order order_named(const std::string& name);  ///< throws SpecError

/// What is known of a batch of states: values of some variables, and of others which they may be.
struct MARGINALIA_API Evidence {
  Evidence(Tensor values, Tensor sets = {})
      : partial(std::move(values)), allowed(std::move(sets)) {}
  Tensor partial;  ///< int64 [B, D]: x_S; kUnknown elsewhere
  /// float64 [B, D, K] in 0..1, or undefined (1 everywhere): how much of each value of an unknown
  /// variable is allowed. 0 and 1 make sets of values; what lies between is a part of a value, as
  /// where values are bins of numbers and a range ends within one. The event A it stands for has
  ///   p(x_S, A) = sum_{x_U} p(x_S, x_U) prod_{i in U} allowed_i(x_i).
  Tensor allowed;

  std::int64_t rows() const;
  std::vector<Evidence> split(std::int64_t rows) const;  ///< the last with what is left
  Evidence of_rows(const Tensor& rows) const;            ///< rows: int64 [R]
  /// One row that is expanded to many (Tensor::expand), of which models then sum once.
  bool repeats_one() const;
  Evidence once() const;  ///< the first row where repeats_one(), else all
  /// bool [B, D]: unknown variables of which not everything is allowed.
  Tensor restricted() const;
  /// log prod_{i unknown} allowed_i(x_i) of whole states, int64 [B, D]: float64 [B].
  Tensor log_allowed(const Tensor& states) const;
};

/// A question to a model.
struct Query {
  QueryKind kind = QueryKind::kLogMarginal;
  Tensor partial = {};         ///< int64 [B, D]: x_S, evidence included
  Tensor given = {};           ///< int64 [B, D] or undefined: the part of `partial` conditioned on
  std::string estimator = {};  ///< empty: the family's first for this kind
  std::int64_t orders = 5;     ///< of an ensemble and of "paths"; masks of "masked"
  Order order = Order::kRandom;
  std::int64_t steps = 0;  ///< of a sample drawn in blocks; 0: one variable at a time
  bool in_float32 =
      false;  ///< exact sums may be rounded to float32, which takes a third of the time
  bool states_alone = false;  ///< of a sample: `value`, which may cost more, is not wanted
  /// As of Evidence, beside `partial`; its event A is asked about by log p(x_S, A | given), and
  /// conditioned on by conditionals and samples.
  Tensor allowed = {};

  Evidence evidence() const { return {partial, allowed}; }
};

/// What the asker should know of the answer to one row.
struct AnswerWarning {
  std::int64_t row;
  std::string text;  ///< "variables 0 and 2 never moved: ..."
};

/// An answer. Everything is on the CPU.
struct Answer {
  Tensor value;        ///< float64: [B] log p; [B, D, K] log-probabilities; [1] log Z; NaN: unknown
  Tensor states = {};  ///< kSample and kMaxProbable: int64 [B, D]
  std::string estimator = {};
  Status status = Status::kEstimate;
  double passes = 0;  ///< network passes a row, on average
  std::vector<AnswerWarning> warnings = {};
};

/// One way in which a family answers one kind of question.
struct Capability {
  QueryKind kind;
  std::string estimator;
  Status status;
  std::string passes;  ///< "1", "|U|", "orders x |S|"
  Route route = Route::kOther;
  bool sets = false;  ///< whether Query::allowed is taken
};

}  // namespace marginalia
