#include "alphabet.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string_view>

#include <fmt/format.h>

#include <marginalia/error.h>

namespace marginalia::molecule_property {

namespace {

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
  if (token.text.empty() || token.text.find_first_of(" \t\r\n") != token.text.npos)
    fault = "is empty or holds blanks";
  else if (constraints)
    fault = find_fault(token.text, *constraints);
  if (!fault.empty())
    throw SpecError(fmt::format("{}: the token \"{}\" {}", token.where, token.text, fault));
}

/// Whether anything but numbers, as how often a token occurs, stands behind the first word.
bool is_followed_by_words(const RecordReader& record, std::vector<std::string_view> words) {
  for (const auto& field : record.fields())
    if (&field != &record.fields()[0])
      std::ranges::copy(split_words(field), std::back_inserter(words));
  return std::any_of(words.begin() + 1, words.end(),
                     [](std::string_view word) { return parse_number(word).fault; });
}

}  // namespace

std::vector<Token> to_tokens(const std::vector<std::string>& alphabet) {
  std::vector<Token> tokens;
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    tokens.push_back({alphabet[i], fmt::format("alphabet[{}]", i)});
  return tokens;
}

std::vector<Token> read_tokens(const TextFile& file, bool is_selfies) {
  std::vector<Token> tokens;
  RecordReader records(file, is_selfies ? "#" : "");
  for (bool is_first = true; records.next(); is_first = false) {
    const auto words = split_words(records.fields()[0]);
    const auto token = words.empty() ? std::string_view() : words[0];
    if (is_first && token == "token") continue;
    if (token == "#" && is_followed_by_words(records, words))
      records.fail(
          "begins with #, which is a bond of SMILES, and goes on with words; an alphabet of SMILES "
          "has no comments");
    tokens.push_back({std::string(token), file.place(records.line())});
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
