#include "elimination_max.h"

#include <ATen/Parallel.h>

#include "elimination_block.h"

namespace marginalia::elimination {

void max_into(double* message, const PlanStep& step, const std::vector<const double*>& tables,
              const std::vector<std::int64_t>& values) {
  constexpr std::int64_t kGrain = 1 << 16;  // sums that are worth a thread
  const StepLoop loop(step, values);
  const auto inner = inner_products<MaxSum>(loop, tables);
  const auto grain = 1 + kGrain / (loop.inner * step.levels);
  at::parallel_for(0, loop.count, grain, [&](std::int64_t begin, std::int64_t end) {
    BlockWalk walk(loop, begin);
    BlockProduct<MaxSum> product(loop, tables, inner, MaxSum::kOne);
    for (auto block = begin; block < end; ++block, walk.advance())
      for (std::int64_t k = 0; k < step.levels; ++k)
        if (product.go_to(walk, k)) product.take_into(message + block * loop.inner);
  });
}

std::vector<double> max_message(const PlanStep& step, const std::vector<const double*>& tables,
                                const std::vector<std::int64_t>& values) {
  std::vector<double> message(std::size_t(step.entries), MaxSum::kZero);
  max_into(message.data(), step, tables, values);
  return message;
}

Maxima::Maxima(const FactorModel& model, const EliminationPlan& plan,
               const std::vector<std::int64_t>& values)
    : model_(model), plan_(plan), values_(values), messages_(plan.steps.size()) {
  for (const auto& constant : plan.constants)
    log_density_ += log_at(constant, known_offset(constant, values));
  for (std::size_t n = 0; n < plan.steps.size(); ++n) {
    const auto& step = plan.steps[n];
    for (const auto child : step.children)
      messages_[step.sources[child].index].wake();
    std::vector<const double*> tables;
    for (const auto& source : step.sources)
      tables.push_back(source.is_factor ? model.factors[source.index].log_values.data()
                                        : messages_[source.index].data());
    messages_[n] = {step.entries, MaxSum::kZero};
    max_into(messages_[n].data(), step, tables, values);
    messages_[n].rest();
    for (const auto child : step.children)
      messages_[step.sources[child].index].rest();
    if (step.separator.empty()) log_density_ += messages_[n].at(0);
  }
}

double Maxima::log_at(const TableSource& source, std::int64_t entry) const {
  return source.is_factor ? model_.factors[source.index].log_values[std::size_t(entry)]
                          : messages_[source.index].at(entry);
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
        total += log_at(step.sources[j], walk.at(j) + k * step.sources[j].stride);
      if (total <= best) continue;
      best = total;
      x[step.variable] = k;
    }
  }
}

}  // namespace marginalia::elimination
