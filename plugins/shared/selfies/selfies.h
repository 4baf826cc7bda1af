/// \file
/// SELFIES 2.2: molecules as strings of tokens, every sequence of which is a molecule.
///
/// A token is an atom with the bond that leads to it ([C], [=N+1], [/C@@H1]), a branch ([Branch1],
/// [=Branch2]) or a ring closure ([Ring1], [-/Ring2]); the tokens after a branch or a ring say, in
/// base 16, how long it is. What an atom can bind is capped by constraints, so that no sequence is
/// wrong. Atoms keep the order they have in the SMILES.
/// Sources: Krenn, Haese, Nigam, Friederich and Aspuru-Guzik (2020), Mach. Learn.: Sci. Technol. 1,
/// 045024; Lo et al. (2023), Digital Discovery 2, 897. The strings are those of the reference
/// implementation, version 2.2.0.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace marginalia::selfies {

/// The input is not a molecule that can be translated; what() begins with where and says why.
class Malformed : public std::runtime_error {
 public:
  /// position: of the first character concerned, counted from 1.
  Malformed(std::size_t position, const std::string& what);
  std::size_t position() const { return position_; }

 private:
  std::size_t position_;
};

/// How many bonds an atom of one kind can make, its hydrogens included.
struct Limit {
  std::string element;
  int charge = 0;
  int bonds = 0;
};

/// What every kind of atom can bind.
class Constraints {
 public:
  Constraints();  ///< the preset "default"
  Constraints(std::vector<Limit> limits, int others);

  /// "default"; "octet_rule" (S and P obey it); "hypervalent" (Cl, Br, I and N exceed it).
  /// Throws std::invalid_argument, naming the presets, for another name.
  static Constraints preset(std::string_view name);
  static const std::vector<std::string>& presets();

  int max_bonds(std::string_view element, int charge) const;

 private:
  std::vector<Limit> limits_;
  int others_ = 8;
};

/// SMILES to SELFIES. Aromatic bonds become single and double ones. Throws Malformed where the
/// SMILES is wrong, has no Kekule structure, or exceeds the constraints.
std::string encode(std::string_view smiles, const Constraints& constraints = {});

/// SELFIES to SMILES. Only what is not a token, or no known one, is refused (Malformed).
/// compatible: tokens of version 1 are read as `modernise` writes them; else they are refused.
std::string decode(std::string_view selfies, const Constraints& constraints = {},
                   bool compatible = false);

/// A text with each token of SELFIES 1 in it as version 2 has it, as the reference implementation
/// reads it where it is told to be compatible: [Branch1_2] becomes [=Branch1], [Expl=Ring1]
/// [=Ring1], [C@@Hexpl] [C@@H1]. All else stays as it is, gaps and faults too.
std::string modernise(std::string_view text);
/// Throws Malformed at the first token of SELFIES 1.
void refuse_version_1(std::string_view text);

/// The tokens of a SELFIES in order; "." between molecules is one of them. Throws Malformed for
/// text outside of brackets. The views are into `selfies`.
std::vector<std::string_view> split(std::string_view selfies);

/// Whether a text is written as a SMILES that SELFIES can express; its valences are not looked at.
bool is_smiles(std::string_view text);
/// Whether a text begins with a token, and nothing but tokens and dots follows, known or not.
bool is_selfies(std::string_view text);

}  // namespace marginalia::selfies
