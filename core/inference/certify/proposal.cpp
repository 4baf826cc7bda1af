#include <algorithm>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/family.h>
#include <marginalia/inference/proposal.h>

namespace marginalia {

Proposal::~Proposal() = default;

namespace {

class ChainProposal final : public Proposal {
 public:
  ChainProposal(const Family& family, std::string estimator)
      : family_(family), estimator_(std::move(estimator)) {}
  const StateSpace& space() const override { return family_.space(); }

  ChainSample draw(const Tensor& partial, const Tensor& time, Stream& stream) const override {
    return sample_in_passes(conditionals(), partial, time.expand_as(partial), stream);
  }
  ChainScore score(const Tensor& states, const Tensor& partial, const Tensor& time) const override {
    return score_in_passes(conditionals(), states, partial, time.expand_as(partial));
  }

 private:
  /// Draws and scores are of the same numbers, normalised in float64.
  LogConditionals conditionals() const {
    return [this](const Tensor& partial) {
      Stream unused(0, "conditionals");
      const Query query{
          .kind = QueryKind::kConditionals, .partial = partial, .estimator = estimator_};
      return log_softmax_levels(family_.answer(query, unused).value.to(torch::kDouble));
    };
  }
  const Family& family_;
  std::string estimator_;
};

}  // namespace

std::unique_ptr<Proposal> make_proposal(const Family& family) {
  const auto conditionals = family.by_route(QueryKind::kConditionals, Route::kOnePass);
  if (!conditionals)
    throw SpecError(fmt::format(
        "{}: cannot be certified: it offers no conditionals in one pass, by which chains "
        "could be drawn and scored",
        family.label()));
  return std::make_unique<ChainProposal>(family, conditionals->estimator);
}

}  // namespace marginalia
