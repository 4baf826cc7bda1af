/// \file
/// A molecule to SMILES, its atoms in the order they have.
#include <algorithm>
#include <map>
#include <utility>

#include "molecule.h"

namespace marginalia::selfies {

namespace {

class Writer {
 public:
  explicit Writer(const Molecule& molecule) : molecule_(molecule) {}

  std::string write() {
    for (const int root : molecule_.roots) {
      if (root != molecule_.roots.front()) text_ += '.';
      write_part(root);
    }
    return std::move(text_);
  }

 private:
  struct Visit {
    int atom;
    std::size_t next = 0;    ///< of its bonds
    bool in_branch = false;  ///< whether ")" ends it
  };

  void write_part(int root) {
    enter({root});
    while (!stack_.empty()) {
      auto& visit = stack_.back();
      const auto& bonds = molecule_.bonds[visit.atom];
      if (visit.next == bonds.size()) {
        if (visit.in_branch) text_ += ')';
        stack_.pop_back();
        continue;
      }
      const auto& bond = bonds[visit.next++];
      const bool last = visit.next == bonds.size();
      if (!bond.ring && !last) text_ += '(';
      text_ += to_text(bond);
      if (bond.ring)
        write_ring_number(visit.atom, bond.to);
      else
        enter({bond.to, 0, !last});
    }
  }

  void enter(const Visit& visit) {
    text_ += to_text(molecule_.atoms[visit.atom], true);
    stack_.push_back(visit);
  }

  /// Numbers count up in the order in which rings are first met; none is used twice. Above 99 they
  /// stand in brackets, without which %100 would be read as %10 and 0.
  void write_ring_number(int a, int b) {
    const auto number = rings_.try_emplace(std::minmax(a, b), rings_.size() + 1).first->second;
    const auto digits = std::to_string(number);
    if (number > 99)
      text_ += "%(" + digits + ")";
    else
      text_ += (number > 9 ? "%" : "") + digits;
  }

  const Molecule& molecule_;
  std::string text_;
  std::vector<Visit> stack_;
  std::map<std::pair<int, int>, std::size_t> rings_;
};

}  // namespace

std::string write_smiles(const Molecule& molecule) {
  return Writer(molecule).write();
}

}  // namespace marginalia::selfies
