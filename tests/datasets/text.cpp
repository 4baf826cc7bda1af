#include "folder.h"

#include <fmt/format.h>

using namespace marginalia;
using test::all_rows;
using test::dataset_refusal;
using test::Folder;
using test::make_dataset;

namespace {

const std::string kTextSays = "dataset text (plugin text): ";

std::string text_spec(const std::string& more) {
  return fmt::format(R"({{"type": "text", "file": "a.txt", {}}})", more);
}

}  // namespace

TEST_CASE("text has the file's characters for an alphabet, sorted, and gives them back") {
  const Folder folder;
  folder.pack("a.txt.gz", "b\xC3\xA4\xE2\x82\xAC\xF0\x9F\x8C\x8A"
                          "a\n");  // b, a umlaut, euro, wave
  const auto text =
      make_dataset(text_spec(R"("split": [0.34, 0.33, 0.33], "length": 2)"), folder.path);
  CHECK(text->space().alphabet ==
        std::vector<std::string>{"\n", "a", "b", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x8C\x8A"});
  CHECK(text->space().dimension() == 2);
  CHECK(text->space().levels() == 6);
  CHECK(all_rows(*text, Split::kTrain).equal(torch::tensor({{2, 3}}, torch::kLong)));
  CHECK(text->to_text(all_rows(*text, Split::kValid)[0]) == "\xE2\x82\xAC\xF0\x9F\x8C\x8A");
  CHECK(text->to_text(all_rows(*text, Split::kTest)[0]) == "a\n");
}

TEST_CASE("text is split by shares in the file's order; the rest is left out") {
  const Folder folder;
  folder.write("a.txt", std::string(50, 'a') + std::string(30, 'b') + std::string(20, 'c'));
  const auto text =
      make_dataset(text_spec(R"("split": [0.5, 0.3, 0.1], "length": 3)"), folder.path);
  CHECK(text->size(Split::kTrain) == 16);
  CHECK(text->size(Split::kValid) == 10);
  CHECK(text->size(Split::kTest) == 3);
  for (const auto split : {Split::kTrain, Split::kValid, Split::kTest})
    CHECK(all_rows(*text, split, 5).eq(std::int64_t(split)).all().item<bool>());
}

TEST_CASE("text names file and byte of what is no UTF-8") {
  const Folder folder;
  const auto fault = [&](const std::string& text) {
    folder.write("a.txt", text);
    const auto message = dataset_refusal(text_spec(R"("length": 1)"), folder.path);
    return message.starts_with(kTextSays) ? message.substr(kTextSays.size()) : message;
  };
  const std::string end = " begins no character of UTF-8; convert the file, as with iconv -t UTF-8";
  CHECK(fault("ab\xC3\xA4\xE4 c") == "DATA/a.txt: byte 4 (0xe4)" + end);  // Latin-1
  CHECK(fault("abc\xC3") == "DATA/a.txt: byte 3 (0xc3)" + end);           // cut short
  CHECK(fault("\xC0\x80") == "DATA/a.txt: byte 0 (0xc0)" + end);          // too long for U+0000
  CHECK(fault("\xED\xA0\x80") == "DATA/a.txt: byte 0 (0xed)" + end);      // a surrogate
  CHECK(fault("abc") ==
        "DATA/a.txt: the valid split has 0 characters; \"length\" 1 needs that many at least");
  CHECK(dataset_refusal(text_spec(R"("split": [0.9, 0.2, 0.1])"), folder.path) ==
        kTextSays +
            "\"split\" must be three shares, of train, valid and test, with a sum of 1 at most, as "
            "[0.9, 0.05, 0.05]");
  CHECK(dataset_refusal(R"({"type": "text"})", folder.path) == kTextSays + "needs a \"file\"");
  CHECK(dataset_refusal(R"({"type": "text", "file": "b.txt"})", folder.path) ==
        kTextSays +
            "file is missing:\n"
            "  - DATA/b.txt, or that with .gz or .zip\n"
            "  or name the data directory where they are with --data DIR or $MARGINALIA_DATA");
}
