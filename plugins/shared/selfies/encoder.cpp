/// \file
/// A molecule to SELFIES.
#include <algorithm>
#include <utility>

#include "grammar.h"

namespace marginalia::selfies {

namespace {

/// Why an atom cannot make so many bonds.
std::string bond_fault(const Atom& atom, int bonds, const Constraints& constraints) {
  const int most = free_bonds(atom, constraints);
  if (most < 0) return hydrogen_fault(atom, constraints);
  return "makes " + std::to_string(bonds) + " bonds" +
         (atom.hydrogens > 0 ? " beside those to its hydrogens" : "") +
         ", but the constraints allow it " + std::to_string(most);
}

void check_constraints(const Molecule& molecule, const Constraints& constraints) {
  for (int i = 0; i < molecule.size(); ++i) {
    const auto& atom = molecule.atoms[i];
    const int bonds = static_cast<int>(molecule.order_sum[i]);
    if (bonds > free_bonds(atom, constraints))
      throw Malformed(atom.position,
                      to_text(atom, true) + " " + bond_fault(atom, bonds, constraints));
  }
}

/// Whether the bonds of an atom, as SMILES writes them and as the decoder will write them (ring
/// closures first: those that end here, then those that begin here by their other end), are an odd
/// number of swaps apart. Then @ turns into @@ and back.
bool is_reordered_oddly(const std::vector<Bond>& bonds, int atom) {
  struct Place {
    int group, order;  ///< 0: ring ends here, 1: ring begins here, 2: other bonds
  };
  std::vector<Place> places;
  for (std::size_t i = 0; i < bonds.size(); ++i) {
    const auto& bond = bonds[i];
    const int group = !bond.ring ? 2 : atom < bond.to ? 1 : 0;
    places.push_back({group, group == 1 ? bond.to : static_cast<int>(i)});
  }
  int swaps = 0;
  for (std::size_t i = 0; i < places.size(); ++i)
    for (std::size_t j = i + 1; j < places.size(); ++j)
      if (std::pair(places[j].group, places[j].order) < std::pair(places[i].group, places[i].order))
        ++swaps;
  return swaps % 2 != 0;
}

void turn_chirality(Molecule& molecule) {
  for (int i = 0; i < molecule.size(); ++i) {
    auto& atom = molecule.atoms[i];
    if (atom.chirality == 0) continue;
    const auto& bonds = molecule.bonds[i];
    if (std::ranges::any_of(bonds, &Bond::ring) && is_reordered_oddly(bonds, i))
      atom.chirality = 3 - atom.chirality;
  }
}

/// Text of tokens, and how many.
struct TokenText {
  std::string text;
  int count = 0;
  void add(std::string_view before, std::string_view inside) {
    text += '[';
    text += before;
    text += inside;
    text += ']';
    ++count;
  }
  void add_digits(const std::vector<std::string_view>& digits) {
    for (const auto digit : digits)
      text += digit;
    count += static_cast<int>(digits.size());
  }
  void append(const TokenText& tokens) {
    text += tokens.text;
    count += tokens.count;
  }
};

class Encoder {
 public:
  explicit Encoder(const Molecule& molecule) : molecule_(molecule) {}

  std::string encode() {
    std::string text;
    for (const int root : molecule_.roots) {
      if (root != molecule_.roots.front()) text += '.';
      text += encode_part(root);
    }
    return text;
  }

 private:
  /// A chain of atoms that is being written; branches are further ones above it on the stack.
  struct Chain {
    const Bond* from;  ///< the bond that leads to its first atom; null at a root
    int atom;
    std::size_t next = 0;  ///< of the atom's bonds
    TokenText tokens = {};
  };

  std::string encode_part(int root) {
    begin(nullptr, root);
    while (true) {
      auto& chain = stack_.back();
      const auto& bonds = molecule_.bonds[chain.atom];
      if (chain.next < bonds.size()) {
        follow(chain, bonds[chain.next++], bonds);
        continue;
      }
      const auto ended = std::move(chain);
      stack_.pop_back();
      if (stack_.empty()) return ended.tokens.text;
      add_branch(stack_.back(), ended);
    }
  }

  void begin(const Bond* from, int atom) {
    stack_.push_back({from, atom});
    add_atom(stack_.back(), from);
  }

  /// Takes one bond of the chain's atom; `chain` is not valid after it.
  void follow(Chain& chain, const Bond& bond, const std::vector<Bond>& all) {
    if (bond.ring) {
      if (bond.to < chain.atom) add_ring(chain, bond);
    } else if (chain.next == all.size()) {
      chain.atom = bond.to;
      chain.next = 0;
      add_atom(chain, &bond);
    } else {
      begin(&bond, bond.to);
    }
  }

  void add_atom(Chain& chain, const Bond* from) const {
    chain.tokens.add(from ? to_text(*from) : "", to_text(molecule_.atoms[chain.atom], false));
  }

  void add_branch(Chain& chain, const Chain& branch) const {
    const auto& atom = molecule_.atoms[chain.atom];
    const auto digits = digits_of_length(branch.tokens.count - 1, "a branch", atom);
    const auto bond = branch.from->order == 1 ? "" : to_text(*branch.from);
    chain.tokens.add(bond, "Branch" + std::to_string(digits.size()));
    chain.tokens.add_digits(digits);
    chain.tokens.append(branch.tokens);
  }

  void add_ring(Chain& chain, const Bond& bond) const {
    const auto& atom = molecule_.atoms[chain.atom];
    const auto digits = digits_of_length(chain.atom - bond.to - 1, "a ring", atom);
    chain.tokens.add(ring_sign(*molecule_.bond_between(chain.atom, bond.to), bond),
                     "Ring" + std::to_string(digits.size()));
    chain.tokens.add_digits(digits);
  }

  static std::string ring_sign(const Bond& left, const Bond& right) {
    if (left.order != 1) return std::string(to_text(left));
    if (left.stereo == 0 && right.stereo == 0) return "";
    return {left.stereo == 0 ? '-' : left.stereo, right.stereo == 0 ? '-' : right.stereo};
  }

  static std::vector<std::string_view> digits_of_length(int length, const char* what,
                                                        const Atom& atom) {
    if (length < kLongest) return to_digits(length);
    throw Malformed(atom.position, std::string(what) + " here is " + std::to_string(length + 1) +
                                       " long; SELFIES can express " + std::to_string(kLongest));
  }

  const Molecule& molecule_;
  std::vector<Chain> stack_;
};

}  // namespace

std::string encode(std::string_view smiles, const Constraints& constraints) {
  auto molecule = read_smiles(smiles);
  kekulize(molecule);
  check_constraints(molecule, constraints);
  turn_chirality(molecule);
  return Encoder(molecule).encode();
}

}  // namespace marginalia::selfies
