/// \file
/// Tokens of SELFIES 1, which had [Branch1_2] for [=Branch1], [Expl=Ring1] for [=Ring1] and
/// [C+expl] for [C+1].
#include "grammar.h"

namespace marginalia::selfies {

namespace {

bool is_one_to_three(char c) {
  return c >= '1' && c <= '3';
}

/// Behind "[Branch": the digits that say its length, and its order.
std::string modern_branch(std::string_view rest) {
  if (rest.size() != 4 || !is_one_to_three(rest[0]) || rest[1] != '_' || !is_one_to_three(rest[2]))
    return {};
  constexpr std::string_view kBonds[]{"", "=", "#"};
  return "[" + std::string(kBonds[rest[2] - '1']) + "Branch" + rest[0] + "]";
}

/// Behind "[Expl": a bond, written twice today where it tells of stereo, and "Ring".
std::string modern_ring(std::string_view rest) {
  if (rest.size() != 7 || rest.substr(1, 4) != "Ring" || !is_one_to_three(rest[5])) return {};
  const char bond = rest[0];
  const std::string end(rest.substr(1));
  if (bond == '=' || bond == '#') return std::string("[") + bond + end;
  if (bond == '/' || bond == '\\') return std::string("[") + bond + bond + end;
  return {};
}

/// Before "expl]": a bond and an atom as SMILES has it between brackets.
std::string modern_atom(std::string_view inside) {
  const bool has_bond =
      !inside.empty() && std::string_view("=#/\\").find(inside[0]) != std::string_view::npos;
  const auto atom = read_bracket_atom(inside.substr(has_bond ? 1 : 0));
  if (!atom || atom->aromatic) return {};
  return "[" + std::string(inside.substr(0, has_bond ? 1 : 0)) + to_text(*atom, false) + "]";
}

/// Calls use(token, from) for what stands in brackets.
template <class Use>
void for_each_token(std::string_view text, Use use) {
  for (auto from = text.find('['); from != text.npos; from = text.find('[', from)) {
    const auto end = text.find(']', from);
    if (end == text.npos) return;
    use(text.substr(from, end + 1 - from), from);
    from = end + 1;
  }
}

}  // namespace

std::string modern_token(std::string_view token) {
  constexpr std::string_view kBranch = "[Branch", kRing = "[Expl", kAtom = "expl]";
  if (token.starts_with(kBranch)) return modern_branch(token.substr(kBranch.size()));
  if (token.starts_with(kRing)) return modern_ring(token.substr(kRing.size()));
  if (!token.starts_with('[') || !token.ends_with(kAtom)) return {};
  return modern_atom(token.substr(1, token.size() - 1 - kAtom.size()));
}

bool may_hold_version_1(std::string_view text) {
  return text.find('_') != text.npos || text.find("xpl") != text.npos;
}

std::string version_1_fault(std::string_view token) {
  return "is a token of SELFIES 1, today " + modern_token(token) +
         "; it is read where \"compatible\" is true (molecules decode: --compatible)";
}

std::string modernise(std::string_view text) {
  std::string modern;
  std::size_t done = 0;
  for_each_token(text, [&](std::string_view token, std::size_t from) {
    const auto replacement = modern_token(token);
    if (replacement.empty()) return;
    modern.append(text.substr(done, from - done)).append(replacement);
    done = from + token.size();
  });
  return modern.append(text.substr(done));
}

void refuse_version_1(std::string_view text) {
  if (!may_hold_version_1(text)) return;
  for_each_token(text, [&](std::string_view token, std::size_t from) {
    if (modern_token(token).empty()) return;
    throw Malformed(from + 1, "\"" + std::string(token) + "\" " + version_1_fault(token));
  });
}

}  // namespace marginalia::selfies
