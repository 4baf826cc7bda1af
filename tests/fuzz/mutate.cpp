#include "mutate.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <utility>

namespace marginalia::fuzz {
namespace {

using namespace std::string_view_literals;

/// Words that readers know, or should not fall over.
constexpr std::array kWords{"0"sv,
                            "1"sv,
                            "-1"sv,
                            "2.0"sv,
                            "1e999"sv,
                            "-1e-999"sv,
                            "4294967296"sv,
                            "nan"sv,
                            "-inf"sv,
                            "0x10"sv,
                            "+.5"sv,
                            "1e18"sv,
                            "99999999999999999999"sv,
                            "9223372036854775807"sv,
                            "16777216"sv,
                            "65536"sv,
                            "1000000000"sv,
                            "\""sv,
                            "\"\""sv,
                            ","sv,
                            ";"sv,
                            "\t"sv,
                            "\n"sv,
                            "\r"sv,
                            "\r\n"sv,
                            "#"sv,
                            "c "sv,
                            "\xef\xbb\xbf"sv,
                            "\xff\xfe"sv,
                            "\0"sv,
                            "{"sv,
                            "}"sv,
                            "["sv,
                            "]"sv,
                            "null"sv,
                            "true"sv,
                            ":"sv,
                            "."sv,
                            "="sv,
                            "[Ring3]"sv,
                            "[Branch3]"sv,
                            "%(12345)"sv,
                            "p edge "sv,
                            "e "sv,
                            "MARKOV"sv,
                            "\\u0000"sv,
                            "\xed\xa0\x80"sv,
                            "F64"sv,
                            "__metadata__"sv};

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '+';
}

}  // namespace

Mutator::Mutator(std::vector<std::string> corpus, std::uint64_t seed)
    : corpus_(std::move(corpus)), random_(seed) {
  if (corpus_.empty()) corpus_.emplace_back();
}

std::string Mutator::next() {
  auto text = corpus_[below(corpus_.size())];
  if (below(8) == 0) {
    const auto& other = corpus_[below(corpus_.size())];
    text = text.substr(0, below(text.size() + 1)) + other.substr(below(other.size() + 1));
  }
  for (auto changes = 1 + below(1 + below(8)); changes > 0; --changes)
    change(text);
  if (text.size() > kMaxInput) text.resize(kMaxInput);
  return text;
}

void Mutator::change(std::string& text) {
  const auto at = below(text.size() + 1);
  const auto length = std::min(1 + below(below(16) == 0 ? 256 : 8), text.size() - at);
  switch (below(8)) {
    case 0:
      if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
      break;
    case 1:
      if (at < text.size()) text[at] = static_cast<char>(below(256));
      break;
    case 2:
      text.erase(at, length);
      break;
    case 3:
      text.insert(at, kWords[below(kWords.size())]);
      break;
    case 4:
      copy_piece(text);
      break;
    case 5:
      text.resize(below(8) == 0 ? at : text.size());
      break;
    default:
      replace_word(text);
  }
}

/// A word becomes another one.
void Mutator::replace_word(std::string& text) {
  auto from = below(text.size() + 1);
  while (from < text.size() && !is_word(text[from]))
    ++from;
  auto until = from;
  while (until < text.size() && is_word(text[until]))
    ++until;
  text.replace(from, until - from, kWords[below(kWords.size())]);
}

/// A piece, often a line, stands somewhere else too.
void Mutator::copy_piece(std::string& text) {
  if (text.size() > kMaxInput) return;
  auto from = below(text.size() + 1);
  auto until = std::min(from + 1 + below(64), text.size());
  if (below(2) == 0) {
    from = text.rfind('\n', from) == text.npos ? 0 : text.rfind('\n', from);
    until = std::max(from, std::min(text.find('\n', from + 1), text.size()));
  }
  text.insert(below(text.size() + 1), text.substr(from, until - from));
}

}  // namespace marginalia::fuzz
