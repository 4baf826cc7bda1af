#include "elimination_branches.h"

#include <algorithm>
#include <numeric>
#include <ranges>

#include <ATen/Parallel.h>

namespace marginalia::elimination {
namespace {

constexpr double kWorthThreads = 1 << 18;  // products of a plan
constexpr double kBranchesOfThread = 4;    // about: more of them are the better shared

/// The step that reads each step's message, the number of steps where none does.
std::vector<std::size_t> readers(const EliminationPlan& plan) {
  const auto N = plan.steps.size();
  std::vector<std::size_t> reader(N, N);
  for (std::size_t n = 0; n < N; ++n)
    for (const auto child : plan.steps[n].children)
      reader[plan.steps[n].sources[child].index] = n;
  return reader;
}

/// Products of each step and of all below it.
std::vector<double> work_below(const EliminationPlan& plan,
                               const std::vector<std::size_t>& reader) {
  std::vector<double> work(plan.steps.size());
  for (std::size_t n = 0; n < work.size(); ++n) {
    work[n] += double(plan.steps[n].entries) * double(plan.steps[n].levels);
    if (reader[n] < work.size()) work[reader[n]] += work[n];
  }
  return work;
}

/// The thread of each branch, the heaviest first, each to the thread that has least.
std::vector<std::size_t> shared_out(const std::vector<double>& work, int threads) {
  std::vector<std::size_t> order(work.size()), thread(work.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](auto b) { return work[b]; });
  std::vector<double> load(static_cast<std::size_t>(threads));
  for (const auto b : order) {
    thread[b] = std::size_t(std::ranges::min_element(load) - load.begin());
    load[thread[b]] += work[b];
  }
  return thread;
}

}  // namespace

Branches::Branches(const EliminationPlan& plan, int threads) {
  const auto N = plan.steps.size();
  const auto reader = readers(plan);
  const auto work = work_below(plan, reader);
  const auto most = plan.cost.products / (kBranchesOfThread * threads);
  const bool shared = threads > 1 && plan.cost.products >= kWorthThreads;
  const auto in_branch = [&](std::size_t n) { return shared && work[n] <= most; };
  std::vector<double> of_branch;
  std::vector<std::size_t> branch(N);
  for (auto n = N; n-- > 0;) {  // readers first
    if (!in_branch(n)) continue;
    const bool is_root = reader[n] == N || !in_branch(reader[n]);
    branch[n] = is_root ? of_branch.size() : branch[reader[n]];
    if (is_root) of_branch.push_back(work[n]);
  }
  const auto thread = shared_out(of_branch, threads);
  branches_.resize(of_branch.empty() ? 0 : std::size_t(threads));
  for (std::size_t n = 0; n < N; ++n)
    (in_branch(n) ? branches_[thread[branch[n]]] : trunk_).push_back(n);
}

void Branches::in_branches(
    const std::function<void(const std::vector<std::size_t>&)>& visit) const {
  at::parallel_for(0, std::int64_t(branches_.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto t = begin; t < end; ++t)
      visit(branches_[std::size_t(t)]);
  });
}

void Branches::up(const std::function<void(std::size_t)>& visit) const {
  in_branches([&](const auto& steps) { std::ranges::for_each(steps, visit); });
  std::ranges::for_each(trunk_, visit);
}

void Branches::down(const std::function<void(std::size_t)>& visit) const {
  std::ranges::for_each(trunk_ | std::views::reverse, visit);
  in_branches(
      [&](const auto& steps) { std::ranges::for_each(steps | std::views::reverse, visit); });
}

}  // namespace marginalia::elimination
