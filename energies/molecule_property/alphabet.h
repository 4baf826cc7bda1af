/// \file
/// The tokens that states are made of.
#pragma once

#include <string>
#include <vector>

#include <marginalia/text_file.h>

#include "shared/selfies/selfies.h"

namespace marginalia::molecule_property {

/// A token, and where it stands: "alphabet[3]" or "FILE:LINE".
struct Token {
  std::string text, where;
};

std::vector<Token> to_tokens(const std::vector<std::string>& alphabet);
/// The first word of each line, or of its first column; a first line that begins with "token" is a
/// header. Of SELFIES lines that begin with # are comments; of SMILES # is a bond, and a line of
/// words behind it is refused. Throws SpecError.
std::vector<Token> read_tokens(const TextFile& file, bool is_selfies);

/// The texts sorted by bytes, then the padding: the alphabet of the dataset `molecules`. Throws
/// SpecError, saying where, for a token that stands twice, holds blanks, or (constraints given) is
/// none of SELFIES; and where there is none.
std::vector<std::string> checked_alphabet(const std::vector<Token>& tokens,
                                          const std::string& padding,
                                          const selfies::Constraints* constraints);

}  // namespace marginalia::molecule_property
