#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <marginalia/family.h>
#include <marginalia/registry.h>
#include <marginalia/spec.h>

namespace marginalia {

class Experiment;

/// An exact family that networks start from ("prior": "family"), and those that were trained
/// without a part of the rows each. Where there are such parts, a row is learned from with the one
/// that has not seen it (cross-fitting): a network would else trust what is only learned by heart.
class PriorFamily final : public Family {
 public:
  explicit PriorFamily(std::vector<std::shared_ptr<Family>> families)
      : families_(std::move(families)), asked_(families_.front().get()) {}

  std::int64_t folds() const { return std::int64_t(families_.size()) - 1; }
  /// From now on the family trained without this fold answers; -1: the one of all rows.
  void use_fold(std::int64_t fold) { asked_ = families_[std::size_t(fold + 1)].get(); }

  const StateSpace& space() const override { return asked_->space(); }
  std::vector<Capability> capabilities() const override { return asked_->capabilities(); }
  void step(Step&) override;
  std::vector<ParameterGroup> parameters() override { return {}; }  // frozen
  void visit(StateVisitor& v) override;
  void set_training(bool) override;

 private:
  Answer compute_answer(const Query& query, Stream& stream) const override {
    return asked_->answer(query, stream);
  }
  std::vector<std::shared_ptr<Family>> families_;  // of all rows, then without each fold
  Family* asked_;
};

/// A dataset whose training rows may be exchanged for rows that a model has drawn.
class DrawnRows final : public Dataset {
 public:
  explicit DrawnRows(std::shared_ptr<Dataset> whole);
  /// drawn: int64 [N, D]; until then the training rows are those of the dataset.
  void exchange(const Tensor& drawn) { drawn_ = drawn; }

  const StateSpace& space() const override { return whole_->space(); }
  std::int64_t size(Split split) const override;
  bool has_gaps() const override { return whole_->has_gaps(); }
  Tensor ordered() const override { return whole_->ordered(); }

 private:
  Tensor compute_rows(Split split, const Tensor& indices, std::uint64_t epoch_key) const override;
  bool is_drawn(Split split) const { return split == Split::kTrain && drawn_.defined(); }
  std::shared_ptr<Dataset> whole_;
  Tensor drawn_;
};

/// The section "prior" of a spec, built: experiments of the spec's dataset, the first of all its
/// training rows, the others without one fold each.
struct PriorParts {
  std::string run;         ///< whose checkpoint holds the first; empty: all are to be trained
  std::string drawn_from;  ///< a run that draws what is learned from; empty: it is the dataset
  std::int64_t drawn_rows = 0;
  std::shared_ptr<DrawnRows> drawn;  ///< what they go into
  std::vector<std::unique_ptr<Experiment>> experiments;
  std::shared_ptr<PriorFamily> family;
};

/// Row n of the training split is in fold n % kPriorFolds.
inline constexpr std::int64_t kPriorFolds = 5;

/// Adds what is wrong with "prior".  -> the section resolved, that of a run with what it says.
Json check_prior(const Spec& spec, const Registry& registry, Faults& faults);

/// Builds the section "prior" of a resolved spec for `dataset`.
std::shared_ptr<PriorParts> build_prior(const Spec& spec, const Registry& registry,
                                        const std::string& device,
                                        const std::shared_ptr<Dataset>& dataset);

}  // namespace marginalia
