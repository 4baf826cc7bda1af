#include "lattice.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>

namespace marginalia::ising {

using marginalia::SpecError;

bool Lattice::all_periodic() const {
  return std::ranges::count(periodic, false) == 0;
}
bool Lattice::all_open() const {
  return std::ranges::count(periodic, true) == 0;
}

void Boundary::visit(marginalia::ParamVisitor& p) {
  p("boundary", of,
    {.doc = "of every side, or a list of one for each", .one_of = {"periodic", "open"}});
}

Shape read_shape(const std::vector<std::int64_t>& sides, std::int64_t side,
                 const Boundary& boundary) {
  Shape shape{sides.empty() ? std::vector(2, side) : sides, {}};
  const auto d = shape.sides.size();
  if (boundary.of.size() != 1 && boundary.of.size() != d)
    throw SpecError(fmt::format("\"boundary\" has {} values for {} sides; give one, or one a side",
                                boundary.of.size(), d));
  for (std::size_t axis = 0; axis < d; ++axis) {
    shape.periodic.push_back(boundary.of[boundary.of.size() == 1 ? 0 : axis] == "periodic");
    if (shape.periodic.back() && shape.sides[axis] < 3)
      throw SpecError(
          fmt::format("a periodic side of {} would join a pair twice; take 3 or more, or "
                      "\"boundary\": \"open\"",
                      shape.sides[axis]));
  }
  return shape;
}

Lattice uniform_lattice(const std::vector<std::int64_t>& sides, bool periodic, double J, double h) {
  return uniform_lattice({sides, std::vector<bool>(sides.size(), periodic)}, J, h);
}

Lattice uniform_lattice(const Shape& shape, double J, double h) {
  const auto& [sides, periodic] = shape;
  std::int64_t sites = 1;
  for (const auto side : sides)
    sites *= side;
  Lattice lattice{sides, periodic, {}, std::vector<double>(static_cast<std::size_t>(sites), h)};
  for (std::int64_t i = 0; i < sites; ++i) {
    auto stride = sites;  // between neighbours along an axis
    for (std::size_t axis = 0; axis < sides.size(); ++axis) {
      const auto around = stride;
      stride /= sides[axis];
      const bool last = i % around / stride == sides[axis] - 1;
      if (!last)
        lattice.bonds.push_back({i, i + stride, axis, J});
      else if (periodic[axis])
        lattice.bonds.push_back({i, i + stride - around, axis, J});
    }
  }
  return lattice;
}

// A path or an even cycle takes the colours 0, 1, 0, 1, ...; an odd cycle ends in a 2. On their
// product, the sum of the colours along the axes, modulo the number of colours, is again proper
// (Sabidussi 1957, Canad. J. Math. 9, 515).
std::vector<std::int64_t> colouring(const Lattice& lattice) {
  const auto odd_cycle = [&](std::size_t axis) {
    return lattice.periodic[axis] && lattice.sides[axis] % 2 == 1;
  };
  std::int64_t count = 2;
  for (std::size_t axis = 0; axis < lattice.sides.size(); ++axis)
    if (odd_cycle(axis)) count = 3;
  std::vector<std::int64_t> colours;
  for (std::int64_t site = 0; site < lattice.sites(); ++site) {
    std::int64_t sum = 0, rest = site;
    for (auto axis = lattice.sides.size(); axis-- > 0;) {
      const auto side = lattice.sides[axis], at = rest % side;
      sum += odd_cycle(axis) && at == side - 1 ? 2 : at % 2;
      rest /= side;
    }
    colours.push_back(sum % count);
  }
  return colours;
}

namespace {

/// The numbers of one line of a file.
struct Line {
  std::int64_t number;
  std::vector<double> values;
};

/// The lines that hold something, comments taken away. Blanks, commas and semicolons separate
/// numbers.
std::vector<Line> read_lines(const TextFile& file) {
  constexpr std::string_view kSeparators = " \t,;";
  std::vector<Line> all;
  LineReader lines(file.text(), "#");
  while (lines.next_filled()) {
    auto rest = lines.line().substr(0, lines.line().find('#'));
    Line line{lines.number(), {}};
    while (true) {
      rest.remove_prefix(std::min(rest.find_first_not_of(kSeparators), rest.size()));
      if (rest.empty()) break;
      const auto word = rest.substr(0, rest.find_first_of(kSeparators));
      line.values.push_back(file.number(word, line.number, "a number"));
      rest.remove_prefix(word.size());
    }
    if (!line.values.empty()) all.push_back(std::move(line));
  }
  return all;
}

std::string describe_size(const Lattice& lattice) {
  const auto* const kind = lattice.all_periodic() ? "a periodic"
                           : lattice.all_open()   ? "an open"
                                                  : "a partly periodic";
  return fmt::format("{} lattice of sides {}", kind, fmt::join(lattice.sides, " x "));
}

/// The bond that a line `i j J` names.
Bond& find_bond(const Line& line, std::map<std::pair<double, double>, Bond*>& by_sites,
                const Lattice& lattice, const TextFile& file) {
  const auto i = line.values[0], j = line.values[1];
  const auto found = by_sites.find(std::minmax(i, j));
  if (found == by_sites.end())
    file.fail(line.number, fmt::format("sites {} and {} are not neighbours on {}; sites count from "
                                       "0, row by row",
                                       i, j, describe_size(lattice)));
  if (!found->second)
    file.fail(line.number,
              fmt::format("the bond of sites {} and {} stands twice; give each bond once", i, j));
  return *std::exchange(found->second, nullptr);
}

}  // namespace

void read_couplings(const TextFile& file, Lattice& lattice) {
  const auto lines = read_lines(file);
  auto& bonds = lattice.bonds;
  const auto width = lines.empty() ? 1 : lines[0].values.size();
  for (const auto& line : lines)
    if (line.values.size() != width || (width != 1 && width != 3))
      file.fail(line.number, fmt::format("{} numbers; give one coupling a line on all lines, or "
                                         "\"i j J\" on all lines",
                                         line.values.size()));
  if (lines.size() != bonds.size())
    throw SpecError(fmt::format("{}: {} couplings, but {} has {} bonds, each counted once",
                                file.name(), lines.size(), describe_size(lattice), bonds.size()));
  std::map<std::pair<double, double>, Bond*> by_sites;
  for (auto& bond : bonds)
    by_sites[std::minmax(double(bond.i), double(bond.j))] = &bond;
  for (std::size_t l = 0; l < lines.size(); ++l)
    (width == 1 ? bonds[l] : find_bond(lines[l], by_sites, lattice, file)).J =
        lines[l].values.back();
}

std::vector<double> read_fields(const TextFile& file, std::int64_t sites, const std::string& of) {
  std::vector<double> fields;
  for (const auto& line : read_lines(file))
    fields.insert(fields.end(), line.values.begin(), line.values.end());
  if (std::cmp_not_equal(fields.size(), sites))
    throw SpecError(
        fmt::format("{}: {} fields, but {} has {} sites", file.name(), fields.size(), of, sites));
  return fields;
}

void read_fields(const TextFile& file, Lattice& lattice) {
  lattice.fields = read_fields(file, lattice.sites(), describe_size(lattice));
}

}  // namespace marginalia::ising
