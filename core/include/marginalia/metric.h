#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/family.h>
#include <marginalia/measurement.h>
#include <marginalia/oracle.h>
#include <marginalia/spec.h>

namespace marginalia {

/// One number of a metric, by one estimator.
struct Measurement {
  std::string estimator;  ///< "one_pass", "chain", "importance", "exact", ...
  double value = 0;
  std::string unit = "nats";
  Status status = Status::kEstimate;
  std::optional<double> stderr_ = {};  ///< standard error of `value`
  std::int64_t samples = 0;
  Json more = {};               ///< further keys: "by_size", "max", "split", ...
  Route route = Route::kOther;  ///< how the model was asked, where it was: of its Capability
};

/// States of the model with their log-probability along the order they were drawn in.
struct ModelSamples {
  Tensor states;       ///< int64 [N, D]
  Tensor log_prob;     ///< float64 [N]: log q(x | order)
  Tensor log_density;  ///< float64 [N]: log f(x); undefined without an energy
  std::string order = "random";
};

/// States that stand for the target, with the chains that they come from.
struct TrueStates {
  Tensor states;       ///< int64 [C, N, D]: N successive ones of C chains; N = 1: independent
  std::string source;  ///< "exact samples", "test rows", "chains (swendsen_wang)", "model samples"
  bool of_model = false;  ///< nothing else is known of the target
};

/// Of these the states that metrics look at.
struct TrueRows {
  Tensor states;       ///< int64 [N, D]
  std::string source;  ///< as of TrueStates
};

/// What is measured, and on how many states.
struct EvaluationSubject {
  const Family& family;
  const StateSpace& space;
  const Energy* energy = nullptr;    ///< null where the spec has none
  const Dataset* dataset = nullptr;  ///< likewise
  Split split = Split::kTest;
  std::int64_t rows = 0;      ///< states for metrics that walk chains
  double chain_health = NAN;  ///< split R-hat of the training chain, or NaN
};

/// What an evaluation lends to its metrics; what is costly is computed once, when first asked for.
class MARGINALIA_API Evaluation {
 public:
  explicit Evaluation(const EvaluationSubject& subject) : subject_(subject) {}

  const Family& family() const { return subject_.family; }
  const StateSpace& space() const { return subject_.space; }
  const Energy* energy() const { return subject_.energy; }
  const Dataset* dataset() const { return subject_.dataset; }
  Split split() const { return subject_.split; }
  std::int64_t rows() const { return subject_.rows; }
  double chain_health() const { return subject_.chain_health; }

  virtual Offer<Oracle> oracle() const = 0;
  virtual Stream& stream(const std::string& name) = 0;
  virtual const ModelSamples& model_samples() = 0;
  virtual const Tensor& data_rows() = 0;          ///< rows() states of the split, int64 [N, D]
  virtual const Tensor& data_log_recorded() = 0;  ///< Dataset::log_recorded of them
  virtual const Tensor& data_recorded() = 0;      ///< Dataset::recorded of them
  virtual const Tensor& data_weights() = 0;       ///< Dataset::weights of them
  /// States of the truth: exact samples, else the data, else chains of the energy
  /// (evaluation.reference), else model samples. Throws Unavailable where there are none at all.
  virtual const TrueStates& true_chains() = 0;
  /// rows() of them, or all where they are fewer; without gaps.
  virtual const TrueRows& true_states() = 0;

 protected:
  ~Evaluation() = default;
  EvaluationSubject subject_;
};

/// Thrown by a metric that cannot be computed for a run; the reason is reported.
class MARGINALIA_API Unavailable : public Error {
 public:
  using Error::Error;
  ~Unavailable() override;
};

/// Something measured of a trained model. It declares what it measures:
///
///   static constexpr MeasurementInfo kMeasurements[] = {...};
///
/// One that does not is shown by its name, and neither way is better.
class MARGINALIA_API Metric : public Component {
 public:
  using Interface = Metric;
  using Context = NoContext;
  static constexpr const char* kKind = "metric";

  ~Metric() override;
  /// The measurements of this run; throws Unavailable with the reason.
  virtual std::vector<Measurement> measure(Evaluation& evaluation) const = 0;
};

}  // namespace marginalia
