#include <utility>

#include <marginalia/text_file.h>

namespace marginalia {
namespace {

/// The separator that the first line that counts shows, outside of quotes.
char find_separator(std::string_view line) {
  bool comma = false, semicolon = false, quoted = false;
  for (const char c : line) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '\t') return '\t';
    comma = comma || c == ',';
    semicolon = semicolon || c == ';';
  }
  return comma ? ',' : semicolon ? ';' : ' ';
}

constexpr std::string_view kAroundQuoted = " \t\r\n";

}  // namespace

RecordReader::RecordReader(TextFile file, std::string_view comments, char separator)
    : file_(std::move(file)), text_(file_.text()), comments_(comments) {
  LineReader lines(text_, comments);
  if (!lines.next_filled()) return;
  separator_ = separator != '\0' ? separator : find_separator(trim(lines.line()));
  const auto last = lines.line().find_last_not_of(separator_ == '\t' ? " " : kBlanks);
  if (separator_ != ' ' && lines.line()[last] == separator_)
    separator_ends_lines_ = all_lines_end_with_separator();
}

bool RecordReader::all_lines_end_with_separator() {
  bool all = true;
  while (all && next())
    all = fields_.size() > 1 && fields_.back().empty() && !quoted_;
  at_ = 0;
  next_line_ = 1;
  return all;
}

bool RecordReader::next() {
  if (!skip_to_record()) return false;
  fields_.clear();
  line_ = next_line_;
  while (read_field()) {
  }
  end_line();
  if (separator_ends_lines_ && fields_.size() > 1) fields_.pop_back();
  return true;
}

bool RecordReader::is_end(std::size_t at) const {
  return at >= text_.size() || text_[at] == '\n' || text_[at] == '\r';
}

/// Passes over blank lines and comments. -> whether a record follows.
bool RecordReader::skip_to_record() {
  while (at_ < text_.size()) {
    auto first = at_;
    while (first < text_.size() && (text_[first] == ' ' || text_[first] == '\t'))
      ++first;
    if (!is_end(first) && comments_.find(text_[first]) == comments_.npos) return true;
    while (!is_end(at_))
      ++at_;
    end_line();
  }
  return false;
}

/// Passes over the end of a line.
void RecordReader::end_line() {
  if (at_ >= text_.size()) return;
  at_ += text_.substr(at_).starts_with("\r\n") ? 2 : 1;
  ++next_line_;
}

void RecordReader::skip_blanks() {
  while (at_ < text_.size() && is_blank(text_[at_]))
    ++at_;
}

/// Takes the field at at_ and the separator behind it. -> whether another field follows.
bool RecordReader::read_field() {
  skip_blanks();
  quoted_ = at_ < text_.size() && text_[at_] == '"';
  quoted_ ? read_quoted() : read_plain();
  const auto behind = at_;
  skip_blanks();
  if (is_end(at_)) return false;
  if (separator_ == ' ' && at_ > behind) return true;
  if (text_[at_] != separator_)
    file_.fail(next_line_, "a field goes on behind its closing quote; a quote in it is doubled");
  ++at_;
  return true;
}

void RecordReader::read_plain() {
  const auto from = at_;
  auto until = at_;  // behind the last character that is no blank
  for (; !is_end(at_); ++at_) {
    const char c = text_[at_];
    if (c == separator_ || (separator_ == ' ' && c == '\t')) break;
    if (c != ' ') until = at_ + 1;
  }
  fields_.push_back(text_.substr(from, until - from));
}

/// Takes the quoted field at at_, doubled quotes made single.
void RecordReader::read_quoted() {
  const auto opened = next_line_;
  const auto from = ++at_;
  bool doubled = false;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '"' && !text_.substr(at_ + 1).starts_with('"')) break;
    if (c == '"') {
      doubled = true;
      ++at_;
    }
    if (c == '\n' || (c == '\r' && !text_.substr(at_ + 1).starts_with('\n'))) ++next_line_;
  }
  if (at_ >= text_.size()) file_.fail(opened, "a quoted field begins here and is never closed");
  const auto field = text_.substr(from, at_++ - from);
  if (!doubled) {
    fields_.push_back(trim(field, kAroundQuoted));
    return;
  }
  std::string single;
  for (std::size_t i = 0; i < field.size(); i += field[i] == '"' ? 2 : 1)
    single.push_back(field[i]);
  fields_.push_back(trim(file_.keep(std::move(single)), kAroundQuoted));
}

}  // namespace marginalia
