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

  /// Sorts along the axis; the place nearest to the middle where the coordinate changes.
  int split(int begin, int end, std::size_t axis) {
    const auto place = [&](int vertex) {
      const auto& p = graph_.positions[std::size_t(vertex)];
      return std::pair(p[axis], p[1 - axis]);
    };
    std::ranges::sort(result_.order.begin() + begin, result_.order.begin() + end, {}, place);
    const auto share = cuts_ == Cuts::kUneven ? 0.4 : 0.5;
    const auto middle = std::clamp(begin + int(share * (end - begin)), begin + 1, end - 1);
    const auto changes = [&](int i) { return at(i - 1, axis) != at(i, axis); };
    for (int step = 0; step < end - begin; ++step) {
      if (middle + step < end && changes(middle + step)) return middle + step;
      if (middle - step > begin && changes(middle - step)) return middle - step;
    }
    return middle;
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
