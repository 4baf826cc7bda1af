#include "conditions.h"

#include <array>

#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/text_file.h>

namespace marginalia::tables {
namespace {

constexpr std::string_view kSigns = "=!<>", kEnds = ",()";

constexpr std::array<std::pair<std::string_view, Relation>, 6> kRelations{{
    {"<=", Relation::kLessOrEqual},
    {">=", Relation::kMoreOrEqual},
    {"!=", Relation::kNotIn},
    {"<", Relation::kLess},
    {">", Relation::kMore},
    {"=", Relation::kIn},
}};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::vector<Condition> read() {
    std::vector<Condition> conditions;
    do {
      conditions.push_back(condition());
    } while (take(","));
    if (!rest().empty()) fail("a comma must stand between two conditions");
    return conditions;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw SpecError(fmt::format("conditions \"{}\", character {}: {}", text_, at_ + 1, what));
  }

  void skip_blanks() {
    while (at_ < text_.size() && kBlanks.find(text_[at_]) != kBlanks.npos)
      ++at_;
  }
  std::string_view rest() {
    skip_blanks();
    return text_.substr(at_);
  }
  bool take(std::string_view word) {
    if (!rest().starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  /// A word of letters, which what follows may not go on.
  bool take_word(std::string_view word) {
    const auto left = rest();
    if (!left.starts_with(word)) return false;
    const auto after = left.substr(word.size());
    if (!after.empty() && kBlanks.find(after[0]) == kBlanks.npos &&
        kEnds.find(after[0]) == kEnds.npos)
      return false;
    at_ += word.size();
    return true;
  }

  std::string quoted() {
    std::string text;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        if (text_.substr(at_ + 1, 1) != "\"") {
          ++at_;
          return text;
        }
        ++at_;
      }
      text += text_[at_];
    }
    fail("the quote that opened is not closed");
  }

  std::string name() {
    const auto left = rest();
    if (left.starts_with('"')) return quoted();
    const auto length = left.find_first_of(fmt::format("{}{}{}", kSigns, kEnds, kBlanks));
    const auto word = left.substr(0, length);
    if (word.empty()) fail("the name of a column must stand here");
    at_ += word.size();
    return std::string(word);
  }

  std::string value() {
    const auto left = rest();
    if (left.starts_with('"')) return quoted();
    const auto word = trim(left.substr(0, left.find_first_of(fmt::format("{}{}", kSigns, kEnds))));
    if (word.empty()) fail("a value must stand here; an empty one is written \"\"");
    at_ += word.size();
    return std::string(word);
  }

  std::vector<std::string> list() {
    if (!take("(")) fail("a list in parentheses must follow, as in (1, 2)");
    std::vector<std::string> values;
    do {
      values.push_back(value());
    } while (take(","));
    if (!take(")")) fail("the parenthesis that opened is not closed");
    return values;
  }

  Condition condition() {
    skip_blanks();
    Condition one{.column = {}, .place = at_};
    one.column = name();
    for (const auto& [sign, relation] : kRelations)
      if (take(sign)) {
        take("=");  // == is =
        one.relation = relation;
        one.values = {value()};
        return one;
      }
    if (take_word("is")) {
      one.relation = take_word("not") ? Relation::kNotMissing : Relation::kMissing;
      if (!take_word("missing")) fail("\"missing\" must follow \"is\"");
      return one;
    }
    one.relation = take_word("not") ? Relation::kNotIn : Relation::kIn;
    if (!take_word("in"))
      fail("=, !=, <, <=, >, >=, \"in (...)\", \"not in (...)\" or \"is missing\" must follow the "
           "name of a column");
    one.values = list();
    return one;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<Condition> parse_conditions(std::string_view text) {
  return Parser(text).read();
}

}  // namespace marginalia::tables
