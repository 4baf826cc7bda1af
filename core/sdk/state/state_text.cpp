#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/state_text.h>

namespace marginalia {
namespace {

using Letters = std::map<std::string, std::int64_t, std::less<>>;  // level of each

Letters list_letters(const StateSpace& space) {
  Letters letters;
  for (std::int64_t k = 0; k < space.levels(); ++k)
    letters.emplace(space.alphabet.empty() ? std::to_string(k) : space.alphabet[std::size_t(k)], k);
  return letters;
}

/// Characters of UTF-8.
std::size_t count_characters(std::string_view text) {
  return std::size_t(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

/// The next token in brackets, or the next character.
std::string_view beginning(std::string_view text) {
  if (text.front() == '[' && text.find(']') != text.npos) return text.substr(0, text.find(']') + 1);
  std::size_t size = 1;
  while (size < text.size() && (text[size] & 0xC0) == 0x80)
    ++size;
  return text.substr(0, size);
}

std::string join_letters(const Letters& letters) {
  constexpr std::size_t kListed = 40;
  std::vector<std::string> some;
  for (const auto& [letter, level] : letters)
    if (some.size() < kListed) some.push_back(letter);
  return fmt::format("{}{}", fmt::join(some, " "), letters.size() > kListed ? " ..." : "");
}

/// The letters of one text, from its beginning to its end.
class Speller {
 public:
  Speller(const StateSpace& space, const PartialText& text, const Spelling& spelling)
      : space_(space),
        text_(text.text),
        gap_(text.gap.empty() ? spelling.gap : text.gap),
        letters_(list_letters(space)),
        gap_is_letter_(letters_.contains(gap_)),
        gap_is_stated_(!text.gap.empty()) {
    if (gap_is_letter_ && gap_is_stated_)
      throw SpecError(
          fmt::format("\"gap\": \"{}\" is a letter of the alphabet; take another", gap_));
    letters_.emplace(gap_, kUnknown);
    for (const auto& [letter, level] : letters_)
      longest_ = std::max(longest_, letter.size());
  }

  /// Levels in the order of the text, the first one that of variable `at`.
  std::vector<std::int64_t> levels(std::int64_t at) {
    std::vector<std::int64_t> levels;
    while (skip_separators(), at_ < text_.size()) {
      const auto letter = next();
      check(letter->second, at + std::int64_t(levels.size()));
      levels.push_back(letter->second);
      at_ += letter->first.size();
    }
    return levels;
  }

 private:
  void skip_separators() {
    if (space_.alphabet.empty())
      at_ = std::min(std::string_view(text_).find_first_not_of(" /", at_), text_.size());
  }

  /// The longest letter that stands here.
  Letters::const_iterator next() const {
    const auto rest = std::string_view(text_).substr(at_);
    for (auto size = std::min(longest_, rest.size()); size > 0; --size)
      if (const auto letter = letters_.find(rest.substr(0, size)); letter != letters_.end()) {
        if (gap_is_letter_ && !gap_is_stated_ && letter->first == gap_)
          fault(fmt::format("\"{}\" is a letter of this alphabet; name what stands for an unknown "
                            "one, as \"gap\": \"_\", and it is read as that letter",
                            gap_));
        return letter;
      }
    if (opens_bracket(rest)) fault("the bracket that opens here is not closed");
    fault(fmt::format("\"{}\" is not a letter; there is: {}", beginning(rest),
                      join_letters(letters_)));
  }

  /// Whether letters stand in brackets, and one begins here that has no end.
  bool opens_bracket(std::string_view rest) const {
    return rest.front() == '[' && rest.find(']') == rest.npos &&
           std::ranges::any_of(letters_, [](const auto& letter) {
             return letter.first.size() > 1 && letter.first.front() == '[';
           });
  }

  /// Where cardinalities differ, not every variable has every letter.
  void check(std::int64_t level, std::int64_t variable) const {
    if (variable >= space_.dimension()) return;  // said later, with how many there are
    const auto K = space_.cardinalities[std::size_t(variable)];
    if (level >= K)
      fault(fmt::format("variable {} has the values 0 to {}, not {}", variable, K - 1, level));
  }

  [[noreturn]] void fault(const std::string& what) const {
    const auto before = count_characters(std::string_view(text_).substr(0, at_));
    throw SpecError(fmt::format("character {}: {}", before + 1, what));
  }

  const StateSpace& space_;
  const std::string& text_;
  std::string gap_;
  Letters letters_;
  bool gap_is_letter_, gap_is_stated_;
  std::size_t longest_ = 0, at_ = 0;
};

void check_size(std::int64_t size, std::int64_t D, const PartialText& text, bool padded) {
  if (text.at && size + *text.at > D)
    throw SpecError(fmt::format("the text spells {} variables, which from \"at\": {} on go beyond "
                                "the {} that there are",
                                size, *text.at, D));
  if (size > D) throw SpecError(fmt::format("the text spells {} variables; there are {}", size, D));
  if (!text.at && size < D && !padded)
    throw SpecError(fmt::format("the text spells {} of {} variables; \"at\": 0 leaves the others "
                                "unknown",
                                size, D));
}

}  // namespace

Tensor state_of_text(const StateSpace& space, const PartialText& text, const Spelling& spelling) {
  const auto D = space.dimension(), begin = text.at.value_or(0);
  if (begin < 0 || begin >= D)
    throw SpecError(fmt::format("\"at\" must be 0 to {}, not {}", D - 1, begin));
  const auto levels = Speller(space, text, spelling).levels(begin);
  check_size(std::int64_t(levels.size()), D, text, spelling.padding != kUnknown);
  auto state = torch::full({D}, text.at ? kUnknown : spelling.padding, torch::kLong);
  std::ranges::copy(levels, state.data_ptr<std::int64_t>() + begin);
  return state;
}

}  // namespace marginalia
