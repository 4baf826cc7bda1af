#include "dissection.h"

#include <algorithm>

namespace marginalia::planar {
namespace {

class Cutter {
 public:
  Cutter(const Graph& graph, Cuts cuts, Dissection& result)
      : graph_(graph), cuts_(cuts), result_(result) {}

  int cut(int begin, int end) {
    Dissection::Node node{begin, end};
    if (end - begin > 1) {
      node.axis = longer_axis(begin, end);
      const auto middle = split(begin, end, std::size_t(node.axis));
      node.left = cut(begin, middle);
      node.right = cut(middle, end);
    }
    result_.nodes.push_back(node);
    return int(result_.nodes.size()) - 1;
  }

 private:
  double at(int place, std::size_t axis) const {
    return graph_.positions[std::size_t(result_.order[std::size_t(place)])][axis];
  }

  int longer_axis(int begin, int end) const {
    double extent[2];
    for (std::size_t axis = 0; axis < 2; ++axis) {
      auto low = at(begin, axis), high = low;
      for (int i = begin; i < end; ++i) {
        low = std::min(low, at(i, axis));
        high = std::max(high, at(i, axis));
      }
      extent[axis] = high - low;
    }
    return cuts_ == Cuts::kAlong ? extent[1] >= extent[0] : extent[1] > extent[0];
  }

  /// Parts them along the axis, where the coordinate changes nearest to the middle; where it never
  /// does, along the other one.
  int split(int begin, int end, std::size_t axis) {
    const auto share = cuts_ == Cuts::kUneven ? 0.4 : 0.5;
    const auto middle = std::clamp(begin + int(share * (end - begin)), begin + 1, end - 1);
    const auto first = result_.order.begin() + begin, last = result_.order.begin() + end;
    const auto place = [&](int vertex) {
      const auto& p = graph_.positions[std::size_t(vertex)];
      return std::pair(p[axis], p[1 - axis]);
    };
    std::ranges::nth_element(first, result_.order.begin() + middle, last, {}, place);
    const auto there = at(middle, axis);
    const auto is_before = [&](int v) { return graph_.positions[std::size_t(v)][axis] < there; };
    const auto is_after = [&](int v) { return graph_.positions[std::size_t(v)][axis] > there; };
    const auto low = begin + int(std::count_if(first, last, is_before));
    const auto high = end - int(std::count_if(first, last, is_after));
    const bool below = low > begin, above = high < end;
    if (!below && !above) return middle;
    if (below && (!above || middle - low < high - middle)) {
      std::partition(first, last, is_before);
      return low;
    }
    std::partition(first, last, [&](int v) { return !is_after(v); });
    return high;
  }

  const Graph& graph_;
  Cuts cuts_;
  Dissection& result_;
};

}  // namespace

Dissection dissect(const Graph& graph, std::vector<int> vertices, Cuts cuts) {
  Dissection result{std::move(vertices), {}};
  result.nodes.reserve(2 * result.order.size());
  Cutter(graph, cuts, result).cut(0, int(result.order.size()));
  return result;
}

}  // namespace marginalia::planar
