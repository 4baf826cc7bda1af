#include "elimination_max.h"

#include <ATen/Parallel.h>

#include "elimination_block.h"

namespace marginalia::elimination {

std::vector<double> max_message(const PlanStep& step, const std::vector<const double*>& tables,
                                const std::vector<std::int64_t>& values) {
  constexpr std::int64_t kGrain = 1 << 16;  // sums that are worth a thread
  const StepLoop loop(step, values);
  const auto inner = inner_products<MaxSum>(loop, tables);
  std::vector<double> message(std::size_t(step.entries), MaxSum::kZero);
  const auto grain = 1 + kGrain / (loop.inner * step.levels);
  at::parallel_for(0, loop.count, grain, [&](std::int64_t begin, std::int64_t end) {
    BlockWalk walk(loop, begin);
    BlockProduct<MaxSum> product(loop, tables, inner, MaxSum::kOne);
    for (auto block = begin; block < end; ++block, walk.advance())
      for (std::int64_t k = 0; k < step.levels; ++k)
        if (product.go_to(walk, k)) product.take_into(message.data() + block * loop.inner);
  });
  return message;
}

Maxima::Maxima(const FactorModel& model, const EliminationPlan& plan,
               const std::vector<std::int64_t>& values)
    : model_(model), plan_(plan), values_(values), messages_(plan.steps.size()) {
  for (const auto& constant : plan.constants)
    log_density_ += table(constant)[known_offset(constant, values)];
  for (std::size_t n = 0; n < plan.steps.size(); ++n) {
    std::vector<const double*> tables;
    for (const auto& source : plan.steps[n].sources)
      tables.push_back(table(source));
    messages_[n] = max_message(plan.steps[n], tables, values);
    if (plan.steps[n].separator.empty()) log_density_ += messages_[n][0];
  }
}

const double* Maxima::table(const TableSource& source) const {
  return source.is_factor ? model_.factors[source.index].log_values.data()
                          : messages_[source.index].data();
}

void Maxima::complete(std::int64_t* x) const {
  for (auto n = plan_.steps.size(); n-- > 0;) {
    const auto& step = plan_.steps[n];
    std::int64_t entry = 0;
    for (std::size_t a = 0; a < step.separator.size(); ++a)
      entry = entry * step.sizes[a] + x[step.separator[a]];
    const EntryWalk walk(step, values_, entry);
    double best = MaxSum::kZero;
    x[step.variable] = 0;
    for (std::int64_t k = 0; k < step.levels; ++k) {
      double total = 0;
      for (std::size_t j = 0; j < step.sources.size(); ++j)
        total += table(step.sources[j])[walk.at(j) + k * step.sources[j].stride];
      if (total <= best) continue;
      best = total;
      x[step.variable] = k;
    }
  }
}

}  // namespace marginalia::elimination
