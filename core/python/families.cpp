#include "families.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/any_order.h>

#include "arrays.h"
#include "held.h"

namespace marginalia::python {
namespace {

constexpr std::int64_t kMostCompletions = 1 << 16;
constexpr const char* kLogProb = "log_prob";

/// A sampler trained elsewhere. What it cannot say is not offered; log p of a partial state is its
/// log_prob summed over all completions, where there are at most 2^16.
class Elsewhere final : public Family {
 public:
  Elsewhere(const py::object& object, const FamilyContext& context)
      : space_(context.space),
        sample_(object.attr("sample")),
        log_prob_(object.attr("log_prob")),
        conditionals_(object.attr("conditionals")),
        samples_(!sample_->is_none()),
        has_log_prob_(!log_prob_->is_none()),
        has_conditionals_(!conditionals_->is_none()) {}

  const StateSpace& space() const override { return space_; }
  std::vector<Capability> capabilities() const override {
    std::vector<Capability> all;
    if (has_log_prob_)
      all.push_back({QueryKind::kLogMarginal, kLogProb, Status::kExact,
                     "1 a completion, of 2^16 at most", Route::kExact});
    if (has_conditionals_)
      std::ranges::copy(capabilities_of_conditionals(), std::back_inserter(all));
    if (samples_ && !has_conditionals_)
      all.push_back({QueryKind::kSample, "sample", Status::kExact, "1; without evidence"});
    return all;
  }

  void step(Step&) override {}
  std::vector<ParameterGroup> parameters() override { return {}; }
  void visit(StateVisitor&) override {}
  void set_training(bool) override {}

 private:
  Answer compute_answer(const Query& query, Stream& stream) const override;
  Tensor log_marginal(const Tensor& partial) const;
  Tensor log_prob(const Tensor& x) const;
  Answer draw(const Tensor& partial, Stream& stream) const;
  Tensor log_conditionals(const Tensor& partial) const;

  StateSpace space_;
  Held sample_, log_prob_, conditionals_;
  bool samples_, has_log_prob_, has_conditionals_;
};

/// float64 of `shape`, as a function of the user's returned it.
Tensor checked(const py::object& returned, const std::vector<std::int64_t>& shape,
               const char* what) {
  const auto values = Numbers::ensure(returned);
  if (!values ||
      !std::equal(shape.begin(), shape.end(), values.shape(), values.shape() + values.ndim())) {
    PyErr_Clear();
    throw Error(fmt::format("{} must return an array of the shape {}, not {}", what,
                            py::repr(py::cast(shape)).cast<std::string>(),
                            py::repr(returned).cast<std::string>().substr(0, 80)));
  }
  auto result = torch::empty(shape, torch::kDouble);
  std::copy(values.data(), values.data() + values.size(), result.data_ptr<double>());
  return result;
}

Tensor Elsewhere::log_prob(const Tensor& x) const {
  const py::gil_scoped_acquire held;
  return checked(call_kept(*log_prob_, as_own_array(x)), {x.size(0)}, "log_prob");
}

/// Of each row by itself: the log of the sum over its completions.
Tensor Elsewhere::log_marginal(const Tensor& partial) const {
  auto value = torch::empty({partial.size(0)}, torch::kDouble);
  const auto full = partial.ne(kUnknown).all(1);
  const auto whole = full.nonzero().flatten();
  if (whole.numel() > 0) value.index_copy_(0, whole, log_prob(partial.index_select(0, whole)));
  for (const auto& b : (~full).nonzero().flatten().unbind()) {
    const auto row = partial[b.item<std::int64_t>()];
    const auto open = row.eq(kUnknown).nonzero().flatten();
    std::vector<Tensor> levels;
    double count = 1;
    for (const auto& i : open.unbind()) {
      const auto k = space_.cardinalities[std::size_t(i.item<std::int64_t>())];
      levels.push_back(torch::arange(k));
      count *= double(k);
    }
    if (count > double(kMostCompletions)) {
      value[b] = NAN;
      continue;
    }
    auto states = row.expand({std::int64_t(count), -1}).clone();
    const auto all = levels.size() == 1 ? levels[0].unsqueeze(1) : torch::cartesian_prod(levels);
    states.index_copy_(1, open, all);
    value[b] = log_prob(states).logsumexp(0);
  }
  return value;
}

Answer Elsewhere::draw(const Tensor& partial, Stream& stream) const {
  if (partial.ne(kUnknown).any().item<bool>())
    throw SpecError("the sampler of Python takes no evidence: give it conditionals");
  const auto n = partial.size(0), D = space_.dimension();
  const auto seed = stream.seed() >> 33;  // of 31 bits, which every generator takes
  Answer answer;
  {
    const py::gil_scoped_acquire held;
    const auto returned = call_kept(*sample_, n, seed);
    const auto states = Levels::ensure(returned);
    if (!states || states.ndim() != 2 || states.shape(0) != n || states.shape(1) != D) {
      PyErr_Clear();
      throw Error(fmt::format("sample({}, seed) must return states [{}, {}]", n, n, D));
    }
    answer.states = as_tensor(states).clone();
  }
  space_.check(answer.states, false, "what sample returned");
  answer.value = has_log_prob_ ? log_prob(answer.states) : torch::full({n}, NAN, torch::kDouble);
  answer.estimator = "sample";
  answer.status = Status::kExact;
  answer.passes = 1;
  return answer;
}

Tensor Elsewhere::log_conditionals(const Tensor& partial) const {
  const py::gil_scoped_acquire held;
  return checked(call_kept(*conditionals_, as_own_array(partial)),
                 {partial.size(0), space_.dimension(), space_.levels()}, "conditionals");
}

Answer Elsewhere::compute_answer(const Query& query, Stream& stream) const {
  if (query.kind == QueryKind::kSample && samples_ &&
      (!has_conditionals_ || query.partial.eq(kUnknown).all().item<bool>()))
    return draw(query.partial, stream);
  if (query.kind == QueryKind::kLogMarginal && query.estimator == kLogProb) {
    Answer answer{log_marginal(query.partial), {}, kLogProb, Status::kExact, 1};
    if (query.given.defined()) {
      const auto given = log_marginal(query.given);
      if (const auto none = given.eq(-INFINITY).nonzero(); none.numel() > 0)
        throw ImpossibleGiven(none[0].item<std::int64_t>());
      answer.value = answer.value - given;
    }
    for (const auto& row : answer.value.isnan().nonzero().flatten().unbind())
      answer.warnings.push_back(
          {row.item<std::int64_t>(),
           "more than 2^16 completions: log_prob cannot be summed over them"});
    return answer;
  }
  return answer_from_conditionals([this](const Tensor& x) { return log_conditionals(x); }, query,
                                  stream);
}

}  // namespace

std::shared_ptr<Family> make_family(const py::object& object, const FamilyContext& context) {
  return std::make_shared<Elsewhere>(object, context);
}

}  // namespace marginalia::python
