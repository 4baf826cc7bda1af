#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>

#include "batches.h"
#include "gradient_buckets.h"
#include "host/evaluation/evaluator.h"
#include "host/ranks/together.h"
#include "optimizer.h"
#include "sdk/base/clock.h"
#include "tensor_collector.h"
#include "trainer.h"

namespace marginalia {
namespace {

/// What a step may change beside parameters, copied: chains are written in place.
class Before final : public StateVisitor {
 public:
  Before(Family& family, const Streams& streams, const TrainingState& state)
      : streams_(streams.state()), state_(state) {
    family.visit(*this);
  }
  /// Puts it all back.
  void restore(Family& family, Streams& streams, TrainingState& state) {
    restoring_ = true;
    family.visit(*this);
    streams.set_state(streams_);
    state = state_;
  }
  void operator()(const std::string& name, Tensor& tensor) override {
    if (restoring_)
      tensor = tensors_.at(name);
    else
      tensors_[name] = tensor.defined() ? tensor.detach().clone() : Tensor();
  }

 private:
  void parameter(const std::string&, Tensor&) override {}

  std::map<std::string, Tensor> tensors_, streams_;
  TrainingState state_;
  bool restoring_ = false;
};

}  // namespace

class TrainingLoop::Trainer final : public Step {
 public:
  Trainer(Experiment& experiment, const TrainingPlace& place, const TrainingHooks& hooks)
      : experiment_(experiment),
        params_(experiment.training),
        run_(place.run),
        ranks_(place.ranks),
        hooks_(hooks),
        family_(*experiment.family),
        prior_(experiment.prior ? experiment.prior->family.get() : nullptr),
        streams_(experiment.seed),
        optimizer_(params_.optimizer, family_.parameters(), ranks_),
        average_(params_.moving_average, family_.parameters()) {
    if (experiment.energy) energy_.emplace(*experiment.energy);
    if (ranks_) buckets_.emplace(*ranks_, family_.parameters());
  }

  void begin(const std::filesystem::path& from) {
    start_from(from);
    if (run_ && !from.empty() && state_.best_step == state_.step)  // killed before it was linked
      link_atomically(from.filename(), from.parent_path() / "best.safetensors");
    if (run_) metrics_.emplace(run_->path(), state_.step);
    if (from.empty()) checkpoint(false);
    if (state_.unmeasured) checkpoint(evaluate_now());
  }
  bool advance() {
    if (done()) return false;
    if (energy_ && !ranks_)
      guarded_step();
    else
      one_step();
    if (due(params_.log_every_steps) || done()) log();
    return !measure_and_keep() && !done();
  }
  Training end() {
    if (saved_ != state_.step) checkpoint(false);
    if (!done()) return {Outcome::kInterrupted, state_};
    if (prior_) prior_->use_fold(-1);
    return {Outcome::kFinished, state_};
  }
  const TrainingState& state() const { return state_; }
  double loss() const { return loss_; }

  // What a family is lent.
  std::int64_t index() const override { return state_.step; }
  double progress() const override {
    const auto& budget = params_.budget;
    const auto share = [](double used, double limit) { return limit > 0 ? used / limit : 0.0; };
    if (state_.step >= params_.steps) return 1;
    return std::max({share(double(state_.step), double(params_.steps)),
                     share(state_.seconds, budget.seconds),
                     share(double(state_.energy_evaluations), double(budget.energy_evaluations)),
                     share(double(state_.passes), double(budget.passes))});
  }
  void set_stage(double begin, double end) override {
    stage_begin_ = begin;
    stage_end_ = end;
  }
  std::int64_t batch_size() const override { return params_.batch_size; }
  bool has_dataset() const override { return experiment_.dataset != nullptr; }
  bool has_energy() const override { return energy_.has_value(); }
  MeteredEnergy& energy() override {
    if (!energy_) throw SpecError(family_.label() + ": trains from an energy; the spec has none");
    return *energy_;
  }
  Stream& stream(const std::string& name) override { return streams_.at(name); }
  Stream& own_stream(const std::string& name) override {
    auto& common = streams_.at(name);
    if (!ranks_) return common;
    const auto rank = std::uint64_t(ranks_->rank());
    return own_streams_.insert_or_assign(name, Stream(common.seed(), name, rank)).first->second;
  }
  void record(const std::string& name, double value) override {
    auto& values = state_.recorded[name];
    values.sum += value;
    ++values.count;
  }
  void count_passes(std::int64_t rows) override { (ranks_ ? own_passes_ : state_.passes) += rows; }

  Tensor batch() override {
    if (!has_dataset()) throw SpecError(family_.label() + ": trains from a dataset; none is given");
    const auto folds = prior_ ? prior_->folds() : 0;
    if (!batches_)
      batches_.emplace(*experiment_.dataset, experiment_.seed, params_.batch_size,
                       std::max<std::int64_t>(folds, 1));
    if (folds > 0) prior_->use_fold(batches_->fold(state_.rows_consumed));
    const auto rows = batches_->take(state_.rows_consumed);
    state_.rows_consumed += params_.batch_size;
    record("train/data_wait_seconds", batches_->waited());
    return rows;
  }

  Tensor share(const Tensor& rows) const override {
    if (!ranks_) return rows;
    const auto all = rows.size(0), count = all / ranks_->size();
    if (count * ranks_->size() != all)
      throw_on_all<SpecError>(fmt::format("{}: {} ranks do not divide {} rows of what it draws",
                                          family_.label(), ranks_->size(), all),
                              ranks_->is_first());
    return rows.slice(0, ranks_->rank() * count, (ranks_->rank() + 1) * count);
  }
  Tensor gather(const Tensor& share) override { return ranks_ ? ranks_->all_gather(share) : share; }
  Tensor sum(const Tensor& own) override {
    if (!ranks_) return own;
    const auto sum = own.detach().clone(at::MemoryFormat::Contiguous);
    ranks_->all_reduce(sum);
    return sum;
  }

  void minimise(const Tensor& loss, const std::string& group) override {
    loss_ += backward(loss, group) / double(params_.accumulate);
    if (!is_last_micro_batch()) return;
    const auto norm = optimizer_.clip(group, params_.clip_norm);
    if (!std::isfinite(norm)) fail_not_finite("the gradient's norm", norm);
    record("train/gradient_norm", norm);
    const auto within = (progress() - stage_begin_) / (stage_end_ - stage_begin_);
    const auto scale = learning_rate_factor(params_.schedule, state_.step, within);
    moved_ = true;
    optimizer_.step(group, scale);
    record("train/learning_rate", params_.optimizer.learning_rate * scale);
  }

 private:
  int count_ranks() const { return ranks_ ? ranks_->size() : 1; }
  bool is_last_micro_batch() const { return micro_ + 1 == params_.accumulate; }

  /// The backward pass of a loss, that of the whole micro-batch where ranks have a share each.
  /// -> its value.
  double backward(const Tensor& loss, const std::string& group) {
    const auto scaled = loss / double(params_.accumulate * count_ranks());
    auto value = loss.item<double>();
    if (!ranks_) {
      if (!std::isfinite(value)) fail_not_finite("the loss", value);
      scaled.backward();
      return value;
    }
    const auto sum = torch::tensor({value}, torch::kDouble);
    const auto wait = ranks_->begin_all_reduce(sum);  // meanwhile
    if (is_last_micro_batch())
      buckets_->backward(scaled, group);
    else
      scaled.backward();
    wait();
    value = sum.item<double>() / double(count_ranks());
    if (!std::isfinite(value)) fail_not_finite("the loss", value);
    return value;
  }

  void start_from(const std::filesystem::path& from) {
    if (!from.empty()) {
      state_ = load_checkpoint(from, {family_, prior_, optimizer_, average_, streams_},
                               ranks_ ? ranks_->rank() : 0);
      if (energy_) energy_->set_evaluations(state_.energy_evaluations);
    }
    family_.set_training(true);
  }

  /// An energy may fail, a program of another's most of all: then the state before the step is kept
  /// in a checkpoint, from which a resumed run ends where an unbroken one does. Where the failure
  /// comes after a group of parameters has moved, or on one of several ranks, the last checkpoint
  /// has to do.
  void guarded_step() {
    Before before(family_, streams_, state_);
    moved_ = false;
    try {
      one_step();
    } catch (const Error&) {
      if (moved_) throw;
      before.restore(family_, streams_, state_);
      checkpoint(false);
      throw;
    }
  }

  void one_step() {
    const auto start = Clock::now();
    anneal();
    loss_ = 0;
    for (micro_ = 0; micro_ < params_.accumulate; ++micro_)
      family_.step(*this);
    average_.update(optimizer_.updates());
    ++state_.step;
    const auto seconds = agree(seconds_since(start));
    state_.seconds += seconds;
    record("train/loss", loss_);
    record("train/step_seconds", seconds);
  }

  /// What all ranks go by: what they have computed together, whether one of them is told to stop,
  /// and the clock of rank 0.  -> that.
  double agree(double seconds) {
    if (!ranks_) {
      if (energy_) state_.energy_evaluations = energy_->evaluations();
      return seconds;
    }
    const auto own_evaluations =
        energy_ ? energy_->evaluations() - state_.energy_evaluations : std::int64_t{0};
    const bool is_told = hooks_.stop && hooks_.stop->load();
    const auto sums = torch::tensor({double(own_evaluations), double(std::exchange(own_passes_, 0)),
                                     double(is_told), ranks_->is_first() ? seconds : 0.0},
                                    torch::kDouble);
    ranks_->all_reduce(sums);
    const auto* const all = sums.data_ptr<double>();
    state_.energy_evaluations += std::int64_t(all[0]);
    state_.passes += std::int64_t(all[1]);
    if (energy_) energy_->set_evaluations(state_.energy_evaluations);
    stop_ = all[2] > 0;
    return all[3];
  }

  /// A step has one temperature, whatever its micro-batches do to progress().
  void anneal() {
    if (!energy_) return;
    const auto b = params_.anneal.at(progress());
    energy_->set_inverse_temperature(b);
    if (params_.anneal.from != 1) record("train/inverse_temperature", b);
  }

  /// What follows a step: evaluation and checkpoint where they are due.  -> whether to stop.
  bool measure_and_keep() {
    const bool best = due(experiment_.evaluation.every_steps) && evaluate_now();
    const bool stop = stopping();
    if (best || stop || due(params_.checkpoint.every_steps)) checkpoint(best);
    return stop;
  }

  bool due(std::int64_t every) const { return every > 0 && state_.step % every == 0; }
  bool stopping() const { return ranks_ ? stop_ : hooks_.stop && hooks_.stop->load(); }
  bool done() const {
    const auto patience = params_.early_stopping.patience;
    return progress() >= 1 || family_.trained() ||
           (patience > 0 && state_.evaluations_since_best >= patience);
  }

  void log() {
    auto values = take_means();
    if (energy_) values["train/energy_evaluations"] = double(state_.energy_evaluations);
    values["train/passes"] = double(state_.passes);
    if (metrics_) metrics_->add(state_.step, state_.seconds, values);
    if (hooks_.progress) hooks_.progress(state_, params_, progress(), values["train/loss"]);
  }

  /// The means of what was recorded since the last time, over all ranks.
  std::map<std::string, double> take_means() {
    auto recorded = std::exchange(state_.recorded, {});
    if (ranks_) {
      auto sums = torch::empty({std::int64_t(recorded.size()), 2}, torch::kDouble);
      auto* at = sums.data_ptr<double>();
      for (const auto& [_, values] : recorded) {
        *at++ = values.sum;
        *at++ = double(values.count);
      }
      ranks_->all_reduce(sums);
      at = sums.data_ptr<double>();
      for (auto& [_, values] : recorded) {
        values.sum = *at++;
        values.count = std::int64_t(*at++);
      }
    }
    std::map<std::string, double> means;
    for (const auto& [name, values] : recorded)
      means[name] = values.sum / double(values.count);
    return means;
  }

  /// What evaluation.during measures. Rank 0 asks and all answer; all know what it found.
  Json measure_during() {
    const auto& wanted = experiment_.evaluation;
    Json result;
    together(ranks_, [&] {
      if (ranks_ && !ranks_->is_first()) return answer_along(family_, *ranks_);
      result = evaluate(experiment_, {wanted.during,
                                      {wanted.every_rows, false},
                                      split_named(wanted.select.split),
                                      experiment_.seed,
                                      NAN,
                                      true,
                                      ranks_});
    });
    if (!ranks_) return result;
    const auto bytes = Json::to_msgpack(result);  // which has NaN
    return Json::from_msgpack(ranks_->broadcast(std::string(bytes.begin(), bytes.end())));
  }

  /// Measures evaluation.during with the averaged parameters.  -> whether this is the best so far.
  bool evaluate_now() {
    const auto& wanted = experiment_.evaluation;
    if (wanted.during.empty()) return false;
    if (prior_) prior_->use_fold(-1);
    Json result;
    average_.swap();
    try {
      result = measure_during();
    } catch (const Error&) {  // as of a reward that dies: resumed, the run measures this step first
      average_.swap();
      state_.unmeasured = true;
      checkpoint(false);
      throw;
    }
    state_.unmeasured = false;
    average_.swap();
    std::map<std::string, double> values;
    for (const auto& [metric, figures] : result["metrics"].items())
      for (const auto& [estimator, entry] : figures.items())
        if (entry["value"].is_number())
          values[fmt::format("eval/{}/{}", metric, estimator)] = entry["value"].get<double>();
    if (metrics_) metrics_->add(state_.step, state_.seconds, values);
    return !wanted.select.metric.empty() && is_best(measured_value(result, wanted.select.metric));
  }

  bool is_best(double value) {
    const auto sign = experiment_.evaluation.select.mode == "min" ? 1.0 : -1.0;
    const auto gain = sign * (state_.best_value - value);
    const bool best = std::isfinite(value) && (state_.best_step < 0 || gain > 0);
    const bool counts = state_.best_step < 0 || gain > params_.early_stopping.min_delta;
    state_.evaluations_since_best = best && counts ? 0 : state_.evaluations_since_best + 1;
    if (best) {
      state_.best_value = value;
      state_.best_step = state_.step;
    }
    return best;
  }

  void checkpoint(bool best) {
    saved_ = state_.step;
    const auto states =
        ranks_ ? ranks_->all_gather(state_.to_text()) : std::vector<std::string>{state_.to_text()};
    optimizer_.gather_moments();
    if (run_)
      save_checkpoint(run_->checkpoints(), {family_, prior_, optimizer_, average_, streams_},
                      {state_.step, states, best}, experiment_.resolved, params_.checkpoint.keep);
  }

  [[noreturn]] void fail_not_finite(const char* what, double value) {
    const auto file =
        run_ ? run_->checkpoints() / "not_finite.safetensors" : std::filesystem::path();
    if (run_) {
      TensorCollector dump;
      family_.visit(dump);
      write_safetensors(file, {dump.tensors, {{"step", std::to_string(state_.step)}}});
    }
    throw_on_all<Error>(
        fmt::format("{} is {} at step {}; the state that led to it is in {}; a smaller "
                    "training.optimizer.learning_rate or a training.clip_norm may help",
                    what, value, state_.step, file.string()),
        run_ != nullptr);
  }

  Experiment& experiment_;
  const TrainingParams& params_;
  const RunDirectory* run_;  // null: another rank writes
  Communicator* ranks_;      // null: one process
  TrainingHooks hooks_;
  Family& family_;
  PriorFamily* prior_;  // null: none
  Streams streams_;
  std::map<std::string, Stream> own_streams_;  // of a rank
  std::int64_t own_passes_ = 0;                // of a rank in this step
  std::optional<MeteredEnergy> energy_;
  Optimizer optimizer_;
  MovingAverage average_;
  double stage_begin_ = 0, stage_end_ = 1;  // of progress()
  TrainingState state_;
  std::optional<MetricsLog> metrics_;
  std::int64_t micro_ = 0;
  std::int64_t saved_ = -1;  // step of the last checkpoint
  bool stop_ = false;        // whether a rank is told to stop
  bool moved_ = false;       // whether this step has moved parameters
  double loss_ = 0;
  std::optional<Batches> batches_;
  std::optional<GradientBuckets> buckets_;  // of several ranks
};

void check_data_parallel(const Experiment& experiment, int ranks) {
  Faults faults;
  const auto refuse = [&](const std::string& why) {
    faults.add(fmt::format("{} ranks cannot train this: {}", ranks, why));
  };
  const auto& family = *experiment.family;
  if (const auto why = family.why_not_data_parallel(); !why.empty())
    refuse(fmt::format("{}: {}", family.label(), why));
  if (experiment.prior) refuse("the training of a \"prior\" is not divided among ranks");
  if (!experiment.device.is_cpu())
    refuse(fmt::format("ranks add up on the CPU, and the device is {}", experiment.device.str()));
  if (const auto rows = experiment.training.batch_size; rows % ranks != 0)
    refuse(fmt::format("training.batch_size is {}, which they do not divide; {} would do", rows,
                       (rows / ranks + 1) * ranks));
  faults.throw_if_any();
}

TrainingLoop::TrainingLoop(Experiment& experiment, const TrainingPlace& place,
                           const std::filesystem::path& from, const TrainingHooks& hooks)
    : trainer_(std::make_unique<Trainer>(experiment, place, hooks)) {
  trainer_->begin(from);
}
TrainingLoop::~TrainingLoop() = default;

bool TrainingLoop::advance() {
  return trainer_->advance();
}
Training TrainingLoop::end() {
  return trainer_->end();
}
const TrainingState& TrainingLoop::state() const {
  return trainer_->state();
}
double TrainingLoop::progress() const {
  return trainer_->progress();
}
double TrainingLoop::loss() const {
  return trainer_->loss();
}

Training train(Experiment& experiment, const RunDirectory& run, const std::filesystem::path& from,
               const TrainingHooks& hooks) {
  TrainingLoop loop(experiment, {&run}, from, hooks);
  while (loop.advance()) {
  }
  return loop.end();
}

}  // namespace marginalia
