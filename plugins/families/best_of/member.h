#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <marginalia/family.h>

namespace marginalia::best_of {

/// Tensors by name: what a family visits, copied.
using Tensors = std::map<std::string, Tensor>;

/// One of several families, while it is trained and after: the state in training, and the best
/// seen on the validation rows, which answers.
class Member {
 public:
  /// decay: of the moving average of its parameters, which is what is validated; 0: none.
  Member(std::string name, std::shared_ptr<Family> family, double decay);

  const std::string& name() const { return name_; }
  const Family& family() const { return *family_; }
  bool validated() const { return log_p_.defined(); }
  double value() const;                           ///< mean log p of the validation rows; -inf: none
  const Tensor& log_p() const { return log_p_; }  ///< of each of them: float64 [R]

  /// A step of training; the average follows.
  void step(Step& step);
  /// Its average is asked for log p of `rows`.  -> whether it is the best so far, on all ranks.
  bool validate(const Tensor& rows, Step& step);
  /// Puts the best in place of the state in training, which then is no more.
  void finish();

  /// Between training and answers: the best stands in for the state in training, and back.
  void set_training(bool training);
  std::vector<ParameterGroup> parameters(const std::string& prefix);
  void visit(StateVisitor& v);
  Answer answer(const Query& query, Stream& stream) const { return family_->answer(query, stream); }

 private:
  void swap_averages();
  void put_aside(bool on);

  std::string name_;
  std::shared_ptr<Family> family_;
  double decay_;
  bool training_ = true;
  std::vector<std::pair<std::string, Tensor>> parameters_, averages_;
  Tensor updates_;                // int64 [1]
  Tensor log_p_;                  // of the best
  Tensors best_;                  // empty: none yet, or it is in place
  std::optional<Tensors> aside_;  // the state in training, while the best answers
};

/// What a family lends its members for a step: theirs is the progress from `begin` to `end`.
class MemberStep final : public Step {
 public:
  MemberStep(Step& step, const std::string& prefix, double begin, double end)
      : step_(step), prefix_(prefix), begin_(begin), end_(end) {
    set_stage(0, 1);
  }
  std::int64_t index() const override { return step_.index(); }
  double progress() const override;
  void set_stage(double begin, double end) override;
  std::int64_t batch_size() const override { return step_.batch_size(); }
  Tensor batch() override { return step_.batch(); }
  Tensor share(const Tensor& rows) const override { return step_.share(rows); }
  Tensor gather(const Tensor& share) override { return step_.gather(share); }
  Tensor sum(const Tensor& own) override { return step_.sum(own); }
  bool has_dataset() const override { return step_.has_dataset(); }
  MeteredEnergy& energy() override { return step_.energy(); }
  bool has_energy() const override { return step_.has_energy(); }
  Stream& stream(const std::string& name) override { return step_.stream(prefix_ + name); }
  Stream& own_stream(const std::string& name) override { return step_.own_stream(prefix_ + name); }
  void minimise(const Tensor& loss, const std::string& group) override {
    step_.minimise(loss, prefix_ + group);
  }
  void record(const std::string& name, double value) override { step_.record(name, value); }
  void count_passes(std::int64_t rows) override { step_.count_passes(rows); }

 private:
  Step& step_;
  std::string prefix_;
  double begin_, end_;
};

}  // namespace marginalia::best_of
