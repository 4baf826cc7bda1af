#include "strip.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <marginalia/state_space.h>

namespace marginalia::ising {
namespace {

Strip strip_along(const Lattice& lattice, std::size_t axis) {
  const auto N = lattice.sides[axis], W = lattice.sites() / N;
  const std::vector<double> none(lattice.fields.size(), 0.0);
  Strip strip{N, W, lattice.all_periodic(), {}, none, none};
  std::vector<std::size_t> place(lattice.fields.size());  // of a site in the strip
  for (std::int64_t r = 0; r < N; ++r)
    for (std::int64_t c = 0; c < W; ++c) {
      strip.site.push_back(axis == 0 ? r * W + c : c * N + r);
      place[strip.site.back()] = strip.site.size() - 1;
    }
  for (const auto& bond : lattice.bonds)
    (bond.axis == axis ? strip.down : strip.across)[place[bond.i]] = bond.J;
  return strip;
}

bool affordable(const Strip& strip) {
  return strip.width <= (strip.periodic ? kPeriodicWidth : kOpenWidth) &&
         strip.rows <= kStates >> strip.width;
}

}  // namespace

std::vector<Strip> find_strips(const Lattice& lattice) {
  std::vector<Strip> strips;
  if (!lattice.all_periodic() && !lattice.all_open()) return strips;
  for (std::size_t axis = 0; axis < lattice.sides.size(); ++axis)
    if (auto strip = strip_along(lattice, axis); affordable(strip)) strips.push_back(strip);
  return strips;
}

double strongest_step(const std::vector<Strip>& strips) {
  double strongest = 0;
  for (const auto& strip : strips)
    for (auto row = strip.down.begin(); row != strip.down.end(); row += strip.width)
      strongest =
          std::max(strongest, std::accumulate(row, row + strip.width, 0.0,
                                              [](double a, double J) { return a + std::abs(J); }));
  return strongest;
}

namespace {

/// Chooses strip and first row by the least cost: columns x states, summed over rows.
void choose_rows(const std::vector<Strip>& strips, const std::int64_t* x, FreeSpins& spins) {
  double least = INFINITY;
  for (const auto& strip : strips) {
    std::vector<Mask> free(std::size_t(strip.rows), 0);
    for (std::size_t place = 0; place < strip.site.size(); ++place)
      if (x[strip.site[place]] == marginalia::kUnknown)
        free[place / strip.width] |= bit(place % strip.width);
    const auto by_size = [](Mask a, Mask b) { return std::popcount(a) < std::popcount(b); };
    const auto narrowest = std::ranges::min_element(free, by_size);
    const auto first = strip.periodic ? narrowest : free.begin();
    double cost = 0;
    for (const auto mask : free)
      cost += std::exp2(std::popcount(mask) + (strip.periodic ? std::popcount(*first) : 0));
    if (cost >= least) continue;
    least = cost;
    spins.strip = &strip;
    spins.first = first - free.begin();
    std::ranges::rotate(free, first);
    spins.free = std::move(free);
  }
}

}  // namespace

FreeSpins condition(const Lattice& lattice, const std::vector<Strip>& strips,
                    const std::int64_t* x) {
  FreeSpins spins{};
  choose_rows(strips, x, spins);
  const auto s = [&](std::int64_t i) {
    return x[i] == marginalia::kUnknown ? 0.0 : 2.0 * double(x[i]) - 1;
  };
  auto field = lattice.fields;
  for (const auto& [i, j, axis, J] : lattice.bonds) {
    field[i] += J * s(j);
    field[j] += J * s(i);
    spins.known_part += J * s(i) * s(j);
  }
  for (std::int64_t i = 0; i < lattice.sites(); ++i)
    spins.known_part += lattice.fields[i] * s(i);
  for (const auto site : spins.strip->site)
    spins.field.push_back(field[site]);
  return spins;
}

}  // namespace marginalia::ising
