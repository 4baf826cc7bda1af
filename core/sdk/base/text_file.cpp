#include <algorithm>
#include <deque>
#include <utility>

#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/text_file.h>

namespace marginalia {

std::string_view trim(std::string_view text, std::string_view blanks) {
  const auto from = text.find_first_not_of(blanks);
  if (from == text.npos) return {};
  return text.substr(from, text.find_last_not_of(blanks) + 1 - from);
}

std::vector<std::string_view> split_words(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    if (line.empty()) return words;
    words.push_back(line.substr(0, line.find_first_of(kBlanks)));
    line.remove_prefix(words.back().size());
  }
}

std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  return text.substr(text.starts_with(kMark) ? kMark.size() : 0);
}

struct TextFile::Content {
  std::string bytes;
  std::deque<std::string> kept;  // which grows without moving what it holds
  bool warned = false;
};

TextFile::TextFile(const std::filesystem::path& file, std::size_t longest_line)
    : TextFile(file.string(), read_unpacked(file, longest_line)) {}

TextFile::TextFile(std::string name, std::string text)
    : name_(std::move(name)), content_(std::make_shared<Content>(Content{std::move(text), {}})) {
  text_ = without_byte_order_mark(content_->bytes);
  if (text_.starts_with("\xff\xfe") || text_.starts_with("\xfe\xff"))
    throw SpecError(
        fmt::format("{}: is UTF-16; convert it to UTF-8, as with iconv -f UTF-16 -t UTF-8", name_));
}

std::string_view TextFile::keep(std::string text) const {
  return content_->kept.emplace_back(std::move(text));
}

std::string TextFile::place(std::int64_t line) const {
  return fmt::format("{}:{}", name_, line);
}

void TextFile::fail(std::int64_t line, std::string_view reason) const {
  throw SpecError(fmt::format("{}:{}: {}", name_, line, reason));
}

double TextFile::number(std::string_view word, std::int64_t line, std::string_view what) const {
  const auto [value, fault, underflow] = parse_number(word);
  if (fault) fail(line, fmt::format("{} is \"{}\", which {}", what, word, fault));
  if (underflow && !std::exchange(content_->warned, true))
    warn(fmt::format("{}: {} is {}, which is smaller than any double and taken as 0", place(line),
                     what, word));
  return value;
}

std::int64_t TextFile::integer(std::string_view word, std::int64_t line,
                               std::string_view what) const {
  const auto [value, fault, underflow] = parse_integer(word);
  if (fault) fail(line, fmt::format("{} is \"{}\", which {}", what, word, fault));
  return value;
}

LineReader::LineReader(std::string_view text, std::string_view comments)
    : text_(text), comments_(comments), newline_(text.find('\n')), return_(text.find('\r')) {}

bool LineReader::next() {
  while (at_ < text_.size()) {
    if (newline_ < at_) newline_ = text_.find('\n', at_);
    if (return_ < at_) return_ = text_.find('\r', at_);
    const auto end = std::min({newline_, return_, text_.size()});
    line_ = text_.substr(at_, end - at_);
    ++number_;
    at_ = newline_ == end + 1 && return_ == end ? end + 2 : end + 1;
    if (comments_.empty()) return true;
    const auto first = line_.find_first_not_of(kBlanks);
    if (first == line_.npos || comments_.find(line_[first]) == comments_.npos) return true;
  }
  return false;
}

bool LineReader::next_filled() {
  while (next())
    if (line_.find_first_not_of(kBlanks) != line_.npos) return true;
  return false;
}

std::string_view WordReader::next() {
  while (true) {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(kBlanks), rest_.size()));
    if (!rest_.empty()) break;
    if (!lines_.next()) return {};
    rest_ = lines_.line();
  }
  const auto word = rest_.substr(0, rest_.find_first_of(kBlanks));
  rest_.remove_prefix(word.size());
  return word;
}

}  // namespace marginalia
