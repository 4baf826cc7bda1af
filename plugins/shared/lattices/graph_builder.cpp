#include "graph_builder.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <marginalia/error.h>

namespace marginalia::graphs {

GraphBuilder::GraphBuilder(std::int64_t vertices, std::int64_t first, std::int64_t line,
                           Place place)
    : first_(first), place_(std::move(place)) {
  if (vertices < 1 || vertices > kMaxVertices)
    fail(line, fmt::format("{} vertices; a graph has 1 to {}", vertices, kMaxVertices));
  graph_.vertices = vertices;
}

void GraphBuilder::fail(std::int64_t line, const std::string& reason) const {
  throw SpecError(fmt::format("{}: {}", place_(line), reason));
}

void GraphBuilder::check_vertex(std::int64_t vertex, std::int64_t line) const {
  if (vertex < first_ || vertex >= first_ + graph_.vertices)
    fail(line, fmt::format("there is no vertex {}; they are {} to {}", vertex, first_,
                           first_ + graph_.vertices - 1));
}

void GraphBuilder::add_edge(std::int64_t i, std::int64_t j, double weight, std::int64_t line) {
  check_vertex(i, line);
  check_vertex(j, line);
  if (i == j)
    fail(line, fmt::format("an edge from vertex {} to itself; it joins two different ones", i));
  ++lines_;
  const auto [low, high] = std::minmax(i, j);
  const auto [at, is_new] =
      seen_.emplace(low * (kMaxVertices + 1) + high, Seen{line, i, weight, false});
  auto& seen = at->second;
  if (is_new) {
    graph_.edges.push_back({low - first_, high - first_, weight});
  } else if (seen.from == i || seen.twice) {
    fail(line,
         fmt::format("the edge of vertices {} and {} stands in {} already; give each once, or "
                     "once from each end",
                     i, j, place_(seen.line)));
  } else if (seen.weight != weight) {
    fail(line, fmt::format("the edge of vertices {} and {} has the weight {} here, but {} in {}", i,
                           j, weight, seen.weight, place_(seen.line)));
  } else {
    seen.twice = true;
  }
}

void GraphBuilder::check_both_ends() const {
  for (const auto& [key, seen] : seen_) {
    if (seen.twice) continue;
    const auto low = key / (kMaxVertices + 1), high = key % (kMaxVertices + 1);
    const auto to = seen.from == low ? high : low;
    fail(seen.line, fmt::format("vertex {} has the neighbour {} here, but {} does not have {}",
                                seen.from, to, to, seen.from));
  }
}

void GraphBuilder::set(std::vector<double>& values, std::int64_t i, double value,
                       double otherwise) const {
  if (values.empty()) values.assign(std::size_t(graph_.vertices), otherwise);
  values[std::size_t(i - first_)] = value;
}

void GraphBuilder::add_weight(std::int64_t i, double weight, std::int64_t line) {
  check_vertex(i, line);
  set(graph_.weights, i, weight, 1);
}

void GraphBuilder::add_field(std::int64_t i, double field, std::int64_t line) {
  check_vertex(i, line);
  set(graph_.fields, i, field, 0);
}

}  // namespace marginalia::graphs
