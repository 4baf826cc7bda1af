#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <marginalia/params.h>
#include <marginalia/text_file.h>

namespace marginalia::ising {

/// Two neighbouring sites and the coupling between them, nats.
struct Bond {
  std::int64_t i, j;  ///< j follows i along `axis`
  std::size_t axis;
  double J;
};

/// Spins on a hypercubic lattice. Sites are numbered from 0 in row-major order, the last axis
/// fastest; bonds are listed site by site and, for one site, axis by axis, each pair once.
struct Lattice {
  std::vector<std::int64_t> sides;
  std::vector<bool> periodic;  ///< [d]
  std::vector<Bond> bonds;
  std::vector<double> fields;  ///< h_i [D], nats

  std::int64_t sites() const { return static_cast<std::int64_t>(fields.size()); }
  bool all_periodic() const;
  bool all_open() const;
};

/// The boundary of every side, or of each: "periodic" or "open".
struct Boundary {
  std::vector<std::string> of{"periodic"};

  void visit(marginalia::ParamVisitor& p);
};

/// The size of a lattice as specs give it.
struct Shape {
  std::vector<std::int64_t> sides;
  std::vector<bool> periodic;  ///< of each
};
/// `sides`, or where that is empty a square of `side`. Throws SpecError where a periodic side would
/// join a pair twice, and where the boundaries are neither one nor one a side.
Shape read_shape(const std::vector<std::int64_t>& sides, std::int64_t side,
                 const Boundary& boundary);

/// Every bond of strength J, every field h. A periodic side must be 3 or more.
Lattice uniform_lattice(const Shape& shape, double J, double h);
/// The same with one boundary on all sides.
Lattice uniform_lattice(const std::vector<std::int64_t>& sides, bool periodic, double J, double h);

/// A colour for each site, [D] from 0, such that no bond joins equal colours: the fewest possible.
std::vector<std::int64_t> colouring(const Lattice& lattice);

/// Couplings from a text file: one a line in the order of the bonds, or lines `i j J` in any order,
/// each bond once. `#` starts a comment. Throws SpecError, naming file and line.
void read_couplings(const marginalia::TextFile& file, Lattice& lattice);

/// Fields from a text file: a number for each of `sites` in their order, on as many lines as one
/// likes; `of` what they belong to, for messages: "a graph".
std::vector<double> read_fields(const marginalia::TextFile& file, std::int64_t sites,
                                const std::string& of);
void read_fields(const marginalia::TextFile& file, Lattice& lattice);

}  // namespace marginalia::ising
