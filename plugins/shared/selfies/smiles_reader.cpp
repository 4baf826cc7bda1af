/// \file
/// SMILES to a molecule.
#include <algorithm>
#include <optional>
#include <utility>

#include "digits.h"
#include "molecule.h"

namespace marginalia::selfies {

namespace {

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_letter(char c) {
  return is_lower(c) || (c >= 'A' && c <= 'Z');
}
bool is_stereo(char c) {
  return c == '/' || c == '\\';
}

/// The order a bond's character names; `none` where there is no character.
double order_named(char c, double none = 1) {
  switch (c) {
    case 0:
      return none;
    case '=':
      return 2;
    case '#':
      return 3;
    case ':':
      return kAromaticOrder;
    default:
      return 1;
  }
}

enum class Kind { kAtom, kBranch, kRing, kDot };

/// A symbol of a SMILES with the bond written before it.
struct Token {
  Kind kind;
  char bond = 0;         ///< 0: none is written
  std::size_t position;  ///< of the symbol, from 1
  std::string_view text;
};

/// The symbols of a SMILES one by one.
class SmilesTokens {
 public:
  explicit SmilesTokens(std::string_view smiles) : smiles_(smiles) {}

  std::optional<Token> next() {
    if (at_ == smiles_.size()) return {};
    if (smiles_[at_] == '.') return take(Kind::kDot, 0, 1);
    const char bond = is_bond(smiles_[at_]) ? smiles_[at_++] : char(0);
    if (at_ == smiles_.size()) fail(at_, "nothing follows the last bond; an atom must");
    const char c = smiles_[at_];
    if (is_letter(c)) return take(Kind::kAtom, bond, two_letters() ? 2 : 1);
    if (c == '[') return take(Kind::kAtom, bond, bracket_size());
    if (is_digit(c)) return take(Kind::kRing, bond, 1);
    if (c == '%') return take(Kind::kRing, bond, ring_size());
    if (c != '(' && c != ')')
      fail(at_ + 1,
           "\"" + std::string(1, c) + "\" is not a symbol of SMILES that SELFIES can express");
    if (bond != 0)
      fail(at_, "a bond stands before \"" + std::string(1, c) +
                    "\"; an atom or a "
                    "ring number must follow it");
    return take(Kind::kBranch, 0, 1);
  }

 private:
  [[noreturn]] static void fail(std::size_t position, const std::string& what) {
    throw Malformed(position, what);
  }
  static bool is_bond(char c) {
    return std::string_view("-/\\:=#").find(c) != std::string_view::npos;
  }
  bool two_letters() const {
    const auto pair = smiles_.substr(at_, 2);
    return pair == "Br" || pair == "Cl";
  }
  std::size_t bracket_size() const {
    const auto end = smiles_.find(']', at_);
    if (end == smiles_.npos) fail(at_ + 1, "\"[\" is never closed by \"]\"");
    return end + 1 - at_;
  }
  std::size_t ring_size() const {
    auto rest = smiles_.substr(at_ + 1);
    const bool bracket = rest.starts_with('(');
    if (bracket) rest.remove_prefix(1);
    const auto end = std::ranges::find_if_not(rest, is_digit);
    const auto digits = static_cast<std::size_t>(end - rest.begin());
    if (!bracket && digits >= 2) return 3;
    if (bracket && digits >= 1 && digits <= 5 && end != rest.end() && *end == ')')
      return digits + 3;
    fail(at_ + 1,
         "two digits must follow \"%\", as in %12, or one to five in brackets, as in %(123)");
  }
  Token take(Kind kind, char bond, std::size_t size) {
    const Token token{kind, bond, at_ + 1, smiles_.substr(at_, size)};
    at_ += size;
    return token;
  }

  std::string_view smiles_;
  std::size_t at_ = 0;
};

/// The inside of [...]: isotope, element, chirality, hydrogens, charge, class.
class BracketAtom {
 public:
  /// -> nothing where the text is not an atom.
  static std::optional<Atom> read(std::string_view inside) {
    BracketAtom reader(inside);
    Atom atom;
    if (!reader.read_isotope(atom) || !reader.read_element(atom)) return {};
    reader.read_chirality(atom);
    reader.read_hydrogens(atom);
    if (!reader.read_charge(atom) || !reader.skip_class() || !reader.rest_.empty()) return {};
    return atom;
  }

 private:
  explicit BracketAtom(std::string_view inside) : rest_(inside) {}

  bool starts(char c) const { return !rest_.empty() && rest_.front() == c; }
  bool take(char c) {
    if (!starts(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string_view take_digits() {
    const auto end = std::ranges::find_if_not(rest_, is_digit);
    const auto digits = rest_.substr(0, static_cast<std::size_t>(end - rest_.begin()));
    rest_.remove_prefix(digits.size());
    return digits;
  }
  static std::int64_t number(std::string_view digits) {
    std::int64_t value = 0;
    for (const char c : digits)
      value = 10 * value + (c - '0');
    return value;
  }

  bool read_isotope(Atom& atom) {
    const auto digits = take_digits();
    if (!digits.empty()) atom.isotope = number(digits.substr(0, kMaxNumberDigits));
    return digits.size() <= kMaxNumberDigits;
  }
  /// Lower case is aromatic where the element can be; [cl] is chlorine all the same.
  bool read_element(Atom& atom) {
    if (rest_.empty() || !is_letter(rest_.front())) return false;
    const bool small = is_lower(rest_.front());
    std::string name(1, small ? static_cast<char>(rest_.front() - 'a' + 'A') : rest_.front());
    rest_.remove_prefix(1);
    if (!rest_.empty() && is_lower(rest_.front())) {
      name += rest_.front();
      rest_.remove_prefix(1);
    }
    atom.element = element_named(name);
    atom.aromatic = small && can_be_aromatic(name);
    return !atom.element.empty();
  }
  void read_chirality(Atom& atom) {
    while (atom.chirality < 2 && take('@'))
      ++atom.chirality;
  }
  void read_hydrogens(Atom& atom) {
    atom.hydrogens = take('H') ? 1 : 0;
    if (atom.hydrogens == 0 || rest_.empty() || !is_digit(rest_.front())) return;
    atom.hydrogens = rest_.front() - '0';
    rest_.remove_prefix(1);
  }
  bool read_charge(Atom& atom) {
    if (!starts('+') && !starts('-')) return true;
    const char sign = rest_.front();
    int size = 0;
    while (take(sign))
      ++size;
    const auto digits = size == 1 ? take_digits() : std::string_view();
    if (digits.size() > kMaxNumberDigits) return false;
    if (!digits.empty()) size = static_cast<int>(number(digits));
    atom.charge = sign == '+' ? size : -size;
    return true;
  }
  bool skip_class() { return !take(':') || !take_digits().empty(); }

  std::string_view rest_;
};

int ring_number(std::string_view text) {
  int number = 0;
  for (const char c : text)
    if (is_digit(c)) number = 10 * number + (c - '0');
  return number;
}

std::optional<Atom> bare_atom(std::string_view symbol) {
  Atom atom;
  if (is_organic(symbol)) {
    atom.element = element_named(symbol);
    return atom;
  }
  const std::string name(1, static_cast<char>(symbol.front() - 'a' + 'A'));
  if (!is_lower(symbol.front()) || !can_be_aromatic(name)) return {};
  atom.element = element_named(name);
  atom.aromatic = true;
  return atom;
}

Atom read_atom(const Token& token) {
  const bool bracket = token.text.front() == '[';
  auto atom = bracket ? read_bracket_atom(token.text.substr(1, token.text.size() - 2))
                      : bare_atom(token.text);
  if (!atom)
    throw Malformed(token.position, "\"" + std::string(token.text) +
                                        "\" is not an atom that SELFIES can express; " +
                                        (bracket ? "the order is isotope, element, @ or @@, H, "
                                                   "charge, class, as in [13C@@H2+1:3]"
                                                 : "without brackets there are B C N O S P F Cl Br "
                                                   "I and b c n o s p"));
  atom->position = token.position;
  return *atom;
}

/// One part of a SMILES, between dots.
class Part {
 public:
  Part(Molecule& molecule, SmilesTokens& tokens) : molecule_(molecule), tokens_(tokens) {}

  /// -> whether a dot ended it.
  bool read() {
    bool dot = false;
    while (const auto token = tokens_.next()) {
      last_ = token->position;
      dot = token->kind == Kind::kDot;
      if (dot) break;
      read(*token);
    }
    if (molecule_.atoms.empty()) fail(last_, "no atom stands before this");
    if (!branches_.empty()) fail(branches_.back().position, "\"(\" is never closed by \")\"");
    if (!open_.empty())
      fail(open_.back().token.position, "ring number " + std::string(open_.back().token.text) +
                                            " is opened here and never closed in this part");
    return dot;
  }

 private:
  struct Branch {
    std::size_t position;
    int atom;  ///< that it hangs on
  };
  struct OpenRing {
    Token token;
    int number;  ///< 1 may be written 1, %01 or %(1)
    int atom;
    int place;  ///< among the bonds of the atom
  };

  [[noreturn]] static void fail(std::size_t position, const std::string& what) {
    throw Malformed(position, what);
  }

  void read(const Token& token) {
    if (token.kind == Kind::kAtom) return attach(token);
    if (at_start_)
      fail(token.position, "\"" + std::string(token.text) + "\" stands where an atom must");
    if (token.kind == Kind::kRing) return ring(token);
    if (token.text == "(") {
      branches_.push_back({token.position, last_atom_});
      at_start_ = true;
      return;
    }
    if (branches_.empty()) fail(token.position, "\")\" closes no branch; there is no \"(\" for it");
    last_atom_ = branches_.back().atom;
    branches_.pop_back();
  }

  void attach(const Token& token) {
    const auto atom = read_atom(token);
    const int from = last_atom_;
    last_atom_ = molecule_.add_atom(atom, from < 0);
    at_start_ = false;
    if (from < 0) return;  // a bond before the first atom means nothing
    const bool aromatic = atom.aromatic && molecule_.atoms[from].aromatic;
    molecule_.add_bond(from, last_atom_, order_named(token.bond, aromatic ? kAromaticOrder : 1),
                       is_stereo(token.bond) ? token.bond : char(0));
  }

  void ring(const Token& token) {
    const int number = ring_number(token.text);
    const auto at = std::ranges::find(open_, number, &OpenRing::number);
    if (at == open_.end()) {
      open_.push_back({token, number, last_atom_, molecule_.reserve_ring(last_atom_)});
      return;
    }
    const auto opened = *at;
    open_.erase(at);
    close(opened, token);
  }

  void close(const OpenRing& opened, const Token& token) {
    const int a = opened.atom, b = last_atom_;
    const auto text = std::string(token.text);
    if (a == b) fail(token.position, "ring number " + text + " joins an atom to itself");
    if (molecule_.bond_between(a, b))
      fail(opened.token.position, "ring number " + text + " joins atoms that are bound already");
    const char left = opened.token.bond, right = token.bond;
    if (left != right && left != 0 && right != 0 && !(is_stereo(left) && is_stereo(right)))
      fail(opened.token.position,
           "ring number " + text + " is opened and closed by different bonds");
    const auto& atoms = molecule_.atoms;
    const bool aromatic = left == 0 && right == 0 && atoms[a].aromatic && atoms[b].aromatic;
    molecule_.close_ring(
        a, opened.place, is_stereo(left) ? left : char(0), b, is_stereo(right) ? right : char(0),
        aromatic ? kAromaticOrder : std::max(order_named(left), order_named(right)));
  }

  Molecule& molecule_;
  SmilesTokens& tokens_;
  std::vector<Branch> branches_;
  std::vector<OpenRing> open_;
  std::size_t last_ = 1;  // position of the last token
  int last_atom_ = -1;
  bool at_start_ = true;
};

}  // namespace

std::optional<Atom> read_bracket_atom(std::string_view inside) {
  return BracketAtom::read(inside);
}

bool is_smiles(std::string_view text) {
  try {
    read_smiles(text);
    return true;
  } catch (const Malformed&) {
    return false;
  }
}

Molecule read_smiles(std::string_view smiles) {
  if (smiles.empty()) throw Malformed(1, "the SMILES is empty; it needs one atom at least");
  Molecule molecule;
  molecule.atoms.reserve(smiles.size());
  SmilesTokens tokens(smiles);
  while (Part(molecule, tokens).read())
    ;
  return molecule;
}

}  // namespace marginalia::selfies
