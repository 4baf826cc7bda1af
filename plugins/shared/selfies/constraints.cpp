#include <algorithm>
#include <utility>

#include "molecule.h"

namespace marginalia::selfies {

namespace {

const std::vector<Limit> kDefault{
    {"H", 0, 1}, {"F", 0, 1},  {"Cl", 0, 1}, {"Br", 0, 1}, {"I", 0, 1},  {"B", 0, 3},
    {"B", 1, 2}, {"B", -1, 4}, {"O", 0, 2},  {"O", 1, 3},  {"O", -1, 1}, {"N", 0, 3},
    {"N", 1, 4}, {"N", -1, 2}, {"C", 0, 4},  {"C", 1, 3},  {"C", -1, 3}, {"P", 0, 5},
    {"P", 1, 4}, {"P", -1, 6}, {"S", 0, 6},  {"S", 1, 5},  {"S", -1, 5}};
const std::vector<Limit> kOctetRule{{"S", 0, 2}, {"S", 1, 3}, {"S", -1, 1},
                                    {"P", 0, 3}, {"P", 1, 4}, {"P", -1, 2}};
const std::vector<Limit> kHypervalent{{"Cl", 0, 7}, {"Br", 0, 7}, {"I", 0, 7}, {"N", 0, 5}};
constexpr int kOthers = 8;

/// The default limits, some of them replaced.
std::vector<Limit> with(const std::vector<Limit>& changes) {
  auto limits = kDefault;
  for (const auto& change : changes)
    for (auto& limit : limits)
      if (limit.element == change.element && limit.charge == change.charge)
        limit.bonds = change.bonds;
  return limits;
}

}  // namespace

Constraints::Constraints() : Constraints(kDefault, kOthers) {}

Constraints::Constraints(std::vector<Limit> limits, int others)
    : limits_(std::move(limits)), others_(others) {}

const std::vector<std::string>& Constraints::presets() {
  static const std::vector<std::string> names{"default", "octet_rule", "hypervalent"};
  return names;
}

Constraints Constraints::preset(std::string_view name) {
  if (name == "default") return {};
  if (name == "octet_rule") return {with(kOctetRule), kOthers};
  if (name == "hypervalent") return {with(kHypervalent), kOthers};
  throw std::invalid_argument("no constraints are called \"" + std::string(name) +
                              "\"; there are default, octet_rule and hypervalent");
}

int Constraints::max_bonds(std::string_view element, int charge) const {
  for (const auto& limit : limits_)
    if (limit.charge == charge && limit.element == element) return limit.bonds;
  return others_;
}

Malformed::Malformed(std::size_t position, const std::string& what)
    : std::runtime_error("character " + std::to_string(position) + ": " + what),
      position_(position) {}

}  // namespace marginalia::selfies
