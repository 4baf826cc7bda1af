#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/energy.h>
#include <marginalia/files.h>

#include "marginalia_test.h"
#include "shared/chemistry/chemistry.h"
#include "shared/selfies/selfies.h"

namespace marginalia::test {

inline std::shared_ptr<Energy> property_energy(const std::string& rest) {
  return test::make<Energy>(R"({"type": "molecule_property", )" + rest + "}");
}

/// A row for each text: its tokens, then padding.
inline Tensor token_rows(const StateSpace& space,
                         const std::vector<std::vector<std::string>>& texts) {
  std::map<std::string, std::int64_t> levels;
  for (std::size_t k = 0; k < space.alphabet.size(); ++k)
    levels[space.alphabet[k]] = std::int64_t(k);
  auto x = torch::full({std::int64_t(texts.size()), space.dimension()}, space.levels() - 1,
                       torch::kLong);
  auto row = x.accessor<std::int64_t, 2>();
  for (std::size_t b = 0; b < texts.size(); ++b)
    for (std::size_t i = 0; i < texts[b].size(); ++i)
      row[std::int64_t(b)][std::int64_t(i)] = levels.at(texts[b][i]);
  return x;
}
inline Tensor selfies_rows(const StateSpace& space, const std::vector<std::string>& texts) {
  std::vector<std::vector<std::string>> tokens;
  for (const auto& text : texts) {
    const auto views = selfies::split(text);
    tokens.emplace_back(views.begin(), views.end());
  }
  return token_rows(space, tokens);
}

/// An energy over the characters of these SMILES, and a row for each of them.
inline std::pair<std::shared_ptr<Energy>, Tensor> written(const std::vector<std::string>& smiles,
                                                          const std::string& rest) {
  std::set<std::string> alphabet;
  std::vector<std::vector<std::string>> texts;
  for (const auto& text : smiles) {
    texts.emplace_back();
    for (const char c : text)
      texts.back().emplace_back(1, c);
    alphabet.insert(texts.back().begin(), texts.back().end());
  }
  const auto longest = std::ranges::max(smiles, {}, &std::string::size).size();
  const auto energy =
      property_energy(fmt::format(R"("representation": "smiles", "length": {}, {}, )"
                                  R"("alphabet": {})",
                                  longest, rest, nlohmann::json(alphabet).dump()));
  return {energy, token_rows(energy->space(), texts)};
}

inline std::string scored(const std::string& property, const std::filesystem::path& fragments) {
  return fmt::format(R"("property": "{}", "fragments": "{}")", property, fragments.string());
}

/// logP, QED, SA score and weight by RDKit's own functions; NaN where it refuses the molecule.
inline Tensor properties_by_rdkit(const std::string& smiles,
                                  const chemistry::FragmentScores& scores) {
  try {
    const auto p = chemistry::compute_properties(chemistry::Molecule(smiles), scores);
    return torch::tensor({p.log_p, p.qed, p.accessibility, p.weight}, torch::kDouble);
  } catch (const chemistry::Unreadable&) {
    return torch::full({4}, NAN, torch::kDouble);
  }
}

/// How many of these the energy and RDKit's own functions differ on, in any property.
inline std::int64_t count_different(const std::set<std::string>& distinct,
                                    const std::filesystem::path& fragments) {
  const std::vector<std::string> smiles(distinct.begin(), distinct.end());
  const chemistry::FragmentScores scores(read_unpacked(fragments));
  std::vector<Tensor> expected, got;
  for (const auto& text : smiles)
    expected.push_back(properties_by_rdkit(text, scores));
  for (const auto* property : {"logp", "qed", "sa", "weight"}) {
    const auto [energy, x] = written(smiles, scored(property, fragments));
    got.push_back(energy->readable()->raw_score(x));
  }
  const auto same = torch::isclose(torch::stack(got, 1), torch::stack(expected), 0, 1e-9, true);
  const auto different = same.all(1).logical_not().nonzero().flatten();
  for (std::int64_t i = 0; i < std::min<std::int64_t>(5, different.numel()); ++i)
    MESSAGE("differs: ", smiles[std::size_t(different[i].item<std::int64_t>())]);
  return different.numel();
}

inline std::vector<std::string> column(const std::filesystem::path& file, std::size_t index,
                                       std::size_t every) {
  std::vector<std::string> cells;
  std::istringstream lines(read_unpacked(file));
  std::string line, cell;
  for (std::size_t number = 0; std::getline(lines, line); ++number) {
    if (number % every != 1 % every) continue;
    std::istringstream words(line);
    for (std::size_t i = 0; i <= index; ++i)
      std::getline(words, cell, '\t');
    if (!cell.empty()) cells.push_back(cell);
  }
  return cells;
}

}  // namespace marginalia::test
