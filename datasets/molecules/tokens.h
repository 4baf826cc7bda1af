/// \file
/// Molecules as rows of small integers.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace marginalia::molecules {

/// Texts cut into tokens: each token a level, the padding the last one.
struct Rows {
  std::vector<std::string> alphabet;  ///< sorted by bytes, then the padding
  std::int64_t longest = 0;           ///< tokens of the longest row
  std::vector<std::string> codes;     ///< levels of each row, a byte each; empty where `faults`
  std::vector<std::string> faults;    ///< why a row is none; empty where it is one
};

/// The tokens of one text; throws std::exception, saying why, where it is not a molecule.
using Tokenise = std::function<std::vector<std::string>(std::string_view)>;

/// Cuts all texts, on all cores. Tokens equal to `padding` are dropped. Throws SpecError where
/// there are more tokens than a byte can tell apart.
Rows tokenise(const std::vector<std::string_view>& texts, const std::string& padding,
              const Tokenise& cut);

}  // namespace marginalia::molecules
