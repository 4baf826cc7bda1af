#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <marginalia/chains.h>
#include <marginalia/component.h>
#include <marginalia/dataset.h>
#include <marginalia/energy.h>
#include <marginalia/json.h>
#include <marginalia/network.h>
#include <marginalia/query.h>
#include <marginalia/stream.h>

namespace marginalia {

/// The networks of an experiment by role; a spec that gives one network gives it every role.
class MARGINALIA_API Networks {
 public:
  void add(const std::string& role, std::shared_ptr<Network> network);
  bool empty() const { return by_role_.empty(); }
  /// The network of `role`; throws SpecError, naming the role, when there is none or when it lacks
  /// one of `heads`.
  std::shared_ptr<Network> at(const std::string& role, HeadSet heads) const;
  const std::map<std::string, std::shared_ptr<Network>>& all() const { return by_role_; }

 private:
  std::map<std::string, std::shared_ptr<Network>> by_role_;
};

/// What a family is built from beside its parameters. Outlives the family.
struct FamilyContext {
  StateSpace space;
  const Energy* energy = nullptr;    ///< null when the spec has none
  const Dataset* dataset = nullptr;  ///< null when the spec has none
  Networks networks;
  at::Device device = at::kCPU;
  Precision precision = {};  ///< for parameters of its own; networks know theirs
  std::uint64_t seed = 0;    ///< root of the run's random streams
};

/// Walks the tensors that a checkpoint must hold. Reading replaces them.
class MARGINALIA_API StateVisitor {
 public:
  /// `tensor` may be undefined, and may change its shape between saving and loading.
  virtual void operator()(const std::string& name, Tensor& tensor) = 0;
  /// Every parameter and buffer of `module`, each as `prefix` + its dotted name.
  void module(const std::string& prefix, torch::nn::Module& module);

 protected:
  ~StateVisitor() = default;
  /// A leaf that is trained: its storage is filled, its identity kept.
  virtual void parameter(const std::string& name, Tensor& tensor) = 0;
  /// The same of another visitor, for one that passes on what it is shown.
  static void parameter(StateVisitor& visitor, const std::string& name, Tensor& tensor) {
    visitor.parameter(name, tensor);
  }
};

/// Calls another visitor with each name behind a prefix: what a family that holds others visits
/// them with.
class MARGINALIA_API PrefixedVisitor final : public StateVisitor {
 public:
  PrefixedVisitor(StateVisitor& visitor, std::string prefix)
      : visitor_(visitor), prefix_(std::move(prefix)) {}
  void operator()(const std::string& name, Tensor& tensor) override;

 private:
  void parameter(const std::string& name, Tensor& tensor) override;
  StateVisitor& visitor_;
  std::string prefix_;
};

/// Parameters that share a learning rate.
struct ParameterGroup {
  std::string name;  ///< "marginal", "conditional", "log_z"
  std::vector<std::pair<std::string, Tensor>> parameters;
};

/// What the trainer lends to a family for one optimisation step.
class MARGINALIA_API Step {
 public:
  virtual std::int64_t index() const = 0;  ///< optimisation steps done so far
  virtual double progress() const = 0;     ///< 0 at the start, 1 at the end of the budget
  /// The schedule of the learning rate runs from one progress to the other, not from 0 to 1.
  virtual void set_stage(double begin, double end) = 0;
  virtual std::int64_t batch_size() const = 0;  ///< rows of one micro-batch
  virtual Tensor batch() = 0;                   ///< training rows, int64 [batch_size, D]
  virtual bool has_dataset() const = 0;
  virtual MeteredEnergy& energy() = 0;  ///< throws Error when the spec has none
  virtual bool has_energy() const = 0;
  /// Where several ranks train together all draw the same from it, and draw as often.
  virtual Stream& stream(const std::string& name) = 0;
  /// What is drawn for this process's share of the rows alone: of one process stream(name) itself;
  /// of each rank a stream of its own, begun anew with each call by a draw from stream(name).
  virtual Stream& own_stream(const std::string& name) = 0;
  /// Backward, gradient accumulation, clipping, non-finite guard, optimiser, moving average, for
  /// the parameters of one group, or of all. loss: a scalar, a mean over the share of the rows. A
  /// family that takes no gradient (EM, MCMC) never calls it.
  virtual void minimise(const Tensor& loss, const std::string& group = "") = 0;
  virtual void record(const std::string& name, double value) = 0;  ///< to metrics.jsonl
  virtual void count_passes(std::int64_t rows) = 0;  ///< network passes x rows, of this process
  /// Of what belongs to the rows of a micro-batch, [batch_size, ...], that which this process
  /// computes: all of it, or an even share where several ranks train together; throws SpecError
  /// where they do not divide the rows. What is drawn at random is drawn for all rows before, so
  /// that it does not depend on how many ranks there are; the states of chains are the exception,
  /// which each rank moves by own_stream.
  virtual Tensor share(const Tensor& rows) const = 0;
  std::int64_t share_of(std::int64_t rows) const;  ///< how many rows that is of so many
  /// The inverse: puts the shares of all ranks together, without a gradient.
  virtual Tensor gather(const Tensor& share) = 0;
  /// The sum over ranks of what each has, the same on all; without a gradient.
  virtual Tensor sum(const Tensor& own) = 0;

 protected:
  ~Step() = default;
};

/// What a family whose training runs chains records of their health (Step::record): split R-hat.
inline constexpr const char* kChainHealth = "chain/split_r_hat";

/// A probability model: learns from a dataset, an energy or both, and answers queries.
///
/// One that runs chains of any energy without being trained may say with which parameters they
/// stand for exact samples where a spec names no other (evaluation.reference):
///
///   static constexpr const char* kReferenceChains = R"({"sampler": "auto"})";
class MARGINALIA_API Family : public Component {
 public:
  using Interface = Family;
  using Context = FamilyContext;
  static constexpr const char* kKind = "family";

  ~Family() override;
  virtual const StateSpace& space() const = 0;
  virtual std::vector<Capability> capabilities() const = 0;
  /// Whether `kind` of query is answered, by `estimator` where one is named.
  bool offers(QueryKind kind, const std::string& estimator = "") const;
  /// The first way in which it answers `kind` by `route`; none where it offers no such way.
  std::optional<Capability> by_route(QueryKind kind, Route route) const;

  /// One optimisation step (a micro-batch of it when gradients are accumulated).
  virtual void step(Step& step) = 0;
  /// Whether more steps would change nothing: training then ends before its budget.
  virtual bool trained() const;
  /// What may be trained now; empty for families without gradients.
  virtual std::vector<ParameterGroup> parameters() = 0;
  /// Every tensor that training depends on.
  virtual void visit(StateVisitor& visitor) = 0;
  /// Called between training and evaluation: switches what behaves differently in the two.
  virtual void set_training(bool training) = 0;
  /// The chains of a family that draws from the energy by chains without being trained.
  virtual Offer<ChainSource> chains() const;
  /// What evaluation.json says of it beside its measurements, as which of several models it kept.
  /// Null: nothing.
  virtual Json about() const;
  /// What whoever asks it should know of how it was trained, a sentence each: variables that its
  /// chains never moved, for one.
  virtual std::vector<std::string> warnings() const;
  /// Why several ranks cannot train it together, each on its share of the rows (Step::share);
  /// empty where they can: then a step changes nothing of the family but by Step::minimise and by
  /// what is the same on all of them. For a sentence: "its training is not divided among ranks".
  virtual std::string why_not_data_parallel() const;

  /// Answers without touching the state of training. Throws SpecError, with the nearest name, when
  /// the estimator is not among capabilities().
  Answer answer(const Query& query, Stream& stream) const;

 private:
  virtual Answer compute_answer(const Query& query, Stream& stream) const = 0;
};

/// Throws SpecError where a dataset (null: none) has rows with gaps, for a family that cannot learn
/// from those.
MARGINALIA_API void need_complete_rows(const Dataset* dataset);

/// A module's parameters under the names a checkpoint gives them.
MARGINALIA_API std::vector<std::pair<std::string, Tensor>> collect_parameters(
    torch::nn::Module& module, const std::string& prefix);

}  // namespace marginalia
