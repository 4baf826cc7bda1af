#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/family.h>
#include <marginalia/spec.h>

namespace marginalia {

std::string_view name_of(QueryKind kind) {
  switch (kind) {
    case QueryKind::kLogMarginal:
      return "log_marginal";
    case QueryKind::kConditionals:
      return "conditionals";
    case QueryKind::kSample:
      return "sample";
    case QueryKind::kLogZ:
      return "log_z";
  }
  return "";
}

static const std::map<std::string, Order>& orders() {
  static const std::map<std::string, Order> all{{"random", Order::kRandom},
                                                {"forward", Order::kForward},
                                                {"backward", Order::kBackward},
                                                {"parallel", Order::kParallel}};
  return all;
}

std::string_view name_of(Order order) {
  return std::ranges::find(orders(), order, &std::pair<const std::string, Order>::second)->first;
}

Order order_named(const std::string& name) {
  const auto found = orders().find(name);
  if (found != orders().end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, _] : orders())
    names.push_back(known);
  throw SpecError(unknown_name("order", name, names));
}

std::string_view name_of(Status status) {
  switch (status) {
    case Status::kExact:
      return "exact";
    case Status::kUpper:
      return "upper";
    case Status::kLower:
      return "lower";
    case Status::kEstimate:
      return "estimate";
  }
  return "";
}

void Networks::add(const std::string& role, std::shared_ptr<Network> network) {
  by_role_[role] = std::move(network);
}

std::shared_ptr<Network> Networks::at(const std::string& role, HeadSet heads) const {
  auto it = by_role_.find(role);
  if (it == by_role_.end()) it = by_role_.find("");
  if (it == by_role_.end())
    throw SpecError(by_role_.empty()
                        ? fmt::format("needs a \"network\" with the heads {}", names_of(heads))
                        : fmt::format("needs a network for the role \"{}\"", role));
  if (const auto lacking = heads & ~it->second->heads())
    throw SpecError(fmt::format("{} has no head {}, which \"{}\" needs; it computes {}",
                                it->second->label(), names_of(lacking), role,
                                names_of(it->second->heads())));
  return it->second;
}

void StateVisitor::module(const std::string& prefix, torch::nn::Module& module) {
  for (auto& item : module.named_parameters())
    parameter(prefix + item.key(), item.value());
  for (auto& item : module.named_buffers())
    parameter(prefix + item.key(), item.value());
}

Offer<ChainSource> Family::chains() const {
  return Offer<ChainSource>::none("it runs no chains of an energy");
}

bool Family::offers(QueryKind kind, const std::string& estimator) const {
  return std::ranges::any_of(capabilities(), [&](const Capability& c) {
    return c.kind == kind && (estimator.empty() || c.estimator == estimator);
  });
}

Answer Family::answer(const Query& query, Stream& stream) const {
  auto asked = query;
  std::vector<std::string> known;
  for (const auto& c : capabilities())
    if (c.kind == query.kind) known.push_back(c.estimator);
  if (known.empty())
    throw SpecError(fmt::format("{} does not answer {}", label(), name_of(query.kind)));
  if (asked.estimator.empty()) asked.estimator = known.front();
  if (!std::ranges::count(known, asked.estimator))
    throw SpecError(fmt::format(
        "{}: {}", label(),
        unknown_name(fmt::format("estimator of {}", name_of(query.kind)), asked.estimator, known)));
  if (asked.kind != QueryKind::kLogZ) space().check(asked.partial, true, label());
  torch::NoGradGuard no_grad;
  auto answer = compute_answer(asked, stream);
  answer.estimator = asked.estimator;
  return answer;
}

}  // namespace marginalia
