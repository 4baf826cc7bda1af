#pragma once

#include <marginalia/family.h>

#include "host/ranks/communicator.h"

namespace marginalia {

/// A family whose answers several ranks compute together, a share of the rows each. It is rank 0
/// that asks; the others are in answer_shares() while this lives. Questions of few rows, and those
/// of no rows, rank 0 answers alone.
class SharedFamily final : public Family {
 public:
  /// `family` and `ranks` outlive it.
  SharedFamily(Family& family, Communicator& ranks);
  /// Tells the others that there are no more questions.
  ~SharedFamily() override;

  const StateSpace& space() const override { return family_.space(); }
  std::vector<Capability> capabilities() const override { return family_.capabilities(); }
  void step(Step& step) override { family_.step(step); }
  std::vector<ParameterGroup> parameters() override { return family_.parameters(); }
  void visit(StateVisitor& visitor) override { family_.visit(visitor); }
  void set_training(bool training) override { family_.set_training(training); }
  Offer<ChainSource> chains() const override { return family_.chains(); }
  Json about() const override { return family_.about(); }
  std::vector<std::string> warnings() const override { return family_.warnings(); }

 private:
  Answer compute_answer(const Query& query, Stream& stream) const override;

  Family& family_;
  Communicator& ranks_;
};

/// What ranks other than 0 do while rank 0 has a SharedFamily. Throws Error where a rank is lost; a
/// question that cannot be answered is rank 0's to report.
void answer_shares(const Family& family, Communicator& ranks);

}  // namespace marginalia
