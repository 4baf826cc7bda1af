#include <algorithm>
#include <map>

#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/query.h>
#include <marginalia/state_space.h>

namespace marginalia {

std::int64_t Evidence::rows() const {
  return partial.size(0);
}

std::vector<Evidence> Evidence::split(std::int64_t rows) const {
  std::vector<Evidence> parts;
  for (std::int64_t at = 0; at < partial.size(0); at += rows)
    parts.emplace_back(partial.slice(0, at, at + rows),
                       allowed.defined() ? allowed.slice(0, at, at + rows) : Tensor());
  return parts;
}

Evidence Evidence::of_rows(const Tensor& rows) const {
  if (repeats_one()) {
    const auto row = once();
    return {row.partial.expand({rows.size(0), -1}),
            allowed.defined() ? row.allowed.expand({rows.size(0), -1, -1}) : Tensor()};
  }
  return {partial.index_select(0, rows),
          allowed.defined() ? allowed.index_select(0, rows) : Tensor()};
}

bool Evidence::repeats_one() const {
  const auto is_expanded = [](const Tensor& t) { return t.size(0) > 1 && t.stride(0) == 0; };
  return is_expanded(partial) && (!allowed.defined() || is_expanded(allowed));
}

Evidence Evidence::once() const {
  if (!repeats_one()) return *this;
  return {partial.slice(0, 0, 1), allowed.defined() ? allowed.slice(0, 0, 1) : Tensor()};
}

Tensor Evidence::restricted() const {
  if (!allowed.defined()) return torch::zeros_like(partial, torch::kBool);
  return (allowed < 1).any(2).logical_and(partial == kUnknown);
}

Tensor Evidence::log_allowed(const Tensor& states) const {
  if (!allowed.defined()) return torch::zeros({states.size(0)}, torch::kDouble);
  const auto share = allowed.gather(2, states.unsqueeze(2)).squeeze(2);
  return share.log().masked_fill(partial != kUnknown, 0).sum(1);
}

std::string_view to_string(QueryKind kind) {
  switch (kind) {
    case QueryKind::kLogMarginal:
      return "log_marginal";
    case QueryKind::kConditionals:
      return "conditionals";
    case QueryKind::kSample:
      return "sample";
    case QueryKind::kMaxProbable:
      return "most_probable_completion";
    case QueryKind::kLogZ:
      return "log_z";
  }
  return "";
}

std::string_view to_string(Route route) {
  switch (route) {
    case Route::kOnePass:
      return "one pass";
    case Route::kAlongOrder:
      return "along order";
    case Route::kEnsemble:
      return "ensemble";
    case Route::kImportance:
      return "importance";
    case Route::kExact:
      return "exact";
    case Route::kOther:
      return "other";
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

std::string_view to_string(Order order) {
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

std::string_view to_string(Status status) {
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

}  // namespace marginalia
