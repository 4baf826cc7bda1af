#include "completion_search.h"

#include <algorithm>
#include <cmath>
#include <queue>
#include <vector>

#include <torch/types.h>

#include <marginalia/state_space.h>

namespace marginalia {
namespace {

constexpr double kSlack = 1e-9;      // nats: what sums of bounds may be off by
constexpr std::int64_t kBatch = 64;  // partial states whose bounds are asked for at once

/// A partial state that may lead to something better: [D], the first `depth` of the order known.
struct Node {
  double bound;
  std::size_t depth;
  Tensor x;
  bool operator<(const Node& other) const { return bound < other.bound; }
};

/// The search for one row.
class Search {
 public:
  Search(const ExactModel& model, const Tensor& row) : model_(model), best_(row.clone()) {
    const auto log_p = model.log_conditionals(row.unsqueeze(0))[0];  // [D, K]
    left_ = std::clamp<std::int64_t>((std::int64_t{1} << 21) / log_p.numel(), 256, 4096);
    find_order(row, log_p);
    take(model.most_probable ? model.most_probable(row.unsqueeze(0)) : mode(row, log_p));
    if (log_p_ == -INFINITY) take(by_conditionals(row));
  }

  /// Whether the best is proved.
  bool run(const Tensor& row) {
    climb();
    std::priority_queue<Node> open;
    expand({{0, 0, row}}, open);
    while (!open.empty() && exceeds(open.top().bound)) {
      if (left_ <= 0) return false;
      std::vector<Node> nodes;
      for (; !open.empty() && std::int64_t(nodes.size()) < kBatch; open.pop())
        if (exceeds(open.top().bound)) nodes.push_back(open.top());
      const auto ahead = nodes.front().x.unsqueeze(0);
      take(mode(ahead[0], model_.log_conditionals(ahead)[0]));
      expand(nodes, open);
    }
    return true;
  }
  const Tensor& best() const { return best_; }

 private:
  bool exceeds(double bound) const { return bound > log_p_ + kSlack; }

  /// Unknown variables, those of the greatest entropy first, and the values that each may have.
  void find_order(const Tensor& row, const Tensor& log_p) {
    const auto entropy = -(log_p.exp() * log_p.clamp_min(-1e3)).sum(1);
    const auto by_entropy = entropy.argsort(0, /*descending=*/true).contiguous();
    for (std::int64_t n = 0; n < by_entropy.numel(); ++n) {
      const auto i = by_entropy[n].item<std::int64_t>();
      if (row[i].item<std::int64_t>() != kUnknown) continue;
      order_.push_back(i);
      values_.push_back(log_p[i].isfinite().nonzero().squeeze(1));
    }
  }

  /// Every unknown variable at its own most probable value: [1, D].
  static Tensor mode(const Tensor& row, const Tensor& log_p) {
    return torch::where(row == kUnknown, log_p.argmax(1), row).unsqueeze(0);
  }

  /// One variable after the other at its most probable value given those before, which is possible
  /// where the row is: [1, D].
  Tensor by_conditionals(const Tensor& row) {
    auto state = row.unsqueeze(0).clone();
    for (const auto i : order_)
      state[0][i] = model_.log_conditionals(state)[0][i].argmax();
    return state;
  }

  /// Keeps the best of some states.
  bool take(const Tensor& states) {
    left_ -= states.size(0);
    const auto log_p = model_.log_marginal(states);
    const auto at = log_p.argmax().item<std::int64_t>();
    if (!exceeds(log_p[at].item<double>())) return false;
    log_p_ = log_p[at].item<double>();
    best_ = states[at].clone();
    return true;
  }

  /// Goes to the best state that differs in one variable, as long as there is a better one.
  void climb() {
    std::int64_t rows = 0;
    for (const auto& values : values_)
      rows += values.numel();
    for (bool better = rows > 0; better && 4 * rows <= left_;)
      better = take(neighbours(rows));
  }
  Tensor neighbours(std::int64_t rows) const {
    auto states = best_.repeat({rows, 1});
    std::int64_t at = 0;
    for (std::size_t n = 0; n < order_.size(); ++n) {
      const auto count = values_[n].numel();
      states.slice(0, at, at + count).select(1, order_[n]).copy_(values_[n]);
      at += count;
    }
    return states;
  }

  /// Puts what the next variable makes of some nodes among the open ones.
  void expand(const std::vector<Node>& nodes, std::priority_queue<Node>& open) {
    std::vector<Tensor> states;
    std::vector<std::size_t> depth;
    for (const auto& node : nodes) {
      if (node.depth == order_.size()) continue;
      const auto& values = values_[node.depth];
      auto children = node.x.repeat({values.numel(), 1});
      children.select(1, order_[node.depth]).copy_(values);
      states.push_back(children);
      depth.insert(depth.end(), std::size_t(values.numel()), node.depth + 1);
    }
    if (states.empty()) return;
    const auto x = torch::cat(states);
    left_ -= x.size(0);
    const auto bound = model_.max_bound(x).contiguous();
    std::vector<Tensor> whole;
    for (std::int64_t b = 0; b < x.size(0); ++b) {
      if (!exceeds(bound[b].item<double>())) continue;
      if (depth[std::size_t(b)] == order_.size())
        whole.push_back(x[b]);
      else
        open.push({bound[b].item<double>(), depth[std::size_t(b)], x[b]});
    }
    if (!whole.empty()) take(torch::stack(whole));
  }

  const ExactModel& model_;
  Tensor best_;
  double log_p_ = -INFINITY;  // of the best
  std::int64_t left_;         // states that may be asked about
  std::vector<std::int64_t> order_;
  std::vector<Tensor> values_;  // of order_
};

}  // namespace

BestCompletions search_completions(const ExactModel& model, const Tensor& partial) {
  BestCompletions result{partial.clone(), true};
  for (std::int64_t b = 0; b < partial.size(0); ++b) {
    if (b > 0 && partial[b].equal(partial[b - 1])) {
      result.states[b].copy_(result.states[b - 1]);
      continue;
    }
    Search search(model, partial[b]);
    result.proved = search.run(partial[b]) && result.proved;
    result.states[b].copy_(search.best());
  }
  return result;
}

}  // namespace marginalia
