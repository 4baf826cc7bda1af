#include <vector>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/conditioning.h>
#include <marginalia/inference/elimination.h>
#include <marginalia/inference/routed.h>

namespace marginalia {

std::string Routed::obstacle(const Family& family, const Energy* energy) {
  if (!energy) return "\"routed\" sums over the factors of an energy, and there is none";
  if (!family.by_route(QueryKind::kLogMarginal, Route::kOnePass))
    return fmt::format("\"routed\" needs log-marginals in one pass, which {} does not offer",
                       family.label());
  if (const auto factors = energy->factors(); !factors)
    return fmt::format("\"routed\" sums over factors: of {}: {}", energy->label(), factors.reason);
  return "";
}

Routed::Routed(const Family& family, const Energy& energy, double exact_width)
    : family_(family), energy_(energy), exact_width_(exact_width) {
  if (const auto why = obstacle(family, &energy); !why.empty()) throw SpecError(why);
  estimator_ = family.by_route(QueryKind::kLogMarginal, Route::kOnePass)->estimator;
}

Routed::Completed Routed::complete(const Tensor& partial, Stream& stream) const {
  Completed completed{partial.contiguous().clone(), torch::zeros({partial.size(0)}, torch::kDouble),
                      torch::zeros({partial.size(0)}, torch::kBool)};
  for (std::int64_t b = 0; b < partial.size(0); ++b) {
    const auto row = completed.states[b];
    const auto left = conditioned(*energy_.factors(), row.data_ptr<std::int64_t>());
    if (left.constant == -INFINITY) {
      completed.impossible[b] = true;
      continue;
    }
    const auto narrow = narrow_part(left, exact_width_);
    const auto count = std::int64_t(narrow.variables.size());
    if (count == 0) continue;
    const Elimination sums(narrow.model, StateSpace{narrow.model.cardinalities, {count}});
    if (sums.log_z() == -INFINITY) {
      completed.impossible[b] = true;
      continue;
    }
    const auto u = sums.sample(sums.space().empty(), stream);
    completed.log_prob[b] = (sums.log_sum(u) - sums.log_z()).squeeze(0);
    row.index_put_({torch::tensor(narrow.variables)}, u[0]);
  }
  return completed;
}

Answer Routed::log_marginal(const Tensor& partial, const Tensor& given, Stream& stream) const {
  energy_.space().check(partial, true, kName);
  const auto ask = [&](const Tensor& rows) {
    const auto [states, log_prob, impossible] = complete(rows, stream);
    auto answer = family_.answer({.partial = states, .given = {}, .estimator = estimator_}, stream);
    answer.value = (answer.value - log_prob).masked_fill(impossible, -INFINITY);
    return answer;
  };
  auto answer = ask(partial);
  if (given.defined()) {
    const auto below = ask(given);
    if (const auto rows = (below.value == -INFINITY).nonzero(); rows.size(0) > 0)
      throw ImpossibleGiven(rows[0].item<std::int64_t>());
    answer.value = (answer.value - below.value).masked_fill((partial == given).all(1), 0);
    answer.passes += below.passes;
  }
  answer.estimator = kName;
  return answer;
}

}  // namespace marginalia
