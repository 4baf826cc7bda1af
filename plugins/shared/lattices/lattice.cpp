#include "lattice.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>
#include <marginalia/files.h>

namespace marginalia::ising {

using marginalia::SpecError;

std::vector<std::int64_t> read_sides(const std::vector<std::int64_t>& sides, std::int64_t side,
                                     bool periodic) {
  const auto all = sides.empty() ? std::vector(2, side) : sides;
  for (const auto length : all)
    if (periodic && length < 3)
      throw SpecError(
          fmt::format("a periodic side of {} would join a pair twice; take 3 or more, or "
                      "\"boundary\": \"open\"",
                      length));
  return all;
}

Lattice uniform_lattice(const std::vector<std::int64_t>& sides, bool periodic, double J, double h) {
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
      else if (periodic)
        lattice.bonds.push_back({i, i + stride - around, axis, J});
    }
  }
  return lattice;
}

// A path or an even cycle takes the colours 0, 1, 0, 1, ...; an odd cycle ends in a 2. On their
// product, the sum of the colours along the axes, modulo the number of colours, is again proper
// (Sabidussi 1957, Canad. J. Math. 9, 515).
std::vector<std::int64_t> colouring(const Lattice& lattice) {
  const auto odd_cycle = [&](std::int64_t side) { return lattice.periodic && side % 2 == 1; };
  const std::int64_t count = std::ranges::any_of(lattice.sides, odd_cycle) ? 3 : 2;
  std::vector<std::int64_t> colours;
  for (std::int64_t site = 0; site < lattice.sites(); ++site) {
    std::int64_t sum = 0, rest = site;
    for (auto axis = lattice.sides.size(); axis-- > 0;) {
      const auto side = lattice.sides[axis], at = rest % side;
      sum += odd_cycle(side) && at == side - 1 ? 2 : at % 2;
      rest /= side;
    }
    colours.push_back(sum % count);
  }
  return colours;
}

namespace {

/// The numbers of one line of a file.
struct Line {
  std::string where;  // "couplings.txt:7"
  std::vector<double> numbers;
};

double number(std::string_view word, const std::string& where) {
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || !std::isfinite(value))
    throw SpecError(fmt::format("{}: \"{}\" is not a finite number", where, word));
  return value;
}

/// The lines that hold something, comments taken away. Blanks, tabs and commas separate numbers.
std::vector<Line> read_lines(const std::filesystem::path& file) {
  if (!std::filesystem::is_regular_file(file))
    throw SpecError(fmt::format("{}: there is no such file; a file is looked for beside the spec, "
                                "then in the data directory (--data, $MARGINALIA_DATA)",
                                file.string()));
  constexpr std::string_view kSeparators = " \t\r,";
  const auto text = marginalia::read_text(file);
  std::vector<Line> lines;
  std::string_view rest = text;
  for (int count = 1; !rest.empty(); ++count) {
    auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    line = line.substr(0, line.find('#'));
    Line found{fmt::format("{}:{}", file.string(), count), {}};
    while (true) {
      line.remove_prefix(std::min(line.find_first_not_of(kSeparators), line.size()));
      if (line.empty()) break;
      const auto word = line.substr(0, line.find_first_of(kSeparators));
      found.numbers.push_back(number(word, found.where));
      line.remove_prefix(word.size());
    }
    if (!found.numbers.empty()) lines.push_back(std::move(found));
  }
  return lines;
}

std::string describe_size(const Lattice& lattice) {
  return fmt::format("{} lattice of sides {}", lattice.periodic ? "a periodic" : "an open",
                     fmt::join(lattice.sides, " x "));
}

/// The bond that a line `i j J` names.
Bond& find_bond(const Line& line, std::map<std::pair<double, double>, Bond*>& by_sites,
                const Lattice& lattice) {
  const auto i = line.numbers[0], j = line.numbers[1];
  const auto found = by_sites.find(std::minmax(i, j));
  if (found == by_sites.end())
    throw SpecError(fmt::format("{}: sites {} and {} are not neighbours on {}; sites count from 0, "
                                "row by row",
                                line.where, i, j, describe_size(lattice)));
  if (!found->second)
    throw SpecError(fmt::format("{}: the bond of sites {} and {} stands twice; give each bond once",
                                line.where, i, j));
  return *std::exchange(found->second, nullptr);
}

}  // namespace

void read_couplings(const std::filesystem::path& file, Lattice& lattice) {
  const auto lines = read_lines(file);
  auto& bonds = lattice.bonds;
  const auto width = lines.empty() ? 1 : lines[0].numbers.size();
  for (const auto& line : lines)
    if (line.numbers.size() != width || (width != 1 && width != 3))
      throw SpecError(fmt::format("{}: {} numbers; give one coupling a line on all lines, or "
                                  "\"i j J\" on all lines",
                                  line.where, line.numbers.size()));
  if (lines.size() != bonds.size())
    throw SpecError(fmt::format("{}: {} couplings, but {} has {} bonds, each counted once",
                                file.string(), lines.size(), describe_size(lattice), bonds.size()));
  std::map<std::pair<double, double>, Bond*> by_sites;
  for (auto& bond : bonds)
    by_sites[std::minmax(double(bond.i), double(bond.j))] = &bond;
  for (std::size_t l = 0; l < lines.size(); ++l)
    (width == 1 ? bonds[l] : find_bond(lines[l], by_sites, lattice)).J = lines[l].numbers.back();
}

void read_fields(const std::filesystem::path& file, Lattice& lattice) {
  std::vector<double> fields;
  for (const auto& line : read_lines(file))
    fields.insert(fields.end(), line.numbers.begin(), line.numbers.end());
  if (fields.size() != lattice.fields.size())
    throw SpecError(fmt::format("{}: {} fields, but {} has {} sites", file.string(), fields.size(),
                                describe_size(lattice), lattice.sites()));
  lattice.fields = std::move(fields);
}

}  // namespace marginalia::ising
