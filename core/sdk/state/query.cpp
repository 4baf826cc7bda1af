#include <algorithm>
#include <map>

#include <marginalia/error.h>
#include <marginalia/query.h>

#include "sdk/base/text.h"

namespace marginalia {

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
