#include <cmath>
#include <ostream>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/random.h>

#include "verbs.h"
#include "writer.h"

namespace marginalia::tables {

/// Rows that are as many different states as this.
static std::int64_t count_distinct(const Tensor& states) {
  return std::get<0>(at::unique_dim(states, 0)).size(0);
}

void sample(const ToolContext& context, const Options& options, std::ostream& out) {
  const TableRun run(context, options.run);
  const auto conditions =
      options.given.empty() ? std::vector<Condition>() : parse_conditions(options.given);
  const auto values = values_of(run.table(), conditions);
  Writer writer(run.names(), options.json, options.out, out);

  const auto sets = [&](std::int64_t rows) {
    return conditions.empty() ? Tensor() : run.allowed(values, rows);
  };
  Stream stream(std::uint64_t(options.seed), "table/sample");
  const auto drawn =
      run.ask(QueryKind::kSample, {run.nothing_known(options.count), sets(options.count)}, stream);
  const auto states = drawn.states.contiguous();
  const auto* level = states.data_ptr<std::int64_t>();
  std::vector<Field> fields(std::size_t(run.dimension()));
  SplitMix64 random(std::uint64_t(options.seed), 1);
  for (std::int64_t row = 0; row < options.count; ++row) {
    for (std::int64_t i = 0; i < run.dimension(); ++i) {
      const auto& column = run.encoding(i).column();
      const auto k = *level++;
      const bool gap = k == run.encoding(i).level_of_gap();
      fields[std::size_t(i)] = {gap ? "" : values[std::size_t(i)].text(k, double(random.uniform())),
                                column.kind == Kind::kNumber || column.kind == Kind::kInteger};
    }
    writer.row(fields);
  }
  writer.finish();

  context.say(
      fmt::format("{} rows by {} ({}), of equal weight; {} distinct before numbers are drawn",
                  options.count, drawn.estimator, to_string(drawn.status), count_distinct(states)));
  if (conditions.empty()) return;
  const auto log_p = run.ask(QueryKind::kLogMarginal, {run.nothing_known(1), sets(1)}, stream);
  context.say(fmt::format("p(conditions) = {:.4g} by {} ({})", std::exp(log_p.value.item<double>()),
                          log_p.estimator, to_string(log_p.status)));
}

}  // namespace marginalia::tables
