#include <cmath>
#include <map>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/enumeration.h>

#include "answering.h"
#include "evaluator.h"
#include "sdk/base/clock.h"
#include "shared_family.h"

namespace marginalia {
namespace {

class RunEvaluation final : public Evaluation {
 public:
  RunEvaluation(const Experiment& experiment, const Family& family,
                const EvaluationRequest& request)
      : Evaluation(make_subject(experiment, family, request)),
        experiment_(experiment),
        request_(request),
        streams_(request.seed) {
    if (experiment.energy) exact_.emplace(*experiment.energy);
  }

  Stream& stream(const std::string& name) override { return streams_.at("evaluation/" + name); }

  Offer<Oracle> oracle() const override {
    return exact_ ? exact_->oracle() : Offer<Oracle>::none("a dataset has no exact answers");
  }

  const ModelSamples& model_samples() override {
    if (samples_) return *samples_;
    const Query query{.kind = QueryKind::kSample,
                      .partial = space().empty().expand({rows(), -1}).contiguous(),
                      .order = order_named(experiment_.evaluation.order)};
    const auto answer = family().answer(query, stream("model_samples"));
    samples_ = ModelSamples{answer.states, answer.value, {}, experiment_.evaluation.order};
    if (energy()) samples_->log_density = energy()->log_density(answer.states);
    return *samples_;
  }

  const Tensor& data_rows() override {
    if (data_.defined()) return data_;
    if (!dataset()) throw Unavailable("needs a dataset");
    const auto size = dataset()->size(split());
    const auto indices = request_.rows.all
                             ? torch::arange(size)
                             : stream("data_rows").permutations(1, size)[0].slice(0, 0, rows());
    log_recorded_ = dataset()->log_recorded(split(), indices);
    recorded_ = dataset()->recorded(split(), indices);
    weights_ = dataset()->weights(split(), indices);
    return data_ = dataset()->rows(split(), indices);
  }

  const Tensor& data_log_recorded() override {
    data_rows();
    return log_recorded_;
  }

  const Tensor& data_recorded() override {
    data_rows();
    return recorded_;
  }

  const Tensor& data_weights() override {
    data_rows();
    return weights_;
  }

  const TrueStates& true_chains() override {
    if (!truth_) truth_ = find_truth();
    return *truth_;
  }

  const TrueRows& true_states() override {
    if (true_rows_) return *true_rows_;
    true_rows_ = TrueRows{true_chains().states.flatten(0, 1), true_chains().source};
    auto& states = true_rows_->states;
    if (states.size(0) <= rows()) return *true_rows_;
    const auto chosen = stream("true_rows").permutations(1, states.size(0))[0].slice(0, 0, rows());
    states = states.index({chosen});
    return *true_rows_;
  }

  /// What is said of the reference samples in evaluation.json; null where none were asked for.
  const Json& reference_note() const { return reference_note_; }

 private:
  static EvaluationSubject make_subject(const Experiment& experiment, const Family& family,
                                        const EvaluationRequest& request) {
    const auto* dataset = experiment.dataset.get();
    const auto most = dataset ? dataset->size(request.split) : 1000;
    auto rows = request.rows.all ? most : request.rows.value;
    if (dataset) rows = std::min(rows, most);
    return {family, experiment.space(),  experiment.energy.get(), dataset, request.split,
            rows,   request.chain_health};
  }

  Offer<ReferenceSamples> reference() {
    if (!experiment_.reference)
      return Offer<ReferenceSamples>::none("there is no energy to run chains on");
    const auto samples = experiment_.reference->samples();
    reference_note_ = experiment_.reference->about();
    if (!samples) reference_note_["unavailable"] = samples.reason;
    return samples;
  }

  TrueStates find_truth() {
    const bool asked = experiment_.reference && experiment_.reference->always();
    if (const auto exact = oracle(); exact && !asked) {
      const auto all = space().empty().expand({rows(), -1}).contiguous();
      return {exact->sample(all, stream("true_states")).unsqueeze(1), "exact samples"};
    }
    if (dataset() && !asked)
      return {complete_rows().unsqueeze(1), fmt::format("{} rows", to_string(split()))};
    const auto chains = reference();
    if (chains)
      return {chains->states,
              fmt::format("chains ({})", chains->about.at("method").get<std::string>())};
    if (!experiment_.reference->about().empty())  // they were run, and are no truth
      throw Unavailable("needs states: " + chains.reason);
    if (!family().offers(QueryKind::kSample))
      throw Unavailable(
          fmt::format("needs states: there are no exact samples ({}), no chains ({}), no dataset, "
                      "and the family does not sample",
                      oracle().reason, chains.reason));
    return {model_samples().states.unsqueeze(1), "model samples", true};
  }

  /// Those of data_rows() that have no gaps.
  Tensor complete_rows() {
    const auto& all = data_rows();
    if (!dataset()->has_gaps()) return all;
    const auto complete = (all != kUnknown).all(1).nonzero().squeeze(1);
    if (complete.numel() == 0)
      throw Unavailable(
          fmt::format("needs rows without gaps; there are none in {}", to_string(split())));
    return all.index_select(0, complete);
  }

  const Experiment& experiment_;
  const EvaluationRequest& request_;
  Streams streams_;
  std::optional<ExactAnswers> exact_;
  std::optional<ModelSamples> samples_;
  std::optional<TrueStates> truth_;
  std::optional<TrueRows> true_rows_;
  Tensor data_, log_recorded_, recorded_, weights_;
  Json reference_note_;
};

Json to_json(const Measurement& measurement) {
  Json json{{"value", json_number(measurement.value)}};
  if (measurement.stderr_) json["stderr"] = json_number(*measurement.stderr_);
  if (measurement.samples > 0) json["samples"] = measurement.samples;
  json["unit"] = measurement.unit;
  json["status"] = to_string(measurement.status);
  if (measurement.route != Route::kOther) json["route"] = to_string(measurement.route);
  if (measurement.more.is_object()) json.update(measurement.more);
  return json;
}

}  // namespace

Json evaluate(Experiment& experiment, const EvaluationRequest& request) {
  const auto start = Clock::now();
  std::optional<SharedFamily> shared;
  if (request.ranks) shared.emplace(*experiment.family, *request.ranks);
  RunEvaluation evaluation(experiment, shared ? *shared : *experiment.family, request);
  const Answering answering(*experiment.family);
  Json metrics = Json::object(), unavailable = Json::object();
  for (const auto& child : request.metrics) {
    const auto name = child.spec->type();
    try {
      for (const auto& measurement : child.value->measure(evaluation))
        metrics[name][measurement.estimator] = to_json(measurement);
    } catch (const EnergyFailure& e) {
      if (request.in_training) throw;
      unavailable[name] = describe_error(e);
    } catch (const std::exception& e) {  // the others are measured all the same
      unavailable[name] = describe_error(e);
    }
  }
  Json result{{"seconds", seconds_since(start)}};
  if (request.ranks) result["ranks"] = request.ranks->size();
  if (experiment.dataset) result["split"] = to_string(request.split);
  if (!evaluation.reference_note().is_null()) result["reference"] = evaluation.reference_note();
  if (const auto about = experiment.family->about(); !about.is_null()) result["family"] = about;
  result["metrics"] = metrics;
  if (!unavailable.empty()) result["unavailable"] = unavailable;
  return result;
}

void answer_along(Family& family, Communicator& ranks) {
  const Answering answering(family);
  answer_shares(family, ranks);
}

double measured_value(const Json& evaluation, const std::string& key) {
  const auto slash = key.find('/');
  const auto& metrics = evaluation.at("metrics");
  const auto metric = key.substr(0, slash);
  if (metrics.contains(metric) && slash != std::string::npos) {
    const auto& measured = metrics.at(metric);
    if (measured.contains(key.substr(slash + 1))) {
      const auto& value = measured.at(key.substr(slash + 1)).at("value");
      return value.is_number() ? value.get<double>() : NAN;
    }
  }
  std::vector<std::string> known;
  for (const auto& [name, measured] : metrics.items())
    for (const auto& [estimator, _] : measured.items())
      known.push_back(name + "/" + estimator);
  throw SpecError(fmt::format("evaluation.select: {}; is it in evaluation.during?",
                              unknown_name("figure", key, known)));
}

}  // namespace marginalia
