/// \file
/// SELFIES to a molecule.
///
/// Each chain has a state, the number of bonds that its last atom can still make; 0 before the
/// first atom. An atom token binds with at most that many. Rings are gathered first and closed at
/// the end, where both atoms have bonds left.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <utility>

#include "grammar.h"

namespace marginalia::selfies {

namespace {

constexpr std::string_view kNothing = "[nop]";  // padding; means nothing
constexpr int kEnded = -1;

class Decoder {
 public:
  Decoder(std::string_view selfies, const Constraints& constraints, bool compatible)
      : selfies_(selfies), constraints_(constraints), compatible_(compatible) {}

  std::string decode() {
    auto tokens = split(selfies_);
    std::erase(tokens, kNothing);
    if (may_hold_version_1(selfies_)) replace_version_1(tokens);
    for (auto from = tokens.begin();; ++from) {
      const auto dot = std::find(from, tokens.end(), ".");
      tokens_.assign(from, dot);
      decode_part();
      from = dot;
      if (dot == tokens.end()) break;
    }
    close_rings();
    return write_smiles(molecule_);
  }

 private:
  /// A chain that is being read; branches are further ones above it on the stack.
  struct Chain {
    int state = 0;  ///< bonds that `last` can still make, or kEnded
    int last = -1;  ///< atom
    std::int64_t most = std::numeric_limits<std::int64_t>::max();  ///< tokens it consists of
    std::int64_t taken = 0;
    int digits = 0;  ///< tokens that said its length
  };
  struct Ring {
    int left, right;
    RingToken token;
  };
  struct Replaced {
    std::string modern;
    std::string_view written;
  };

  /// A token of version 1, wherever it stands: as a digit or behind the end of its chain as well.
  void replace_version_1(std::vector<std::string_view>& tokens) {
    for (auto& token : tokens) {
      auto modern = modern_token(token);
      if (modern.empty()) continue;
      if (!compatible_) refuse(token, version_1_fault(token));
      token = replaced_.emplace_back(Replaced{std::move(modern), token}).modern;
    }
  }

  void decode_part() {
    at_ = 0;
    stack_.assign(1, Chain());
    while (!stack_.empty()) {
      auto& chain = stack_.back();
      if (chain.state != kEnded && chain.taken < chain.most && at_ < tokens_.size())
        read(chain);
      else
        end_chain();
    }
  }

  /// What is left of a chain that can bind no more is passed over.
  void end_chain() {
    auto ended = stack_.back();
    stack_.pop_back();
    const auto left = static_cast<std::int64_t>(tokens_.size() - at_);
    const auto over = std::clamp<std::int64_t>(ended.most - ended.taken, 0, left);
    at_ += static_cast<std::size_t>(over);
    if (!stack_.empty()) stack_.back().taken += ended.taken + over + ended.digits;
  }

  /// Takes one token; `chain` is not valid after it.
  void read(Chain& chain) {
    const auto token = tokens_[at_++];
    ++chain.taken;
    const auto kind = token.size() < 4 ? "" : token.substr(token.size() - 4, 2);
    if (kind == "ch")
      read_branch(chain, known(read_branch_token(token), token));
    else if (kind == "ng")
      read_ring(chain, known(read_ring_token(token), token));
    else if (token.find("eps") != token.npos)
      chain.state = chain.state == 0 ? 0 : kEnded;
    else
      read_atom(chain, known(read_atom_token(token), token), token);
  }

  template <class T>
  T known(const std::optional<T>& read, std::string_view token) const {
    if (!read) refuse(token, "is not a token of SELFIES 2");
    return *read;
  }

  void read_branch(Chain& chain, const BranchToken& token) {
    if (chain.state <= 1) return;  // no bond would be left for what follows the branch
    const int order = std::min(chain.state - 1, token.order);
    chain.state -= order;
    const auto length = read_number(token.digits);
    stack_.push_back({order, chain.last, length + 1, 0, token.digits});
  }

  void read_ring(Chain& chain, const RingToken& token) {
    if (chain.state == 0) return;
    auto ring = token;
    ring.order = std::min(token.order, chain.state);
    chain.state -= ring.order;
    const auto length = read_number(token.digits);
    chain.taken += token.digits;
    rings_.push_back({std::max(0, chain.last - length - 1), chain.last, ring});
    if (chain.state == 0) chain.state = kEnded;
  }

  void read_atom(Chain& chain, const AtomToken& token, std::string_view text) {
    const int most = free_bonds(token.atom, constraints_);
    if (most < 0) refuse(text, hydrogen_fault(token.atom, constraints_));
    const int order = std::min({static_cast<int>(token.order), chain.state, most});
    if (chain.state == 0) {
      chain.last = molecule_.add_atom(token.atom, true);
    } else if (order > 0) {
      const int atom = molecule_.add_atom(token.atom, false);
      molecule_.add_bond(chain.last, atom, order, token.stereo);
      chain.last = atom;
    }
    chain.state = most == order ? kEnded : most - order;
  }

  /// The number that the next tokens say; those that are missing count as 0.
  int read_number(int digits) {
    int number = 0;
    for (; digits > 0; --digits)
      number = kBase * number + (at_ < tokens_.size() ? parse_digit(tokens_[at_++]) : 0);
    return number;
  }

  void close_rings() {
    std::vector<int> closed(molecule_.atoms.size(), 0);
    for (const auto& ring : rings_) {
      const int a = ring.left, b = ring.right;
      const int order = std::min({ring.token.order, left_at(a), left_at(b)});
      if (a == b || order <= 0) continue;
      if (const auto* bond = molecule_.bond_between(a, b))
        molecule_.set_order(a, b, std::min(order + bond->order, 3.0));
      else
        molecule_.insert_ring(a, closed[a]++, ring.token.left, b, closed[b]++, ring.token.right,
                              order);
    }
  }

  int left_at(int atom) const {
    return free_bonds(molecule_.atoms[atom], constraints_) -
           static_cast<int>(molecule_.order_sum[atom]);
  }

  [[noreturn]] void refuse(std::string_view token, const std::string& why) const {
    for (const auto& [modern, written] : replaced_)
      if (token.data() == modern.data()) token = written;
    throw Malformed(static_cast<std::size_t>(token.data() - selfies_.data()) + 1,
                    "\"" + std::string(token) + "\" " + why);
  }

  std::string_view selfies_;
  const Constraints& constraints_;
  bool compatible_;
  std::deque<Replaced> replaced_;  // which tokens_ point into
  Molecule molecule_;
  std::vector<std::string_view> tokens_;  // of the part that is being read
  std::size_t at_ = 0;
  std::vector<Chain> stack_;
  std::vector<Ring> rings_;
};

}  // namespace

std::vector<std::string_view> split(std::string_view selfies) {
  std::vector<std::string_view> tokens;
  for (std::size_t at = 0; at < selfies.size();) {
    std::size_t size = 1;
    if (selfies[at] == '[')
      size = std::min(selfies.find(']', at), selfies.size()) + 1 - at;
    else if (selfies[at] != '.')
      throw Malformed(at + 1, "\"" + std::string(1, selfies[at]) +
                                  "\" stands outside of brackets; tokens are [...], and \".\" "
                                  "between molecules");
    if (at + size > selfies.size()) throw Malformed(at + 1, "\"[\" is never closed by \"]\"");
    tokens.push_back(selfies.substr(at, size));
    at += size;
  }
  return tokens;
}

bool is_selfies(std::string_view text) {
  try {
    return text.starts_with('[') && !split(text).empty();
  } catch (const Malformed&) {
    return false;
  }
}

std::string decode(std::string_view selfies, const Constraints& constraints, bool compatible) {
  return Decoder(selfies, constraints, compatible).decode();
}

}  // namespace marginalia::selfies
