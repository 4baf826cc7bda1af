/// \file
/// The tokens of SELFIES.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "molecule.h"

namespace marginalia::selfies {

/// [C], [=N+1], [\O], ...: an atom and the bond that leads to it.
struct AtomToken {
  double order = 1;
  char stereo = 0;
  Atom atom;
};

/// [Branch2], [=Branch1], ...
struct BranchToken {
  int order = 1;
  int digits = 1;  ///< tokens that follow and say the length
};

/// [Ring1], [=Ring2], [-/Ring1], ...
struct RingToken {
  int order = 1;
  int digits = 1;
  char left = 0, right = 0;  ///< stereo at the atom closed to, and at the one that closes
};

/// Each is empty where `token` is none of its kind.
std::optional<AtomToken> read_atom_token(std::string_view token);
std::optional<BranchToken> read_branch_token(std::string_view token);
std::optional<RingToken> read_ring_token(std::string_view token);

/// The token of version 2 for one of version 1; empty where `token` is none of version 1.
std::string modern_token(std::string_view token);
/// Whether a text can hold tokens of version 1 at all: quickly, and sometimes wrongly, yes.
bool may_hold_version_1(std::string_view text);
/// Why a token of version 1 is refused.
std::string version_1_fault(std::string_view token);

inline constexpr int kMaxDigits = 3;
inline constexpr int kBase = 16;
inline constexpr int kLongest = kBase * kBase * kBase;  // of a branch, or across a ring

/// The value of a token as a digit; those that are no digits count as 0.
int parse_digit(std::string_view token);
/// The tokens of a number below kLongest, most significant first; 0 has one.
std::vector<std::string_view> to_digits(int number);

}  // namespace marginalia::selfies
