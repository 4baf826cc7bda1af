#include "grammar.h"

#include <algorithm>

#include "digits.h"

namespace marginalia::selfies {

namespace {

constexpr std::array<std::string_view, kBase> kDigits{
    "[C]",       "[Ring1]",    "[Ring2]",    "[Branch1]", "[=Branch1]", "[#Branch1]",
    "[Branch2]", "[=Branch2]", "[#Branch2]", "[O]",       "[N]",        "[=N]",
    "[=C]",      "[#C]",       "[S]",        "[P]"};

int parse_order(char bond) {
  return bond == '=' ? 2 : bond == '#' ? 3 : 1;
}

/// Takes the text of a token apart from left to right.
class Scanner {
 public:
  explicit Scanner(std::string_view token) : rest_(token) {}

  bool done() const { return rest_.empty(); }
  /// The next character if it is one of these, which is then taken; else 0.
  char take(std::string_view these) {
    if (rest_.empty() || these.find(rest_.front()) == these.npos) return 0;
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  bool take_word(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  template <class Belongs>
  std::string_view take_while(Belongs belongs, std::size_t most) {
    std::size_t size = 0;
    while (size < std::min(most, rest_.size()) && belongs(rest_[size]))
      ++size;
    const auto taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  /// The end that branches and rings share: name, number of digits, "]". -> that number, or 0.
  int take_end(std::string_view name) {
    if (!take_word(name)) return 0;
    const char digits = take("123");
    return digits != 0 && rest_ == "]" ? digits - '0' : 0;
  }

 private:
  std::string_view rest_;
};

int number(std::string_view digits) {
  int value = 0;
  for (const char c : digits)
    value = 10 * value + (c - '0');
  return value;
}

/// Between the bond and "]": isotope, element, chirality, hydrogens, charge.
bool read_inside(Scanner& scan, Atom& atom) {
  const auto isotope = scan.take_while(is_digit, kMaxNumberDigits + 1);
  if (isotope.size() > kMaxNumberDigits) return false;
  if (!isotope.empty()) atom.isotope = number(isotope);
  std::string name(scan.take_while([](char c) { return c >= 'A' && c <= 'Z'; }, 1));
  name += scan.take_while([](char c) { return c >= 'a' && c <= 'z'; }, 1);
  atom.element = element_named(name);
  atom.chirality = static_cast<int>(scan.take_while([](char c) { return c == '@'; }, 2).size());
  if (scan.take_word("H")) {
    const auto hydrogens = scan.take_while(is_digit, 1);
    if (hydrogens.empty()) return false;
    atom.hydrogens = number(hydrogens);
  } else {
    atom.hydrogens = 0;
  }
  if (const char sign = scan.take("+-"); sign != 0) {
    const auto charge =
        scan.take_while([](char c) { return c > '0' && c <= '9'; }, kMaxNumberDigits);
    if (charge.empty()) return false;
    atom.charge = sign == '+' ? number(charge) : -number(charge);
  }
  return !atom.element.empty();
}

}  // namespace

std::optional<AtomToken> read_atom_token(std::string_view token) {
  Scanner scan(token);
  if (!scan.take_word("[")) return {};
  const char bond = scan.take("=#/\\");
  AtomToken read{
      static_cast<double>(parse_order(bond)), bond == '/' || bond == '\\' ? bond : char(0), {}};
  const auto inside = token.substr(bond == 0 ? 1 : 2);
  if (inside.ends_with("]") && is_organic(inside.substr(0, inside.size() - 1))) {
    read.atom.element = element_named(inside.substr(0, inside.size() - 1));
    return read;
  }
  if (!read_inside(scan, read.atom) || !scan.take_word("]") || !scan.done()) return {};
  return read;
}

std::optional<BranchToken> read_branch_token(std::string_view token) {
  Scanner scan(token);
  if (!scan.take_word("[")) return {};
  const int order = parse_order(scan.take("=#"));
  const int digits = scan.take_end("Branch");
  if (digits == 0) return {};
  return BranchToken{order, digits};
}

std::optional<RingToken> read_ring_token(std::string_view token) {
  Scanner scan(token);
  if (!scan.take_word("[")) return {};
  RingToken read{parse_order(scan.take("=#"))};
  if (read.order == 1) {  // [=Ring1] has one sign; of [-/Ring1] there are two
    read.left = scan.take("-/\\");
    read.right = read.left == 0 ? char(0) : scan.take("-/\\");
    if (read.left != 0 && read.right == 0) return {};
    if (read.left == '-' && read.right == '-') return {};
  }
  read.digits = scan.take_end("Ring");
  if (read.digits == 0) return {};
  for (char* stereo : {&read.left, &read.right})
    if (*stereo == '-') *stereo = 0;
  return read;
}

int parse_digit(std::string_view token) {
  const auto at = std::ranges::find(kDigits, token);
  return at == kDigits.end() ? 0 : static_cast<int>(at - kDigits.begin());
}

std::vector<std::string_view> to_digits(int number) {
  std::vector<std::string_view> digits;
  do {
    digits.push_back(kDigits[number % kBase]);
    number /= kBase;
  } while (number > 0);
  std::ranges::reverse(digits);
  return digits;
}

}  // namespace marginalia::selfies
