#include "matching.h"

#include <cstddef>
#include <functional>
#include <queue>
#include <utility>

namespace marginalia::selfies {

namespace {

/// Left-over nodes in the order in which the reference implementation takes them, which is that of
/// a Python set of small integers: open addressing in a table of a power of two, slots probed nine
/// in a row where the table does not end before, then at 5 i + 1 + (hash shifted by 5 bits each
/// time); kept under 3/5 full; taken from where the last one was found on.
class LeftOver {
 public:
  explicit LeftOver(const std::vector<int>& mates) {
    for (std::size_t node = 0; node < mates.size(); ++node)
      if (mates[node] < 0) add(static_cast<int>(node));
  }

  bool empty() const { return size_ == 0; }

  int take() {
    auto at = finger_ & (slots_.size() - 1);
    while (slots_[at] < 0)
      at = (at + 1) % slots_.size();
    finger_ = at + 1;
    --size_;
    return std::exchange(slots_[at], kFree);
  }

  void drop(int node) {
    for (auto& slot : slots_) {
      if (slot != node) continue;
      slot = kFree;
      --size_;
    }
  }

 private:
  static constexpr int kFree = -1;
  static constexpr std::size_t kFurther = 9;

  void add(int node) {
    put(slots_, node);
    ++size_;
    if (5 * size_ >= 3 * (slots_.size() - 1)) grow();
  }

  static void put(std::vector<int>& slots, int node) {
    const auto mask = slots.size() - 1;
    auto shifted = static_cast<std::size_t>(node);
    for (auto start = shifted & mask;; start = (5 * start + 1 + shifted) & mask) {
      const auto more = start + kFurther <= mask ? kFurther : 0;
      for (auto at = start; at <= start + more; ++at)
        if (slots[at] == kFree) {
          slots[at] = node;
          return;
        }
      shifted >>= 5;
    }
  }

  void grow() {
    const auto least = size_ * (size_ > 50000 ? 2 : 4);
    std::size_t size = 8;
    while (size <= least)
      size *= 2;
    std::vector<int> larger(size, kFree);
    for (const int node : slots_)
      if (node != kFree) put(larger, node);
    slots_ = std::move(larger);
  }

  std::vector<int> slots_ = std::vector<int>(8, kFree);
  std::size_t size_ = 0, finger_ = 0;
};

std::vector<int> greedy(const Graph& graph) {
  using Entry = std::pair<int, int>;  // free neighbours, node
  std::vector<int> mates(graph.size(), -1), degree;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  for (std::size_t node = 0; node < graph.size(); ++node) {
    degree.push_back(static_cast<int>(graph[node].size()));
    queue.emplace(degree.back(), static_cast<int>(node));
  }
  const auto lose_neighbour = [&](int of) {
    for (const int adjacent : graph[of]) {
      --degree[adjacent];
      if (mates[adjacent] < 0 && degree[adjacent] > 0) queue.emplace(degree[adjacent], adjacent);
    }
  };
  while (!queue.empty()) {
    const int node = queue.top().second;
    queue.pop();
    if (mates[node] >= 0 || degree[node] == 0) continue;
    int mate = -1;
    for (auto at = graph[node].begin(); mate < 0; ++at)
      if (mates[*at] < 0) mate = *at;
    mates[node] = mate;
    mates[mate] = node;
    lose_neighbour(node);
    lose_neighbour(mate);
  }
  return mates;
}

/// How a breadth-first search came to a node: from `before` over `over`, the node's mate (or, at
/// the far end, the node itself).
struct Step {
  int before = -1, over = -1;
};

/// Searches an alternating path from `root` to another node without a mate; flips it.
/// -> that node; -1: there is none.
int augment(const Graph& graph, int root, std::vector<int>& mates) {
  std::vector<Step> steps(graph.size());
  std::queue<int> queue({root});
  int end = -1;
  const auto visit = [&](int node) {
    for (const int adjacent : graph[node]) {
      const int mate = mates[adjacent];
      if (mate < 0 && adjacent != root) {
        steps[adjacent] = {node, adjacent};
        end = adjacent;
        return;
      }
      if (mate < 0 || steps[mate].before >= 0) continue;
      steps[mate] = {node, adjacent};
      queue.push(mate);
    }
  };
  for (; !queue.empty() && end < 0; queue.pop())
    visit(queue.front());
  for (int node = end; node >= 0 && node != root; node = steps[node].before) {
    const auto [before, over] = steps[node];
    mates[over] = before;
    mates[before] = over;
  }
  return end;
}

}  // namespace

std::vector<int> match(const Graph& graph) {
  auto mates = greedy(graph);
  LeftOver left(mates);
  while (!left.empty()) {
    const int end = augment(graph, left.take(), mates);
    if (end < 0) return mates;
    left.drop(end);
  }
  return mates;
}

}  // namespace marginalia::selfies
