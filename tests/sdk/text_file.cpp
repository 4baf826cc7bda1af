#include <marginalia/text_file.h>

#include <cmath>
#include <string>
#include <vector>

#include "datasets/folder.h"

using namespace marginalia;

namespace {

std::vector<std::string> lines(const std::string& text, std::string_view comments = {}) {
  std::vector<std::string> all;
  LineReader reader(text, comments);
  while (reader.next())
    all.push_back(std::to_string(reader.number()) + ":" + std::string(reader.line()));
  return all;
}

using Table = std::vector<std::vector<std::string>>;

Table records(const std::string& text, std::string_view comments = {}) {
  Table all;
  RecordReader reader(TextFile("t", text), comments);
  while (reader.next())
    all.emplace_back(reader.fields().begin(), reader.fields().end());
  return all;
}

std::string refused(const std::string& text) {
  return test::refusal([&] { records(text); });
}

}  // namespace

TEST_CASE("numbers are read in every decimal form, and in no other") {
  const std::vector<std::pair<std::string, double>> good{
      {"2", 2},     {"+2.0", 2},      {"-2", -2},         {".5", .5},     {"-.5", -.5},
      {"1.", 1},    {"3e+2", 300},    {"3E2", 300},       {"1e-3", .001}, {"+.5e1", 5},
      {"0.000", 0}, {"1e308", 1e308}, {"5e-324", 5e-324}, {"007", 7}};
  for (const auto& [word, value] : good) {
    CAPTURE(word);
    const auto parsed = parse_number(word);
    CHECK(parsed.fault == nullptr);
    CHECK_FALSE(parsed.underflow);
    CHECK(parsed.value == value);
  }
  for (const auto* word :
       {"",     "+",   "-",   ".",    "+-2",      "-+2", "--2", "e5",    "1e",  "1,5",  "1D0",
        "0x10", "nan", "inf", "-inf", "Infinity", "1 ",  " 1",  "1_000", "2..", "1e5.5"}) {
    CAPTURE(word);
    CHECK(std::string(parse_number(word).fault) == "is not a finite number");
  }
  CHECK(std::string(parse_number("-1e999").fault) == "is too large");
  for (const auto* word : {"1e-400", "-1e-400", "0.000001e-999"}) {
    CHECK(parse_number(word).fault == nullptr);
    CHECK(parse_number(word).underflow);
    CHECK(parse_number(word).value == 0);
  }
}

TEST_CASE("integers may be written as numbers without a fraction") {
  const std::vector<std::pair<std::string, std::int64_t>> good{{"7", 7},
                                                               {"+7", 7},
                                                               {"-7", -7},
                                                               {"2.0", 2},
                                                               {"2e0", 2},
                                                               {"2e2", 200},
                                                               {"5.", 5},
                                                               {"1.5e1", 15},
                                                               {"9223372036854775807", INT64_MAX},
                                                               {"0.000e+00", 0},
                                                               {"9007199254740992.0", 1LL << 53}};
  for (const auto& [word, value] : good) {
    CAPTURE(word);
    const auto parsed = parse_integer(word);
    CHECK(parsed.fault == nullptr);
    CHECK(parsed.value == value);
  }
  for (const auto* word : {"0.5", "1e-400", "2.5e0", "x", "", "1.0x", "nan"})
    CHECK(std::string(parse_integer(word).fault) == "is not an integer");
  for (const auto* word : {"9223372036854775808", "1e17", "1e999"})
    CHECK(std::string(parse_integer(word).fault) == "is too large");
}

TEST_CASE("lines end with line feeds, returns or both, and are so counted") {
  CHECK(lines("a\nb\n") == std::vector<std::string>{"1:a", "2:b"});
  CHECK(lines("a\r\nb\r\n") == std::vector<std::string>{"1:a", "2:b"});
  CHECK(lines("a\rb") == std::vector<std::string>{"1:a", "2:b"});
  CHECK(lines("a\n\rb\r\r\n") == std::vector<std::string>{"1:a", "2:", "3:b", "4:"});
  CHECK(lines("") == std::vector<std::string>{});
  CHECK(lines("# c\ra\n  #d\nb # no comment", "#") ==
        std::vector<std::string>{"2:a", "4:b # no comment"});
  LineReader reader("\n \t\nx\n\n");
  CHECK(reader.next_filled());
  CHECK(reader.number() == 3);
  CHECK_FALSE(reader.next_filled());
}

TEST_CASE("words are read across lines, comments passed over") {
  WordReader words(TextFile("w", "c hello 3\nMARKOV 2\r\n\t2  2\rc\n7"), "c#");
  std::vector<std::string> all;
  std::vector<std::int64_t> at;
  for (auto word = words.next(); !word.empty(); word = words.next()) {
    all.emplace_back(word);
    at.push_back(words.line());
  }
  CHECK(all == std::vector<std::string>{"MARKOV", "2", "2", "2", "7"});
  CHECK(at == std::vector<std::int64_t>{2, 2, 3, 3, 5});
}

TEST_CASE("a byte order mark is no part of a text, and UTF-16 is refused") {
  CHECK(TextFile("t", "\xef\xbb\xbf"
                      "a")
            .text() == "a");
  CHECK(TextFile("t", "a\xef\xbb\xbf").text() == "a\xef\xbb\xbf");
  for (const auto* text : {"\xff\xfe"
                           "a",
                           "\xfe\xff"
                           "a"})
    CHECK(test::refusal([&] { TextFile("t", text); }) ==
          "t: is UTF-16; convert it to UTF-8, as with iconv -f UTF-16 -t UTF-8");
}

TEST_CASE("a table's separator is what its first line shows") {
  const Table abc{{"a", "b"}, {"1", "2"}};
  CHECK(records("a,b\n1,2\n") == abc);
  CHECK(records("a;b\r\n1;2") == abc);
  CHECK(records("a\tb\r1\t2\r") == abc);
  CHECK(records("a  b\n 1 \t2  \n") == abc);
  CHECK(records("# x,y\n\na;b\n1;2\n", "#") == abc);
  CHECK(records("a,b;c\n1,2\n") == Table{{"a", "b;c"}, {"1", "2"}});
  CHECK(records("\"a,b\";c\n1;2\n") == Table{{"a,b", "c"}, {"1", "2"}});
  CHECK(records(" a , b \n1 ,2\n") == abc);
  CHECK(records("a\tb c\n1\t\n") == Table{{"a", "b c"}, {"1", ""}});
}

TEST_CASE("quotes open a field only where it begins") {
  CHECK(records("a,b\n5\" rod,6\" rod\n") == Table{{"a", "b"}, {"5\" rod", "6\" rod"}});
  CHECK(records("\"a\",\"b \"\n\"x,\n\"\"y\"\"\",2\n") == Table{{"a", "b"}, {"x,\n\"y\"", "2"}});
  CHECK(records("\"a\" 1\n\"b c\" 2\n") == Table{{"a", "1"}, {"b c", "2"}});
  CHECK(records("a;\"\"\n") == Table{{"a", ""}});
  CHECK(refused("a,b\nc,\"d\ne,f\n") == "t:2: a quoted field begins here and is never closed");
  CHECK(refused("a,b\n\"c\"d,e\n") ==
        "t:2: a field goes on behind its closing quote; a quote in it is doubled");
  CHECK(refused("a b\n\"c\"d e\n") ==
        "t:2: a field goes on behind its closing quote; a quote in it is doubled");
}

TEST_CASE("records know the line that they begin on") {
  RecordReader reader(TextFile("t", "a,b\r\"x\r\ny\",2\n\n3,4"));
  std::vector<std::int64_t> at;
  while (reader.next())
    at.push_back(reader.line());
  CHECK(at == std::vector<std::int64_t>{1, 2, 5});
}

TEST_CASE("a separator at the end of every line makes no field") {
  CHECK(records("1,2,\n3,4,\n") == Table{{"1", "2"}, {"3", "4"}});
  CHECK(records("1;2; \n\n3;4;") == Table{{"1", "2"}, {"3", "4"}});
  CHECK(records("a,b,\n3,4,5\n") == Table{{"a", "b", ""}, {"3", "4", "5"}});
  CHECK(records("a,b,\n3,4,\"\"\n") == Table{{"a", "b", ""}, {"3", "4", ""}});
  CHECK(records("a,b\n3,4,\n") == Table{{"a", "b"}, {"3", "4", ""}});
}

TEST_CASE("a file says where a number is wrong") {
  const TextFile file("f.txt", "");
  CHECK(file.number("+.5", 3, "the field") == .5);
  CHECK(file.integer("2e1", 3, "the vertex") == 20);
  CHECK(test::refusal([&] { file.number("1D0", 3, "the field"); }) ==
        "f.txt:3: the field is \"1D0\", which is not a finite number");
  CHECK(test::refusal([&] { file.number("1e999", 4, "the field"); }) ==
        "f.txt:4: the field is \"1e999\", which is too large");
  CHECK(test::refusal([&] { file.integer("0.5", 5, "the vertex"); }) ==
        "f.txt:5: the vertex is \"0.5\", which is not an integer");
  CHECK(file.number("1e-400", 6, "the field") == 0);
}
