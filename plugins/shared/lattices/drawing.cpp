#include "drawing.h"

#include <string_view>

#include <fmt/format.h>

#include <marginalia/error.h>

using marginalia::ByPlanar;
using marginalia::Drawing;

namespace marginalia::ising {

ByPlanar planar_answers(const Lattice& lattice) {
  const auto d = lattice.sides.size();
  if (d > 2) return ByPlanar(std::nullopt, fmt::format("a lattice of {} axes is not planar", d));
  const auto columns = lattice.sides.back();
  Drawing drawing;
  for (std::int64_t site = 0; site < lattice.sites(); ++site)
    drawing.positions.push_back({double(site % columns), double(site / columns)});
  for (std::size_t axis = 0; axis < d; ++axis)
    if (lattice.periodic[axis]) drawing.periods[d - 1 - axis] = double(lattice.sides[axis]);
  return ByPlanar(drawing);
}

}  // namespace marginalia::ising

namespace marginalia::graphs {

void visit_positions(marginalia::ParamVisitor& p, marginalia::FilePath& positions) {
  p("positions", positions,
    {.doc = "file of two numbers a vertex, x y a line, at which no two straight edges cross: then "
            "sums of any size are exact where no field acts"});
}

ByPlanar planar_answers(const marginalia::FilePath& positions, const Graph& graph) {
  const auto edges = std::int64_t(graph.edges.size());
  const auto most = 3 * graph.vertices - 6;  // of a planar graph, by Euler's formula
  if (graph.vertices > 2 && edges > most)
    return ByPlanar(std::nullopt, fmt::format("{} edges are too many for {} vertices, at most {}",
                                              edges, graph.vertices, most));
  if (!positions) return ByPlanar(std::nullopt, "no \"positions\" say how the graph is drawn");
  const marginalia::TextFile file(positions.existing());
  Drawing drawing;
  marginalia::LineReader lines(file.text(), "#");
  while (lines.next_filled()) {
    std::vector<double> numbers;
    auto rest = lines.line().substr(0, lines.line().find('#'));
    for (constexpr std::string_view kBlanks = " \t,;\r";;) {
      rest.remove_prefix(std::min(rest.find_first_not_of(kBlanks), rest.size()));
      if (rest.empty()) break;
      const auto word = rest.substr(0, rest.find_first_of(kBlanks));
      numbers.push_back(file.number(word, lines.number(), "a coordinate"));
      rest.remove_prefix(word.size());
    }
    if (numbers.empty()) continue;
    if (numbers.size() != 2)
      file.fail(lines.number(), fmt::format("{} numbers; a vertex has two, x y", numbers.size()));
    drawing.positions.push_back({numbers[0], numbers[1]});
  }
  if (std::int64_t(drawing.positions.size()) != graph.vertices)
    throw marginalia::SpecError(fmt::format("{}: {} positions, but the graph has {} vertices",
                                            file.name(), drawing.positions.size(), graph.vertices));
  return ByPlanar(drawing);
}

}  // namespace marginalia::graphs
