#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "graph_file.h"

namespace marginalia::graphs {

inline constexpr std::int64_t kMaxVertices = 1 << 24;

/// Where lines came from: "graph.mc:7".
using Place = std::function<std::string(std::int64_t line)>;

/// Puts the lines of a graph together.
class GraphBuilder {
 public:
  /// first: the number of the first vertex in the lines, 0 or 1.
  GraphBuilder(std::int64_t vertices, std::int64_t first, std::int64_t line, Place place);

  /// An edge from i to j. From j to i it may stand once more, with the same weight.
  void add_edge(std::int64_t i, std::int64_t j, double weight, std::int64_t line);
  void add_weight(std::int64_t i, double weight, std::int64_t line);
  void add_field(std::int64_t i, double field, std::int64_t line);

  std::int64_t lines() const { return lines_; }  ///< edges as they stand, some from both ends
  void check_both_ends() const;  ///< throws SpecError unless each edge stands from both
  Graph finish() { return std::move(graph_); }
  const Graph& graph() const { return graph_; }

  [[noreturn]] void fail(std::int64_t line, const std::string& reason) const;

 private:
  struct Seen {
    std::int64_t line, from;  // where it stood first, and the vertex that came first there
    double weight;
    bool twice;
  };

  void check_vertex(std::int64_t vertex, std::int64_t line) const;
  void set(std::vector<double>& values, std::int64_t i, double value, double otherwise) const;

  std::int64_t first_, lines_ = 0;
  Place place_;
  Graph graph_;
  std::unordered_map<std::int64_t, Seen> seen_;  // by the two vertices
};

}  // namespace marginalia::graphs
