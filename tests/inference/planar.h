#pragma once

#include "factors.h"

#include <random>
#include <string>

#include <marginalia/inference/planar.h>

namespace marginalia::test {

/// Spins without fields, and where they lie.
struct Drawn {
  FactorModel model;
  Drawing drawing;

  StateSpace space() const {
    return StateSpace::uniform(std::int64_t(model.cardinalities.size()), 2);
  }
  void add_bond(std::int64_t i, std::int64_t j, double K) {
    model.factors.push_back({{i, j}, {K, -K, -K, K}});
  }
};

enum class CouplingLaw { kGaussian, kSigns, kEqual };

/// rows x columns, each axis open or periodic, couplings of size beta.
inline Drawn lattice(int rows, int columns, bool around, bool up, double beta, CouplingLaw law,
                     std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<> normal;
  Drawn drawn;
  drawn.model.cardinalities.assign(std::size_t(rows * columns), 2);
  drawn.drawing.periods = {around ? columns : 0.0, up ? rows : 0.0};
  const auto draw = [&] {
    return law == CouplingLaw::kGaussian ? normal(random)
           : law == CouplingLaw::kEqual  ? 1
                                         : (random() >> 63 ? 1.0 : -1.0);
  };
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c) {
      drawn.drawing.positions.push_back({double(c), double(r)});
      if (r + 1 < rows || up)
        drawn.add_bond(r * columns + c, (r + 1) % rows * columns + c, beta * draw());
      if (c + 1 < columns || around)
        drawn.add_bond(r * columns + c, r * columns + (c + 1) % columns, beta * draw());
    }
  return drawn;
}

/// Every kind of surface: in words, whether each axis is periodic.
struct Surface {
  const char* name;
  bool around, up;
};
inline constexpr Surface kSurfaces[] = {{"rectangle", false, false},
                                        {"cylinder", true, false},
                                        {"upright cylinder", false, true},
                                        {"torus", true, true}};

/// A triangular lattice of points moved at random, some of its bonds left out.
inline Drawn triangles(int rows, int columns, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<> normal;
  std::uniform_real_distribution<> shift(-0.2, 0.2);
  Drawn drawn;
  drawn.model.cardinalities.assign(std::size_t(rows * columns), 2);
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c) {
      drawn.drawing.positions.push_back({c + shift(random), r + shift(random)});
      for (const auto& [i, j] : {std::pair{r + 1, c}, {r, c + 1}, {r + 1, c + 1}})
        if (i < rows && j < columns && random() % 6 != 0)
          drawn.add_bond(r * columns + c, i * columns + j, normal(random));
    }
  return drawn;
}

}  // namespace marginalia::test
