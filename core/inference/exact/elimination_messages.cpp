#include "elimination_messages.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <span>

#include <ATen/Parallel.h>

#include "inverse_cdf.h"

namespace marginalia::elimination {
namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();
constexpr std::int64_t kGrain = 1 << 16;  // products that are worth a thread
// Products of sources lie in 2^-800 to 2^200; what comes down is at most 2^808: doubles reach
// 2^1023.
constexpr int kMostBits = 800, kMostHigh = 200;
constexpr int kNearOne = 8;  // bits from 1 beyond which a message is scaled anew

/// Values where their logs are not too far apart; its values are empty elsewhere.
Table to_values(std::span<const double> logs) {
  const auto size = std::ssize(logs);
  double highest = kImpossible, lowest = -kImpossible;
  for (const auto value : logs) {
    highest = std::max(highest, value);
    if (value != kImpossible) lowest = std::min(lowest, value);
  }
  Table table;
  if (highest == kImpossible) {
    table.values = {size, 0};
    return table;
  }
  const auto bits = (highest - lowest) / std::log(2.0);
  table.log_scale = highest;
  table.logs = !(bits < kMostBits);
  if (table.logs) return table;
  table.low = -int(bits) - 1;
  table.values = {size, 0};
  std::ranges::transform(logs, table.values.data(),
                         [&](double value) { return std::exp(value - highest); });
  return table;
}

/// How far apart products of a step's tables may lie.
class Bits {
 public:
  void multiply(const Table& table) {
    fits_ = fits_ && !table.logs;
    low_ += std::min(table.low, 0);
    high_ += std::max(table.high, 0);
  }
  bool fit(std::int64_t levels) const {
    const auto high = high_ + int(std::log2(double(levels))) + 1;
    return fits_ && high < kMostHigh && high - low_ < kMostBits;
  }

 private:
  bool fits_ = true;
  int low_ = 0, high_ = 0;
};

/// Scales a message of values that is far from 1, and takes down how far apart they are.
/// -> what they were multiplied by
double settle(Table& table, Extremes extremes) {
  if (extremes.greatest == 0) return 1;
  table.high = std::ilogb(extremes.greatest) + 1;
  table.low = std::ilogb(extremes.least);
  if (std::abs(table.high) <= kNearOne) return 1;
  const auto by = std::ldexp(1.0, -table.high);
  scale(table.values.data(), by, table.values.data(), table.values.size());
  table.log_scale += table.high * std::log(2.0);
  table.low -= table.high;
  table.high = 0;
  return by;
}

void join(Extremes& all, const Extremes& some) {
  all.least = std::min(all.least, some.least);
  all.greatest = std::max(all.greatest, some.greatest);
}

}  // namespace

Tables::Tables(const FactorModel& model) : model_(model) {
  // By their bytes, for which NaN is one more value.
  const auto less = [](const auto* a, const auto* b) {
    if (a->size() != b->size()) return a->size() < b->size();
    return std::memcmp(a->data(), b->data(), a->size() * sizeof(double)) < 0;
  };
  std::map<const std::vector<double>*, std::size_t, decltype(less)> seen(less);
  for (const auto& factor : model.factors) {
    const auto [place, fresh] = seen.try_emplace(&factor.log_values, distinct_.size());
    if (fresh) distinct_.push_back(to_values(factor.log_values));
    of_factor_.push_back(place->second);
  }
}

Messages::Messages(const Tables& tables, const EliminationPlan& plan,
                   const std::vector<std::int64_t>& values, Keep keep)
    : factors_(tables),
      plan_(plan),
      values_(values),
      tables_(plan.steps.size()),
      by_values_(plan.steps.size()),
      units_(plan.steps.size(), 1.0),
      branches_(plan, at::in_parallel_region() ? 1 : at::get_num_threads()) {
  branches_.up([&](std::size_t n) {
    for_children(n, [&](std::size_t m) { tables_[m].values.wake(); });
    send(n);
    if (!read_next(n)) tables_[n].values.rest();
    for_children(n, [&](std::size_t m) {
      keep == Keep::kAll ? tables_[m].values.rest() : tables_[m].values.clear();
    });
  });
  for (const auto& constant : plan.constants)
    log_z_ += log_at(constant, known_offset(constant, values));
  for (std::size_t n = 0; n < plan.steps.size(); ++n)
    if (plan.steps[n].separator.empty()) log_z_ += log_at({false, n, {}}, 0);
}

/// Calls visit(m) with the steps whose messages step n reads.
void Messages::for_children(std::size_t n, const std::function<void(std::size_t)>& visit) const {
  for (const auto child : plan_.steps[n].children)
    visit(plan_.steps[n].sources[child].index);
}

/// Whether the step after n reads its message, so that it need not rest between them.
bool Messages::read_next(std::size_t n) const {
  if (n + 1 == plan_.steps.size()) return true;
  const auto& next = plan_.steps[n + 1];
  return std::ranges::any_of(next.children,
                             [&](auto child) { return next.sources[child].index == n; });
}

const Table& Messages::table(const TableSource& source) const {
  return source.is_factor ? factors_.factor(source.index) : tables_[source.index];
}

std::vector<const double*> Messages::sources_of(const PlanStep& step) const {
  std::vector<const double*> tables;
  for (const auto& source : step.sources)
    tables.push_back(table(source).values.data());
  return tables;
}

double Messages::log_at(const TableSource& source, std::int64_t entry) const {
  if (source.is_factor)
    return factors_.model().factors[source.index].log_values[std::size_t(entry)];
  const auto& message = tables_[source.index];
  const auto value = message.values.at(entry);
  return message.logs ? value : std::log(value) + message.log_scale;
}

double Messages::log_sum(const PlanStep& step, const EntryWalk& walk, std::int64_t k) const {
  double total = 0;
  for (std::size_t j = 0; j < step.sources.size(); ++j)
    total += log_at(step.sources[j], walk.at(j) + k * step.sources[j].stride);
  return total;
}

void Messages::send(std::size_t n) {
  const auto& step = plan_.steps[n];
  Bits bits;
  for (const auto& source : step.sources) {
    bits.multiply(table(source));
    tables_[n].log_scale += table(source).log_scale;
  }
  by_values_[n] = bits.fit(step.levels);
  if (by_values_[n])
    send_values(n);
  else
    send_logs(n);
}

void Messages::send_values(std::size_t n) {
  const auto& step = plan_.steps[n];
  const StepLoop loop(step, values_);
  const auto tables = sources_of(step);
  const auto inner = inner_products<SumProduct>(loop, tables);
  tables_[n].values = {step.entries, 0};
  auto* message = tables_[n].values.data();
  std::vector<Extremes> extremes(std::size_t(at::get_num_threads()), {-kImpossible, 0});
  const auto grain = 1 + kGrain / (loop.inner * step.levels);
  at::parallel_for(0, loop.count, grain, [&](std::int64_t begin, std::int64_t end) {
    BlockWalk walk(loop, begin);
    BlockProduct<SumProduct> product(loop, tables, inner, 1);
    auto& found = extremes[std::size_t(at::get_thread_num())];
    for (auto block = begin; block < end; ++block, walk.advance()) {
      auto* out = message + block * loop.inner;
      for (std::int64_t k = 0; k < step.levels; ++k)
        if (product.go_to(walk, k)) product.take_into(out);
      join(found, find_extremes(out, loop.inner));
    }
  });
  for (const auto& some : extremes)
    join(extremes[0], some);
  units_[n] = settle(tables_[n], extremes[0]);
}

void Messages::send_logs(std::size_t n) {
  const auto& step = plan_.steps[n];
  StoredValues message(step.entries, kImpossible);
  const auto grain = 1 + kGrain / (16 * step.levels);
  at::parallel_for(0, step.entries, grain, [&](std::int64_t begin, std::int64_t end) {
    EntryWalk walk(step, values_, begin);
    std::vector<double> logs(std::size_t(step.levels));
    for (auto entry = begin; entry < end; ++entry, walk.advance()) {
      double highest = kImpossible, total = 0;
      for (std::int64_t k = 0; k < step.levels; ++k)
        highest = std::max(highest, logs[std::size_t(k)] = log_sum(step, walk, k));
      if (highest != kImpossible)
        for (const auto value : logs)
          total += std::exp(value - highest);
      if (highest != kImpossible) message.data()[entry] = highest + std::log(total);
    }
  });
  tables_[n] = to_values({message.data(), std::size_t(message.size())});
  if (tables_[n].logs) tables_[n].values = std::move(message);
}

/// What comes down. At a step that multiplies values stands, in place of its message m(S), p(S) /
/// m(S) once the step above it was passed; at others p(S) beside the message.
struct Messages::Down {
  const std::function<void(std::int64_t, std::int64_t, double)>& put;
  std::vector<std::vector<double>>& probability;  // [N]
  std::int64_t first = 0;  // value of the step's variable that its children's begin with
};

/// Whether what comes down to a child can be put in place as it is read: it is read but once.
bool Messages::in_place(std::size_t n, const LoopSource& child, std::size_t index) const {
  return by_values_[n] && by_values_[index] && child.whole;
}

void Messages::marginals(const std::function<void(std::int64_t, std::int64_t, double)>& put) {
  std::vector<std::vector<double>> probability(tables_.size());
  branches_.down([&](std::size_t n) {
    Down down{put, probability};
    tables_[n].values.wake_to_write();
    for_children(n, [&](std::size_t m) { tables_[m].values.wake_to_write(); });
    if (plan_.steps[n].separator.empty()) {
      probability[n] = {1.0};
      if (by_values_[n]) *tables_[n].values.data() = 1 / *tables_[n].values.data();
    }
    if (by_values_[n])
      pass_values(n, down);
    else
      pass_logs(n, down);
    std::vector<double>().swap(probability[n]);
    tables_[n].values.clear();
    for_children(n, [&](std::size_t m) {
      if (!read_next(m)) tables_[m].values.rest();
    });
  });
}

/// Some values of a step's variable at a time, so that what comes down to its children beside their
/// messages is a part of it.
void Messages::pass_values(std::size_t n, Down& down) {
  const auto& step = plan_.steps[n];
  const StepLoop loop(step, values_);
  std::vector<std::size_t> beside;
  for (const auto j : step.children)
    if (!in_place(n, loop.sources[j], step.sources[j].index)) beside.push_back(j);
  const auto tables = sources_of(step);
  const auto inner = inner_products<SumProduct>(loop, tables);
  std::vector<double> marginal(std::size_t(step.levels));
  for (std::int64_t k = 0; k < step.levels; k += step.levels_at_once) {
    down.first = k;
    const auto end = std::min(step.levels, k + step.levels_at_once);
    for (const auto j : beside)
      open(step.sources[j], end - k, down);
    // Every child has the step's variable: what comes down by two of its values is apart.
    at::parallel_for(k, end, 1 + kGrain / step.entries, [&](std::int64_t from, std::int64_t to) {
      BlockProduct<SumProduct> product(loop, tables, inner, units_[n]);
      pass_values(n, loop, product, {from, to}, marginal.data(), down);
    });
    for (const auto j : beside)
      close(step.sources[j], down);
  }
  for (std::int64_t k = 0; k < step.levels; ++k)
    down.put(step.variable, k, marginal[std::size_t(k)]);
}

/// Makes room for what comes down to a child by `levels` values of the variable that lies outermost
/// in it; to one in logs by all of them.
void Messages::open(const TableSource& child, std::int64_t levels, Down& down) const {
  auto& p = down.probability[child.index];
  if (by_values_[child.index])
    p.assign(std::size_t(levels * child.stride), 0.0);
  else if (p.empty())
    p.assign(std::size_t(tables_[child.index].values.size()), 0.0);
}

/// Puts it in place of the message, where that is of values.
void Messages::close(const TableSource& child, Down& down) {
  if (!by_values_[child.index]) return;
  auto& p = down.probability[child.index];
  divide_into(tables_[child.index].values.data() + down.first * child.stride, p.data(),
              std::ssize(p));
  std::vector<double>().swap(p);
}

/// Hands a block of p(S, v = k) to the child at source j.  p: null where it is 0.
void Messages::hand_down(const StepLoop& loop, std::size_t j, std::int64_t at, const Block& block,
                         Down& down, bool in_place) {
  const auto& source = loop.sources[j];
  const auto index = loop.step.sources[j].index;
  if (in_place) {
    auto* message = tables_[index].values.data() + at;
    if (block.p)
      divide_into(message, block.p, loop.inner);
    else
      std::fill_n(message, loop.inner, 0.0);
    return;
  }
  if (!block.p) return;
  const auto skipped = by_values_[index] ? down.first * source.stride : 0;
  auto* below = down.probability[index].data() + at - skipped;
  if (source.reach == Reach::kOuter)
    *below += block.total;
  else if (source.side_by_side)
    add(below, block.p, loop.inner);
  else
    scatter_add(below, source.places.data(), source.run, block.p, loop.inner);
}

/// The values of the step's variable from levels.first to levels.second.
void Messages::pass_values(std::size_t n, const StepLoop& loop, BlockProduct<SumProduct>& product,
                           std::pair<std::int64_t, std::int64_t> levels, double* marginal,
                           Down& down) {
  const auto& step = loop.step;
  BlockWalk walk(loop, 0);
  std::vector<double> p(std::size_t(loop.inner));
  for (std::int64_t b = 0; b < loop.count; ++b, walk.advance()) {
    const auto* weight = tables_[n].values.data() + b * loop.inner;
    const bool possible = find_extremes(weight, loop.inner).greatest > 0;
    for (auto k = levels.first; k < levels.second; ++k) {
      Block block;
      if (possible && product.go_to(walk, k)) {
        block = {p.data(), product.weighted(weight, p.data())};
        marginal[k] += block.total;
      }
      for (const auto j : step.children)
        hand_down(loop, j, walk.at(j) + k * loop.sources[j].stride, block, down,
                  in_place(n, loop.sources[j], step.sources[j].index));
    }
  }
}

void Messages::pass_logs(std::size_t n, Down& down) {
  const auto& step = plan_.steps[n];
  for (const auto j : step.children)
    down.probability[step.sources[j].index].assign(
        std::size_t(tables_[step.sources[j].index].values.size()), 0.0);
  std::vector<double> marginal(std::size_t(step.levels));
  EntryWalk walk(step, values_, 0);
  for (std::int64_t entry = 0; entry < step.entries; ++entry, walk.advance()) {
    const auto above = down.probability[n][std::size_t(entry)];
    if (above == 0) continue;
    const auto message = log_at({false, n, {}}, entry);
    for (std::int64_t k = 0; k < step.levels; ++k) {
      const auto p = above * std::exp(log_sum(step, walk, k) - message);
      marginal[std::size_t(k)] += p;
      for (const auto child : step.children) {
        const auto& source = step.sources[child];
        down.probability[source.index][std::size_t(walk.at(child) + k * source.stride)] += p;
      }
    }
  }
  for (std::int64_t k = 0; k < step.levels; ++k)
    down.put(step.variable, k, marginal[std::size_t(k)]);
  down.first = 0;
  for (const auto j : step.children)
    close(step.sources[j], down);
}

void Messages::sample(std::int64_t* x, const std::function<double()>& uniform) const {
  std::vector<double> weight;
  for (auto n = plan_.steps.size(); n-- > 0;) {
    const auto& step = plan_.steps[n];
    auto entry = std::int64_t{0};
    for (std::size_t a = 0; a < step.separator.size(); ++a)
      entry = entry * step.sizes[a] + x[step.separator[a]];
    const EntryWalk walk(step, values_, entry);
    weight.assign(std::size_t(step.levels), 0.0);
    double total = 0;
    const auto message = log_at({false, n, {}}, entry);
    for (std::int64_t k = 0; k < step.levels; ++k)
      total += weight[std::size_t(k)] = std::exp(log_sum(step, walk, k) - message);
    x[step.variable] = inverse_cdf(weight.data(), step.levels, uniform() * total);
  }
}

}  // namespace marginalia::elimination
