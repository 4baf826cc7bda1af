#include <cmath>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/exact_model.h>
#include <marginalia/state_space.h>

#include "completion_search.h"

namespace marginalia {
namespace {

constexpr const char* kSearch = "branch_and_bound";

/// log p of what is conditioned on.
Tensor log_given(const ExactModel& model, const Evidence& given) {
  const auto log_p = model.log_marginal(given);
  const auto rows = (log_p == -INFINITY).nonzero();
  if (rows.size(0) > 0) throw ImpossibleGiven(rows[0].item<std::int64_t>());
  return log_p;
}

/// The states and the status of an answer to kMaxProbable.
void complete(const ExactModel& model, const Query& query, Answer& answer) {
  if (query.estimator != kSearch) {
    answer.states = model.most_probable(query.partial);
    answer.status = model.most_probable_status;
    return;
  }
  const auto found = search_completions(model, query.partial);
  answer.states = found.states;
  answer.status = found.proved ? Status::kExact : Status::kLower;
}

}  // namespace

Tensor log_conditionals_of(const Tensor& p, const Tensor& partial) {
  const auto from = p.contiguous(), x = partial.contiguous();
  auto out = torch::empty_like(from);
  const auto D = p.size(1), K = p.size(2);
  at::parallel_for(0, p.size(0) * D, 4096, [&](std::int64_t begin, std::int64_t end) {
    const auto* known = x.data_ptr<std::int64_t>();
    for (auto n = begin; n < end; ++n) {
      const auto* p_n = from.data_ptr<double>() + n * K;
      auto* out_n = out.data_ptr<double>() + n * K;
      double sum = 0;
      for (std::int64_t k = 0; k < K; ++k)
        sum += p_n[k];
      for (std::int64_t k = 0; k < K; ++k)
        out_n[k] = known[n] == kUnknown ? std::log(p_n[k] / sum) : known[n] == k ? 0 : -INFINITY;
    }
  });
  return out;
}

Answer answer_exactly(const ExactModel& model, const Query& query, Stream& stream) {
  const auto known = query.evidence();
  Answer answer{.value = {}, .status = Status::kExact, .passes = 1};
  switch (query.kind) {
    case QueryKind::kLogMarginal:
      answer.value = model.log_marginal(known);
      if (query.given.defined()) answer.value = answer.value - log_given(model, query.given);
      break;
    case QueryKind::kConditionals:
      log_given(model, known.once());
      answer.value = model.log_conditionals(known);
      break;
    case QueryKind::kSample: {
      const auto log_p = log_given(model, known.once());
      answer.states = model.sample(known, stream);
      if (!query.states_alone)
        answer.value = model.log_marginal(answer.states) + known.log_allowed(answer.states) - log_p;
      break;
    }
    case QueryKind::kMaxProbable:
      answer.value = -log_given(model, known);
      complete(model, query, answer);
      answer.value += model.log_marginal(answer.states);
      break;
    case QueryKind::kLogZ:
      throw Error("is normalised: log Z is 0");
  }
  return answer;
}

std::vector<Capability> capabilities_of_exact(const std::string& passes) {
  return {{QueryKind::kLogMarginal, "one_pass", Status::kExact, passes, Route::kOnePass, true},
          {QueryKind::kConditionals, "one_pass", Status::kExact, passes, Route::kOnePass, true},
          {QueryKind::kSample, "one_pass", Status::kExact, passes, Route::kOnePass, true}};
}

Capability capability_of_search() {
  return {QueryKind::kMaxProbable, kSearch, Status::kLower, "up to 4096", Route::kOther};
}

}  // namespace marginalia
