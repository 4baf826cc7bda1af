#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/inference/any_order.h>
#include <marginalia/inference/masking.h>

#include "measure.h"

namespace marginalia::measure {

std::vector<Capability> offered(const Family& family, QueryKind kind) {
  auto all = family.capabilities();
  std::erase_if(all, [&](const Capability& c) { return c.kind != kind; });
  return all;
}

Route find_route(const Family& family, QueryKind kind, const std::string& estimator) {
  for (const auto& c : offered(family, kind))
    if (c.estimator == estimator) return c.route;
  return Route::kOther;
}

Capability need_one_pass(const Family& family) {
  if (const auto way = family.by_route(QueryKind::kLogMarginal, Route::kOnePass)) return *way;
  throw Unavailable("needs log-marginals in one pass; the family offers: " +
                    list_estimators(offered(family, QueryKind::kLogMarginal)));
}

void need_one_pass_conditionals(const Family& family) {
  if (!family.by_route(QueryKind::kConditionals, Route::kOnePass))
    throw Unavailable("needs conditionals in one pass, and the family offers none");
}

std::string list_estimators(const std::vector<Capability>& capabilities) {
  std::vector<std::string> names;
  for (const auto& c : capabilities)
    names.push_back(c.estimator);
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

Mean compute_mean(const Tensor& values) {
  const auto N = values.numel();
  const auto mean = values.mean().item<double>();
  if (N < 2 || !std::isfinite(mean)) return {mean, {}};
  return {mean, values.std().item<double>() / std::sqrt(double(N))};
}

Mean compute_mean(const Tensor& values, const Tensor& weights) {
  if (!weights.defined()) return compute_mean(values);
  const auto N = double(values.numel());
  const auto share = weights / weights.sum();
  // A row that counts for nothing may be impossible.
  const auto counted = values.masked_fill(weights == 0, 0);
  const auto mean = (share * counted).sum().item<double>();
  if (N < 2 || !std::isfinite(mean)) return {mean, {}};
  const auto spread = (share.square() * (counted - mean).square()).sum().item<double>();
  return {mean, std::sqrt(N / (N - 1) * spread)};
}

Mean root_mean_square(const Tensor& errors, const Tensor& variance) {
  const auto square =
      compute_mean(variance.defined() ? errors.square() - variance : errors.square());
  const auto rms = std::sqrt(std::max(square.value, 0.0));
  if (!square.error) return {rms, {}};
  return {rms, rms > 0 ? *square.error / (2 * rms) : 0.0};
}

Mean log_mean_exp(const Tensor& values) {
  const auto result = values.logsumexp(0).item<double>() - std::log(double(values.numel()));
  if (!std::isfinite(result)) return {result, {}};
  return {result, compute_mean((values - result).exp()).error};
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values.empty() ? NAN : values[values.size() / 2];
}

Tensor difference(const Tensor& a, const Tensor& b) {
  return (a - b).masked_fill(a == b, 0.0);
}

Answers log_marginals(const Family& family, const Tensor& partial, const std::string& estimator,
                      Stream& stream, std::int64_t orders) {
  std::vector<Tensor> values;
  double passes = 0;
  bool exact = true;
  for (const auto& part : partial.split(1024)) {
    const auto answer = family.answer({.kind = QueryKind::kLogMarginal,
                                       .partial = part,
                                       .estimator = estimator,
                                       .orders = orders},
                                      stream);
    values.push_back(answer.value);
    passes += answer.passes * double(part.size(0));
    exact = exact && answer.status == Status::kExact;
  }
  return {torch::cat(values), passes / double(partial.size(0)), exact};
}

Tensor log_conditionals(const Family& family, const Tensor& partial, const Tensor& x,
                        const Tensor& variable, Stream& stream) {
  std::vector<Tensor> values;
  const auto step = rows_a_pass(family.space().dimension());
  for (std::int64_t at = 0; at < partial.size(0); at += step) {
    const auto i = variable.slice(0, at, at + step);
    const auto value = x.slice(0, at, at + step).gather(1, i.unsqueeze(1)).squeeze(1);
    const auto answer = family.answer(
        {.kind = QueryKind::kConditionals, .partial = partial.slice(0, at, at + step)}, stream);
    values.push_back(answer.value.index({torch::arange(i.size(0)), i, value}));
  }
  return torch::cat(values);
}

TrueRows true_states(Evaluation& evaluation) {
  auto truth = evaluation.true_states();
  if (truth.states.size(0) == 0)
    throw Unavailable("needs states: there are none in " + truth.source);
  return truth;
}

void SubsetParams::visit(ParamVisitor& p) {
  p("sizes", sizes,
    {.doc = "of S, in percent of D, the number of variables; empty: every size from 0 to D, or 51 "
            "of them",
     .min = 0,
     .max = 100});
  p("queries", queries, {.doc = "of each size, but no more than there are states", .min = 1});
}

std::vector<std::int64_t> SubsetParams::resolved(std::int64_t dimension) const {
  constexpr std::int64_t kMaxSizes = 51;
  std::set<std::int64_t> result;
  for (const auto percent : sizes) {
    const auto size = std::llround(double(percent * dimension) / 100);
    result.insert(percent > 0 ? std::max<std::int64_t>(size, 1) : 0);
  }
  const auto steps = std::min(dimension, kMaxSizes - 1);
  for (std::int64_t n = 0; sizes.empty() && n <= steps; ++n)
    result.insert(std::llround(double(n * dimension) / double(steps)));
  return {result.begin(), result.end()};
}

Subsets random_subsets(Evaluation& evaluation, const SubsetParams& params, Stream& stream) {
  const auto [states, source] = true_states(evaluation);
  Subsets subsets;
  subsets.source = source;
  const auto rows = states.size(0), D = states.size(1);
  const auto count = std::min(params.queries, rows);
  std::vector<Tensor> partial, sizes;
  for (const auto size : params.resolved(D)) {
    const auto chosen = stream.permutations(1, rows)[0].slice(0, 0, count);
    const auto unknown = stream.permutations(count, D) >= size;
    partial.push_back(states.index({chosen}).masked_fill(unknown, kUnknown));
    sizes.push_back(torch::full({count}, size, torch::kLong));
  }
  subsets.partial = torch::cat(partial);
  subsets.size = torch::cat(sizes);
  return subsets;
}

Subsets oracle_subsets(Evaluation& evaluation, const SubsetParams& params, Stream& stream) {
  auto subsets = random_subsets(evaluation, params, stream);
  const auto oracle = evaluation.oracle();
  if (!oracle || oracle->can_sum(subsets.partial).all().item<bool>()) return subsets;
  const auto known = oracle->nearest_sets(subsets.partial != kUnknown, stream);
  const auto states = true_states(evaluation).states;
  const auto rows = torch::arange(known.size(0)).remainder(states.size(0));
  subsets.partial = states.index_select(0, rows).masked_fill(known.logical_not(), kUnknown);
  subsets.size = known.sum(1);
  subsets.source += ", sets that hang together";
  return subsets;
}

Json with_exact_width(const Json& old) {
  Json now = Json::object();
  for (const auto& [key, value] : old.items())
    now[key == "islands" ? "exact_width" : key] = value;
  return now;
}

void IntervalParams::visit(ParamVisitor& p) {
  p("confidence", confidence, {.doc = "of each interval", .min = 0.5, .max = 0.999999});
  p("width", width, {.doc = "nats at which sampling stops; 0: never", .min = 0.0});
  p("exact_width", exact_width,
    {.doc = "log2 of the entries of a message up to which unknown variables are summed out "
            "exactly; 0: the network alone",
     .min = 0.0,
     .max = 24.0});
}

CertifySettings IntervalParams::settings() const {
  CertifySettings settings;
  settings.confidence = confidence;
  settings.width = width;
  settings.exact_width = exact_width;
  return settings;
}

Links random_links(Evaluation& evaluation, std::int64_t queries, Stream& stream) {
  const auto [states, source] = true_states(evaluation);
  Links links;
  links.source = source;
  const auto rows = states.size(0);
  const auto chosen = stream.permutations(1, rows)[0].slice(0, 0, std::min(queries, rows));
  links.x = states.index({chosen});
  const auto masked = mask_uniformly(links.x, stream);
  links.partial = masked.partial;
  links.size = masked.unknown.logical_not().sum(1);
  links.variable =
      stream.uniform(links.x.sizes()).masked_fill(masked.unknown.logical_not(), -1).argmax(1);
  return links;
}

/// One row of "by_size".
static Json size_row(const Tensor& errors, const Tensor& size, const Tensor& variance) {
  const auto at = std::round(10 * size.to(torch::kDouble).mean().item<double>()) / 10;
  Json row{{"size", at}};
  if (at == std::floor(at)) row["size"] = std::int64_t(at);
  row["rms"] = json_number(root_mean_square(errors, variance).value);
  row["max"] = json_number(errors.abs().max().item<double>());
  row["bias"] = json_number(errors.mean().item<double>());
  row["count"] = errors.numel();
  return row;
}

Measurement error_measurement(const std::string& estimator, Route route, const Tensor& errors,
                              const Tensor& size, std::int64_t bins, const Tensor& variance) {
  const auto rms = root_mean_square(errors, variance);
  auto rows = Json::array();
  auto bin = size;
  if (std::get<0>(at::_unique2(size)).numel() > bins)
    bin = (size * bins).div(size.max() + 1, "floor");
  const auto labels = std::get<0>(at::_unique2(bin));
  for (std::int64_t n = 0; n < labels.numel(); ++n) {
    const auto here = bin == labels[n];
    rows.push_back(size_row(errors.masked_select(here), size.masked_select(here),
                            variance.defined() ? variance.masked_select(here) : Tensor()));
  }
  return {.estimator = estimator,
          .value = rms.value,
          .stderr_ = rms.error,
          .samples = errors.numel(),
          .more = {{"max", json_number(errors.abs().max().item<double>())},
                   {"bias", json_number(errors.mean().item<double>())},
                   {"by_size", std::move(rows)}},
          .route = route};
}

}  // namespace marginalia::measure
