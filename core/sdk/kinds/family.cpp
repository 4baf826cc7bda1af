#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/family.h>
#include <marginalia/spec.h>

namespace marginalia {

Family::~Family() = default;

void need_complete_rows(const Dataset* dataset) {
  if (dataset && dataset->has_gaps())
    throw SpecError(
        fmt::format("learns from rows without gaps, and {} has some; any_order_arm, arm, "
                    "masked_diffusion and the exact families learn from what is known",
                    dataset->label()));
}

void Networks::add(const std::string& role, std::shared_ptr<Network> network) {
  by_role_[role] = std::move(network);
}

std::shared_ptr<Network> Networks::at(const std::string& role, HeadSet heads) const {
  auto it = by_role_.find(role);
  if (it == by_role_.end()) it = by_role_.find("");
  if (it == by_role_.end())
    throw SpecError(by_role_.empty()
                        ? fmt::format("needs a \"network\" with the heads {}", list_heads(heads))
                        : fmt::format("needs a network for the role \"{}\"", role));
  if (const auto lacking = heads & ~it->second->heads())
    throw SpecError(fmt::format("{} has no head {}, which \"{}\" needs; it computes {}",
                                it->second->label(), list_heads(lacking), role,
                                list_heads(it->second->heads())));
  return it->second;
}

void StateVisitor::module(const std::string& prefix, torch::nn::Module& module) {
  for (auto& item : module.named_parameters())
    parameter(prefix + item.key(), item.value());
  for (auto& item : module.named_buffers())
    parameter(prefix + item.key(), item.value());
}

void PrefixedVisitor::operator()(const std::string& name, Tensor& tensor) {
  visitor_(prefix_ + name, tensor);
}

void PrefixedVisitor::parameter(const std::string& name, Tensor& tensor) {
  StateVisitor::parameter(visitor_, prefix_ + name, tensor);
}

std::int64_t Step::share_of(std::int64_t rows) const {
  return share(torch::empty({rows, 0})).size(0);
}

Offer<ChainSource> Family::chains() const {
  return Offer<ChainSource>::none("it runs no chains of an energy");
}

bool Family::trained() const {
  return false;
}

Json Family::about() const {
  return {};
}

std::string Family::why_not_data_parallel() const {
  return "its training is not divided among ranks";
}

std::vector<std::string> Family::warnings() const {
  return {};
}

bool Family::offers(QueryKind kind, const std::string& estimator) const {
  return std::ranges::any_of(capabilities(), [&](const Capability& c) {
    return c.kind == kind && (estimator.empty() || c.estimator == estimator);
  });
}

std::optional<Capability> Family::by_route(QueryKind kind, Route route) const {
  const auto all = capabilities();
  const auto found = std::ranges::find_if(
      all, [&](const Capability& c) { return c.kind == kind && c.route == route; });
  if (found == all.end()) return std::nullopt;
  return *found;
}

/// Where variables differ in their values, the law of a model that knows K alone has more states
/// than there are; so answers are held to those that there are.
static void check_values(const Family& family, const Tensor& partial, const Answer& answer) {
  const auto& space = family.space();
  if (!space.mixed()) return;
  if (answer.states.defined()) space.check(answer.states, false, family.label());
  if (!answer.value.defined() || answer.value.dim() != 3) return;
  const auto beyond =
      (partial == kUnknown).unsqueeze(2).logical_and(space.possible().logical_not());
  const auto wrong = (answer.value.exp() > 0).logical_and(beyond).nonzero();  // [N, 3]: row, i, k
  if (wrong.size(0) == 0) return;
  const auto i = wrong[0][1].item<std::int64_t>();
  throw Error(fmt::format("{}: gives variable {} a probability beyond its values 0 to {}",
                          family.label(), i, space.cardinalities[std::size_t(i)] - 1));
}

/// Evidence of sets is of the shape of the answers, in shares of 0 to 1.
static void check_allowed(const Family& family, const Query& query) {
  const auto& allowed = query.allowed;
  const auto D = family.space().dimension(), K = family.space().levels();
  if (allowed.scalar_type() != at::kDouble ||
      allowed.sizes() != at::IntArrayRef({query.partial.size(0), D, K}))
    throw Error(fmt::format("{}: allowed must be float64 [{}, {}, {}]", family.label(),
                            query.partial.size(0), D, K));
  if (!(allowed >= 0).logical_and(allowed <= 1).all().item<bool>())
    throw Error(fmt::format("{}: allowed must be in 0..1", family.label()));
}

Answer Family::answer(const Query& query, Stream& stream) const {
  auto asked = query;
  const bool sets = query.allowed.defined();
  std::vector<std::string> known;
  bool answered = false;
  for (const auto& c : capabilities()) {
    if (c.kind != query.kind) continue;
    answered = true;
    if (c.sets || !sets) known.push_back(c.estimator);
  }
  if (known.empty())
    throw SpecError(fmt::format("{} does not answer {}{}", label(), to_string(query.kind),
                                answered ? " where sets of values are known" : ""));
  if (asked.estimator.empty()) asked.estimator = known.front();
  if (!std::ranges::count(known, asked.estimator))
    throw SpecError(fmt::format("{}: {}", label(),
                                unknown_name(fmt::format("estimator of {}", to_string(query.kind)),
                                             asked.estimator, known)));
  if (asked.kind != QueryKind::kLogZ) space().check(asked.partial, true, label());
  if (sets) check_allowed(*this, asked);
  torch::NoGradGuard no_grad;
  auto answer = compute_answer(asked, stream);
  check_values(*this, asked.partial, answer);
  answer.estimator = asked.estimator;
  return answer;
}

std::vector<std::pair<std::string, Tensor>> collect_parameters(torch::nn::Module& module,
                                                               const std::string& prefix) {
  std::vector<std::pair<std::string, Tensor>> named;
  for (const auto& item : module.named_parameters())
    named.emplace_back(prefix + item.key(), item.value());
  return named;
}

}  // namespace marginalia
