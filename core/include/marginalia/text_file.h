/// \file
/// Text as files of the field have it, taken apart alike by every reader: marks of byte order, ends
/// of lines, comments, separators, quotes and forms of numbers. Nothing here needs LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <marginalia/api.h>

namespace marginalia {

/// What a word says as a number. `fault` is null, or what is wrong with it: "is not a number".
template <class T>
struct Parsed {
  T value{};
  const char* fault = nullptr;
  bool underflow = false;  ///< it is not 0, but nearer to 0 than any double
};

/// A decimal number: a sign + or -, digits with a point anywhere or nowhere, an exponent e or E.
/// What is smaller than the least double is 0; inf, nan and hexadecimals are no numbers.
MARGINALIA_API Parsed<double> parse_number(std::string_view word);
/// A decimal number without a fraction, as 2, +2, 2.0 or 2e0; beyond 2^53 as digits alone.
MARGINALIA_API Parsed<std::int64_t> parse_integer(std::string_view word);

inline constexpr std::string_view kBlanks = " \t";

/// `text` without characters of `blanks` around it.
MARGINALIA_API std::string_view trim(std::string_view text, std::string_view blanks = kBlanks);
/// The words of a line, which blanks separate.
MARGINALIA_API std::vector<std::string_view> split_words(std::string_view line);
/// `text` without the byte order mark of UTF-8 that it may begin with.
MARGINALIA_API std::string_view without_byte_order_mark(std::string_view text);

/// The text of a file, unpacked, without a byte order mark. Copies share the bytes.
class MARGINALIA_API TextFile {
 public:
  /// Throws SpecError where there is no such file, it is damaged, it is UTF-16, or a line is longer
  /// than `longest_line` bytes.
  explicit TextFile(const std::filesystem::path& file,
                    std::size_t longest_line = std::string::npos);
  /// Text from elsewhere, which messages call `name`.
  TextFile(std::string name, std::string text);

  const std::string& name() const { return name_; }
  std::string_view text() const { return text_; }
  /// Keeps `text` for as long as any copy of this object is there.
  std::string_view keep(std::string text) const;

  std::string place(std::int64_t line) const;                                ///< "NAME:LINE"
  [[noreturn]] void fail(std::int64_t line, std::string_view reason) const;  ///< SpecError there

  /// The number that `word` says; `what` it stands for, as "the coupling". Throws SpecError with
  /// the place; warns, once a file, where it is taken as 0 because no double is so small.
  double number(std::string_view word, std::int64_t line, std::string_view what) const;
  std::int64_t integer(std::string_view word, std::int64_t line, std::string_view what) const;

 private:
  struct Content;
  std::string name_;
  std::shared_ptr<Content> content_;
  std::string_view text_;
};

/// The lines of a text one by one, ended by \n, \r\n or \r and counted from 1.
class MARGINALIA_API LineReader {
 public:
  /// comments: the characters of which one begins each line of comment, after blanks or not.
  explicit LineReader(std::string_view text, std::string_view comments = {});

  /// Goes to the next line that is no comment; false at the end.
  bool next();
  /// Goes to the next line that is no comment and not blank; false at the end.
  bool next_filled();

  std::string_view line() const { return line_; }  ///< without its end
  std::int64_t number() const { return number_; }

 private:
  std::string_view text_, line_, comments_;
  std::size_t at_ = 0;
  std::size_t newline_, return_;  // the next \n and the next \r at at_ or behind it, or npos
  std::int64_t number_ = 0;
};

/// The words of a text one by one, whatever lines they stand on.
class MARGINALIA_API WordReader {
 public:
  explicit WordReader(const TextFile& file, std::string_view comments = {})
      : file_(file), lines_(file_.text(), comments) {}

  std::string_view next();  ///< empty at the end
  std::int64_t line() const { return lines_.number(); }
  [[noreturn]] void fail(std::string_view reason) const { file_.fail(line(), reason); }
  const TextFile& file() const { return file_; }

 private:
  TextFile file_;
  LineReader lines_;
  std::string_view rest_;
};

/// The records of a table one by one: fields between separators, as RFC 4180 has them.
///
/// The separator, where none is given, is a tab where the first line that counts has one, else a
/// comma, else a semicolon, else blanks. A quote that begins a field opens a quoted one, which may
/// hold separators, ends of lines and, doubled, quotes. Blanks around a field do not count, nor
/// ends of lines in its quotes; a separator at the end of every line makes no field. Blank lines
/// are no records.
class MARGINALIA_API RecordReader {
 public:
  /// comments: as of LineReader. separator: ' ' stands for blanks, '\0' for none given. Fields are
  /// valid for as long as any copy of `file` is there.
  explicit RecordReader(TextFile file, std::string_view comments = {}, char separator = '\0');

  bool next();  ///< goes to the next record; false at the end
  const std::vector<std::string_view>& fields() const { return fields_; }
  std::int64_t line() const { return line_; }    ///< the one that the record begins on
  char separator() const { return separator_; }  ///< ' ' stands for blanks
  [[noreturn]] void fail(std::string_view reason) const { file_.fail(line_, reason); }
  const TextFile& file() const { return file_; }

 private:
  bool skip_to_record();
  bool read_field();
  void read_plain();
  void read_quoted();
  void skip_blanks();
  void end_line();
  bool is_end(std::size_t at) const;
  bool is_blank(char c) const { return c == ' ' || (c == '\t' && separator_ != '\t'); }
  bool all_lines_end_with_separator();

  TextFile file_;
  std::string_view text_, comments_;
  std::size_t at_ = 0;
  std::int64_t line_ = 0, next_line_ = 1;
  char separator_ = ' ';
  bool separator_ends_lines_ = false, quoted_ = false;  // quoted_: the field that was read last
  std::vector<std::string_view> fields_;
};

}  // namespace marginalia
