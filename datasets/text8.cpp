/// \file
/// text8: 10^8 characters of English Wikipedia, cleaned to a to z and the blank.
///
/// Source: M. Mahoney (2011), mattmahoney.net/dc/textdata. The split is that of Mikolov et al.
/// (2012): 90, 5 and 5 million characters.
#include <algorithm>
#include <filesystem>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/dataset.h>
#include <marginalia/files.h>
#include <marginalia/mapped.h>
#include <marginalia/plugin.h>
#include <marginalia/source.h>
#include <marginalia/text_file.h>

#include "crops.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kAlphabet = " abcdefghijklmnopqrstuvwxyz";

class Text8 final : public Dataset {
 public:
  static constexpr const char* kName = "text8";
  static constexpr const char* kSummary = "English Wikipedia in 27 characters, cut into rows";
  static constexpr const char* kSource = "Mahoney (2011), mattmahoney.net/dc/textdata";
  static constexpr const char* kExample =
      R"({"file": "text8/tiny.txt", "split": [60, 20, 20], "length": 10})";
  static std::vector<PublicFile> sources() {
    return {{"text8/text8.zip", "http://mattmahoney.net/dc/text8.zip", 31344016,
             "md5:3bea1919949baf155f99411df5fada7e"}};
  }

  struct Params {
    FilePath file{"text8/text8", {}};
    std::vector<std::int64_t> split{90000000, 5000000, 5000000};
    std::int64_t length = 250;
    void visit(ParamVisitor& p) {
      p("file", file, {.doc = "the text, plain (then it is mapped, not read), .gz or .zip"});
      p("split", split,
        {.doc = "characters of train, valid and test, in the file's order; figures on another "
                "split or a part of the file cannot be compared with published ones",
         .min = 1});
      p("length", length,
        {.doc = "D, characters of a row: random crops in training, else one after the other",
         .min = 1});
    }
  };

  explicit Text8(const Params& params);

  const StateSpace& space() const override { return space_; }
  std::int64_t size(Split split) const override { return crops_.size(split); }

 private:
  Tensor compute_rows(Split split, const Tensor& indices, std::uint64_t key) const override {
    const auto letters = crops_.rows(split, indices, key).to(torch::kLong);
    return letters.sub('a' - 1).clamp_min(0);  // the blank is level 0, a is 1
  }

  Crops crops_;
  StateSpace space_;
};

fs::path find_file(const FilePath& file) {
  if (auto found = find_packed(file.found); !found.empty()) return found;
  throw SpecError("file is missing:" + list_missing("text8", Text8::sources(), {file.found}));
}

std::string_view as_text(const Tensor& bytes) {
  return {reinterpret_cast<const char*>(bytes.data_ptr<std::uint8_t>()),
          std::size_t(bytes.size(0))};
}

void check_letters(std::string_view text, const std::string& who) {
  const auto fits = [](char c) { return c == ' ' || (c >= 'a' && c <= 'z'); };
  const auto* wrong = std::ranges::find_if_not(text, fits);
  if (wrong != text.end())
    throw SpecError(
        fmt::format("{}: byte {} is 0x{:02x}; text8 has a to z and blanks only, dataset "
                    "text takes any UTF-8",
                    who, wrong - text.begin(), static_cast<unsigned char>(*wrong)));
}

Text8::Text8(const Params& params) {
  if (params.split.size() != 3)
    throw SpecError(fmt::format("\"split\" has {} numbers; it needs those of train, valid and test",
                                params.split.size()));
  const auto file = find_file(params.file).string();
  const auto all = map_unpacked(file);
  const auto mark = all.numel() - std::ssize(without_byte_order_mark(as_text(all)));
  const auto bytes = all.slice(0, mark);
  const auto wanted = std::accumulate(params.split.begin(), params.split.end(), std::int64_t{0});
  if (const auto N = bytes.size(0); N < wanted)
    throw SpecError(fmt::format(
        "{}: has {} characters, \"split\" asks for {} ({}); for a part of text8 give the sizes, as "
        "\"split\": [{}, {}, {}]; figures on it cannot be compared with published ones",
        file, N, wanted, fmt::join(params.split, " + "), N - N / 20 * 2, N / 20, N / 20));
  check_letters(as_text(bytes), file);
  crops_ = Crops(bytes, {params.split[0], params.split[1], params.split[2]}, params.length, file);
  space_ = StateSpace::uniform(params.length, std::int64_t(kAlphabet.size()));
  for (const char c : kAlphabet)
    space_.alphabet.emplace_back(1, c);
}

}  // namespace

MARGINALIA_PLUGIN(Text8);
