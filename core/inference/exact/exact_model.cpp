#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/exact_model.h>

namespace marginalia {

Answer answer_exactly(const ExactModel& model, const Query& query, Stream& stream) {
  const auto& x = query.partial;
  Answer answer{.value = {}, .status = Status::kExact, .passes = 1};
  switch (query.kind) {
    case QueryKind::kLogMarginal:
      answer.value = model.log_marginal(x);
      if (query.given.defined()) answer.value = answer.value - model.log_marginal(query.given);
      break;
    case QueryKind::kConditionals:
      answer.value = model.log_conditionals(x);
      break;
    case QueryKind::kSample:
      answer.states = model.sample(x, stream);
      answer.value = model.log_marginal(answer.states) - model.log_marginal(x);
      break;
    case QueryKind::kMaxProbable:
      answer.states = model.most_probable(x);
      answer.value = model.log_marginal(answer.states) - model.log_marginal(x);
      answer.status = Status::kLower;
      break;
    case QueryKind::kLogZ:
      throw Error("is normalised: log Z is 0");
  }
  return answer;
}

std::vector<Capability> capabilities_of_exact(const std::string& passes) {
  return {{QueryKind::kLogMarginal, "one_pass", Status::kExact, passes, Route::kOnePass},
          {QueryKind::kConditionals, "one_pass", Status::kExact, passes, Route::kOnePass},
          {QueryKind::kSample, "one_pass", Status::kExact, passes, Route::kOnePass}};
}

}  // namespace marginalia
