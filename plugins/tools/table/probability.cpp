#include <algorithm>
#include <cmath>
#include <ostream>

#include <fmt/format.h>
#include <torch/types.h>
#include <boost/math/distributions/students_t.hpp>

#include <marginalia/error.h>
#include <marginalia/state_space.h>

#include "shared/measure/ruler.h"
#include "verbs.h"
#include "writer.h"

namespace marginalia::tables {
namespace {

/// What is asked about, and given what: values that rows know, or a condition.
struct Question {
  Evidence event;
  Tensor given;        ///< int64 [B, D]; undefined: nothing
  Evidence condition;  ///< of one row
};

using Conditions = std::vector<Condition>;

/// The conditions that --target is, or those of each line of the file that it names.
std::vector<Conditions> read_targets(const std::string& target) {
  if (!target.starts_with('@')) return {parse_conditions(target)};
  const auto file = read_named(target.substr(1));
  std::vector<Conditions> targets;
  for (LineReader lines(file.text()); lines.next_filled();)
    try {
      targets.push_back(parse_conditions(lines.line()));
    } catch (const SpecError& e) {
      file.fail(lines.number(), e.what());
    }
  if (targets.empty()) throw SpecError(file.name() + ": has no conditions");
  return targets;
}

Question of_conditions(const TableRun& run, const Options& options) {
  const auto given = options.given.empty() ? Conditions() : parse_conditions(options.given);
  std::vector<Tensor> allowed;
  for (auto both : read_targets(options.target)) {
    both.insert(both.end(), given.begin(), given.end());
    allowed.push_back(run.allowed(values_of(run.table(), both), 1));
  }
  return {{run.nothing_known(std::ssize(allowed)), torch::cat(allowed)},
          {},
          {run.nothing_known(1), run.allowed(values_of(run.table(), given), 1)}};
}

/// Of each row of a file, what it knows is given. Throws SpecError for a target about that.
Question of_rows(const TableRun& run, const Options& options) {
  const FileRows rows(run, read_named(options.given.substr(1)), options.unseen_missing,
                      run.names());
  const auto conditions = parse_conditions(options.target);
  auto allowed = run.allowed(values_of(run.table(), conditions), rows.count());
  const auto levels = rows.levels();
  for (const auto& condition : conditions) {
    const auto i = run.variable(condition.column);
    if ((levels.select(1, i) != kUnknown).any().item<bool>())
      throw SpecError(fmt::format("--target is about column \"{}\", which rows of {} know",
                                  condition.column, options.given.substr(1)));
  }
  return {{levels, allowed}, levels, {run.nothing_known(1)}};
}

/// log p of evidence, float64 [B].
struct LogP {
  Tensor value, error;  ///< error: 0 where it is exact
  Status status;
  std::string estimator;
};

/// An estimate is made this often, of a share of the orders each; the spread is its error.
constexpr std::int64_t kTimes = 16;

LogP ask(const TableRun& run, const Evidence& event, const Tensor& given, std::int64_t orders,
         std::int64_t seed) {
  // Of one stream, so that an event and its condition are asked about along the same orders.
  Stream stream(std::uint64_t(seed), "table/probability");
  if (run.sums_exactly()) {
    const auto exact = run.ask(QueryKind::kLogMarginal, event, stream, {.given = given});
    return {exact.value, torch::zeros_like(exact.value), exact.status, exact.estimator};
  }
  const bool paths = run.run().family().offers(QueryKind::kLogMarginal, "paths");
  const Query by{
      .given = given, .estimator = paths ? "paths" : "", .orders = (orders + kTimes - 1) / kTimes};
  std::vector<Tensor> scores;
  Answer answer;
  for (std::int64_t n = 0; n < kTimes; ++n) {
    answer = run.ask(QueryKind::kLogMarginal, event, stream, by);
    scores.push_back(answer.value);
  }
  std::vector<Tensor> value, error;
  for (const auto& rows : torch::stack(scores).split(1 << 14, 1)) {
    const auto ruler = measure::jackknife(rows);
    value.push_back(ruler.value);
    // Where all but one are impossible there is no spread to tell an error by.
    error.push_back(ruler.error.masked_fill(rows.isfinite().sum(0) < 2, INFINITY));
  }
  return {torch::cat(value), torch::cat(error), answer.status, answer.estimator};
}

/// How many standard errors either side hold 95 %.
double errors_of_interval() {
  return boost::math::quantile(boost::math::students_t(double(kTimes - 1)), 0.975);
}

}  // namespace

void probability(const ToolContext& context, const Options& options, std::ostream& out) {
  const TableRun run(context, options.run);
  const bool of_file = options.given.starts_with('@');
  if (of_file && options.target.starts_with('@'))
    throw SpecError("table probability: a file of --target or one of --given, not both");
  const auto question = of_file ? of_rows(run, options) : of_conditions(run, options);
  const auto orders = options.orders > 0 ? options.orders : of_file ? 64 : 1024;
  const auto both = ask(run, question.event, question.given, orders, options.seed);
  const auto condition = ask(run, question.condition, {}, orders, options.seed);
  if (condition.value.item<double>() == -INFINITY) throw ImpossibleGiven(0);
  auto log_p = both.value - condition.value;
  if (both.status != Status::kExact) log_p = log_p.clamp_max(0);
  const auto reach = (both.error.square() + condition.error.square()).sqrt() * errors_of_interval();
  Writer writer({"probability", "log_probability", "lower", "upper", "status", "estimator"},
                options.json, options.out, out);
  for (std::int64_t row = 0; row < log_p.size(0); ++row) {
    const auto value = log_p[row].item<double>(), around = reach[row].item<double>();
    const bool told = std::isfinite(around);
    const auto lower = told ? std::exp(value - around) : 0;
    const auto upper =
        told ? std::min(std::exp(value + around), std::max(1.0, std::exp(value))) : 1;
    writer.row({number_field(std::exp(value), 8),
                number_field(value, 10),
                number_field(lower, 8),
                number_field(upper, 8),
                {std::string(to_string(both.status))},
                {both.estimator}});
  }
  writer.finish();
}

}  // namespace marginalia::tables
