#include "alphabet.h"

#include <algorithm>
#include <map>
#include <string_view>

#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/unpack.h>

namespace marginalia::molecule_property {

namespace {

constexpr std::string_view kBlanks = " \t\r\n";

/// Why a text is not a token of SELFIES; empty where it is one.
std::string find_fault(const std::string& text, const selfies::Constraints& constraints) {
  try {
    if (selfies::split(text).size() != 1) return "is more than one token";
    selfies::decode(text, constraints);
    return "";
  } catch (const selfies::Malformed& e) {
    const std::string_view what = e.what();  // "character 1: ..."
    return fmt::format("is none of SELFIES: {}", what.substr(what.find(": ") + 2));
  }
}

void check(const Token& token, const selfies::Constraints* constraints) {
  std::string fault;
  if (token.text.empty() || token.text.find_first_of(kBlanks) != token.text.npos)
    fault = "is empty or holds blanks";
  else if (constraints)
    fault = find_fault(token.text, *constraints);
  if (!fault.empty())
    throw SpecError(fmt::format("{}: the token \"{}\" {}", token.where, token.text, fault));
}

}  // namespace

std::vector<Token> to_tokens(const std::vector<std::string>& alphabet) {
  std::vector<Token> tokens;
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    tokens.push_back({alphabet[i], fmt::format("alphabet[{}]", i)});
  return tokens;
}

std::vector<Token> read_tokens(const std::filesystem::path& file) {
  const auto found = find_packed(file);
  if (found.empty())
    throw SpecError(fmt::format("{}: there is no such file; a file is looked for beside the spec, "
                                "then in the data directory (--data, $MARGINALIA_DATA)",
                                file.string()));
  const auto text = read_unpacked(found);
  std::vector<Token> tokens;
  std::string_view rest = text;
  for (int line = 1; !rest.empty(); ++line) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const auto word = rest.substr(0, std::min(rest.find_first_of(kBlanks), end));
    if (!word.empty() && !(line == 1 && word == "token"))
      tokens.push_back({std::string(word), fmt::format("{}:{}", found.string(), line)});
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return tokens;
}

std::vector<std::string> checked_alphabet(const std::vector<Token>& tokens,
                                          const std::string& padding,
                                          const selfies::Constraints* constraints) {
  std::map<std::string, std::string> places;  // sorted by bytes
  for (const auto& token : tokens) {
    if (token.text == padding) continue;
    check(token, constraints);
    const auto [first, is_new] = places.emplace(token.text, token.where);
    if (!is_new)
      throw SpecError(fmt::format("{}: the token \"{}\" stands twice, first at {}", token.where,
                                  token.text, first->second));
  }
  if (places.empty())
    throw SpecError("the alphabet is empty; molecules need one token at least beside the padding");
  std::vector<std::string> alphabet;
  for (const auto& [text, where] : places)
    alphabet.push_back(text);
  alphabet.push_back(padding);
  return alphabet;
}

}  // namespace marginalia::molecule_property
