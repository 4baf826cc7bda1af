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

namespace {

/// The part of a model that its components without a variable of `cut` make: their variables, by
/// place, and their factors over them.
Conditioned narrow_part(const Conditioned& left, const Neighbours& neighbours,
                        const std::vector<std::int64_t>& cut) {
  const auto component = find_components(neighbours);
  std::vector<bool> wide(component.size());
  for (const auto place : cut)
    wide[std::size_t(component[std::size_t(place)])] = true;
  Conditioned narrow;
  std::vector<std::int64_t> place(component.size(), -1);
  for (std::size_t i = 0; i < component.size(); ++i) {
    if (wide[std::size_t(component[i])]) continue;
    place[i] = std::int64_t(narrow.variables.size());
    narrow.variables.push_back(left.variables[i]);
    narrow.model.cardinalities.push_back(left.model.cardinalities[i]);
  }
  for (const auto& factor : left.model.factors) {
    if (place[std::size_t(factor.scope[0])] < 0) continue;
    auto& kept = narrow.model.factors.emplace_back(factor);
    for (auto& i : kept.scope)
      i = place[std::size_t(i)];
  }
  return narrow;
}

}  // namespace

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
    const auto neighbours = find_neighbours(left.model);
    const auto narrow = narrow_part(left, neighbours, cutset(left.model, neighbours, exact_width_));
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
    if ((below.value == -INFINITY).any().item<bool>())
      throw SpecError("what is given has probability zero");
    answer.value = (answer.value - below.value).masked_fill((partial == given).all(1), 0);
    answer.passes += below.passes;
  }
  answer.estimator = kName;
  return answer;
}

}  // namespace marginalia
