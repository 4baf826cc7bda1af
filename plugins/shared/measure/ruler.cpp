#include "ruler.h"

#include <cmath>

#include <torch/types.h>

namespace marginalia::measure {

Ruler jackknife(const Tensor& scores) {
  const auto M = scores.size(0);
  const auto value = scores.logsumexp(0) - std::log(double(M));
  const auto own = torch::eye(M, torch::kBool).unsqueeze(2);  // [M, M, 1]
  const auto others = scores.unsqueeze(0).masked_fill(own, -INFINITY);
  const auto without = others.logsumexp(1) - std::log(double(M - 1));  // [M, B]
  const auto mean = without.mean(0);
  const auto spread = (without - mean).square().sum(0) * (double(M - 1) / double(M));
  const auto unknown = value.isfinite().logical_and(mean.isfinite()).logical_not();
  return {value, (double(M - 1) * (mean - value)).masked_fill(unknown, 0),
          spread.sqrt().masked_fill(unknown, 0), 0};
}

Ruler measure_over_orders(const Family& family, const Tensor& partial, std::int64_t orders,
                          Stream& stream) {
  const auto ensemble = family.by_route(QueryKind::kLogMarginal, Route::kEnsemble);
  if (!ensemble)
    throw Unavailable("needs an ensemble of orders; the family offers: " +
                      list_estimators(offered(family, QueryKind::kLogMarginal)));
  std::vector<Tensor> scores;
  double passes = 0;
  for (std::int64_t m = 0; m < orders; ++m) {
    const auto one = log_marginals(family, partial, ensemble->estimator, stream, 1);
    scores.push_back(one.value);
    passes += one.passes;
  }
  auto ruler = jackknife(torch::stack(scores));
  ruler.passes = passes;
  return ruler;
}

}  // namespace marginalia::measure
