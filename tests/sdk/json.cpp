// JSON as people write it by mistake, and what they are told.
#include "marginalia_test.h"

#include <marginalia/json.h>

#include "sdk/base/json_fault.h"

using namespace marginalia;

namespace {

std::string of_line(const std::string& text) {
  return test::refusal([&] { parse_json_line(text); });
}
std::string of_text(const std::string& text) {
  return test::refusal([&] { parse_json(text); });
}

}  // namespace

TEST_CASE("values of other languages are named, with what JSON has in their place") {
  const auto in_list = [](const std::string& word) {
    return of_line(R"({"x": [0, )" + word + "]}");
  };
  for (const std::string word : {"NaN", "nan", "-NaN", "NAN"})
    CHECK(in_list(word) == "not JSON: column 11: " + word +
                               " is no JSON; null stands for a value that is not known");
  for (const std::string word : {"Infinity", "-inf", "Inf"})
    CHECK(in_list(word) == "not JSON: column 11: " + word + " is no JSON: its numbers are finite");
  CHECK(in_list("None") == "not JSON: column 11: None is no JSON; write null");
  CHECK(in_list("True") == "not JSON: column 11: True is no JSON; write true");
  CHECK(in_list("FALSE, 1") == "not JSON: column 11: FALSE is no JSON; write false");
  CHECK(in_list(".5") == "not JSON: column 11: .5 is no number of JSON; write 0.5");
  CHECK(in_list("+2") == "not JSON: column 11: +2 is no number of JSON; write 2");
  CHECK(in_list("1.") == "not JSON: column 11: 1. is no number of JSON; write 1");
  CHECK(in_list("01") == "not JSON: column 11: 01 is no number of JSON; write 1");
  CHECK(in_list("1e999") == "not JSON: column 11: 1e999 is too large for a number");
  CHECK(in_list("0x1f") == "not JSON: column 11: 0x1f is no number");
  CHECK(in_list("nul") ==
        "not JSON: column 11: nul is no value; strings stand in \"double quotes\"");
  CHECK(in_list("'a'") ==
        "not JSON: column 11: strings stand in \"double quotes\", not in single ones");
}

TEST_CASE("brackets, commas, colons and quotes that are missing or too many are told") {
  CHECK(of_line(R"({"x": [0, 1,]})") ==
        "not JSON: column 12: a comma too many: nothing follows it");
  CHECK(of_line(R"({"x": 1,})") == "not JSON: column 8: a comma too many: nothing follows it");
  CHECK(of_line("[1,,2]") == "not JSON: column 4: a value must stand before this");
  CHECK(of_line("[1 2]") ==
        "not JSON: column 4: a comma, or the end of the list, must stand before this");
  CHECK(of_line(R"({"x": [0, 1})") ==
        "not JSON: column 12: a comma, or the end of the list, must stand before this");
  CHECK(of_line(R"({"x": 1 "y": 2})") ==
        "not JSON: column 9: a comma, or the end of the object, must stand before this");
  CHECK(of_line("[1, [2, 3") == "not JSON: column 5: the list that begins here is not closed");
  CHECK(of_line(R"({"x": [1])") == "not JSON: column 1: the object that begins here is not closed");
  CHECK(of_line(R"({"x": "a)") == "not JSON: column 7: the string that begins here is not closed");
  CHECK(of_line(R"({"x" 1})") ==
        "not JSON: column 6: a key must be followed by a colon and its value");
  CHECK(of_line("{x: 1}") ==
        "not JSON: column 2: a key of an object must stand here, in \"double quotes\"");
  CHECK(of_line("{'x': 1}") ==
        "not JSON: column 2: strings stand in \"double quotes\", not in single ones");
  CHECK(of_line(R"({"x": 1} {"x": 2})") ==
        "not JSON: column 10: the JSON ends before this, and more follows");
  CHECK(of_line("[1]]") == "not JSON: column 4: the JSON ends before this, and more follows");
  CHECK(of_line(" ") == "not JSON: column 1: there is nothing");
  CHECK(of_line("\xff\xfe{") == "not JSON: column 1: this is UTF-16; convert it to UTF-8, as with "
                                "iconv -f UTF-16 -t UTF-8");
  CHECK(of_line("[\"\xe4\"]").find("invalid string: ill-formed UTF-8") != std::string::npos);
}

TEST_CASE("a fault has its line, whatever ends lines, and counts characters") {
  const std::string fault = "column 6: None is no JSON; write null";
  for (const std::string end : {"\n", "\r\n", "\r"})
    CHECK(of_text("{" + end + "// what follows is wrong" + (end == "\r" ? "" : end) +
                  (end == "\r" ? "\n" : "") + "\"\u00e4\": None}") == "not JSON: line 3, " + fault);
  CHECK(of_text("{\"a\": 1,\n \"b\": [1,\n 2}") ==
        "not JSON: line 3, column 3: a comma, or the end of the list, must stand before this");
  CHECK(of_text("{\n  \"a\": \"x\n}") ==
        "not JSON: line 2, column 8: the string that begins here is not closed in its line");
  CHECK(of_text("{ // {[\n /* [ */ \"a\": \"[\"") ==
        "not JSON: line 1, column 1: the object that begins here is not closed");
  CHECK(of_text("") == "not JSON: line 1, column 1: there is nothing");
  CHECK(of_text("{ // a comment\n \"a\": 1}") == "accepted");
  CHECK(of_text("\xef\xbb\xbf{\"a\": 1}") == "accepted");
}

TEST_CASE("no text that is cut short or has a byte wrong is told in the library's own words") {
  const std::string whole = R"({"x": [0, null, 1.5e3], "text": "a\"b\\", "given": {"3": true}})";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto text = of_line(whole.substr(0, size));
    CAPTURE(text);
    CHECK(text.starts_with("not JSON: column "));
    CHECK(text.find("json.exception") == text.npos);
    for (const char byte : {'\'', ',', 'N', '\n', '\x01', '\xe4', '}', '"', ':', '-'}) {
      auto changed = whole;
      changed[size] = byte;
      CHECK(of_line(changed).find("json.exception") == std::string::npos);
    }
  }
}

TEST_CASE("an integer may be written as a number without a fraction") {
  const auto whole = [](const std::string& text) { return whole_number(Json::parse(text)); };
  CHECK(whole("4") == 4);
  CHECK(whole("-4.0") == -4);
  CHECK(whole("2e2") == 200);
  CHECK(whole("9223372036854775807") == INT64_MAX);
  CHECK(whole("9007199254740992.0") == 9007199254740992);
  for (const auto* text : {"4.5", "\"4\"", "true", "null", "[4]", "9223372036854775808", "1e300",
                           "9007199254740994.0"})
    CHECK_FALSE(whole(text).has_value());
}

TEST_CASE("what the program wrote and cannot read again is told with its file") {
  const test::TextFile file("{\"status\": \"fin");
  CHECK(test::refusal([&] { read_json(file.path); }) ==
        file.path.string() +
            ": not JSON: line 1, column 12: the string that begins here is not closed");
  CHECK(without_json_names("a: [json.exception.type_error.302] type must be number, but is null") ==
        "a: type must be number, but is null");
  CHECK(without_json_names("[json.exception") == "[json.exception");
}
