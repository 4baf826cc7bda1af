#include "folder.h"

#include <fmt/format.h>

using namespace marginalia;
using test::all_rows;
using test::dataset_refusal;
using test::Folder;
using test::make_dataset;

namespace {

const std::string kText8Says = "dataset text8 (plugin text8): ";
const std::string kText = "the quick brown fox jumps over the lazy dog and sleeps";  // 54

std::string text8_spec(const std::string& split, int length) {
  return fmt::format(R"({{"type": "text8", "split": [{}], "length": {}}})", split, length);
}

}  // namespace

TEST_CASE("text8 is cut in order for validation and test, from plain, gzipped and zipped files") {
  for (const auto* kind : {"", ".gz", ".zip"}) {
    CAPTURE(kind);
    const Folder folder;
    if (*kind == 0) folder.write("text8/text8", kText);
    if (std::string(kind) == ".gz") folder.pack("text8/text8.gz", kText);
    if (std::string(kind) == ".zip") folder.zip("text8/text8.zip", kText);
    const auto text8 = make_dataset(text8_spec("20, 17, 15", 5), folder.path);
    CHECK(text8->space().dimension() == 5);
    CHECK(text8->space().levels() == 27);
    CHECK(text8->size(Split::kTrain) == 4);
    CHECK(text8->size(Split::kValid) == 3);
    CHECK(text8->size(Split::kTest) == 3);
    const auto joined = [&](Split split) {
      std::string text;
      for (const auto& row : all_rows(*text8, split).unbind())
        text += text8->to_text(row);
      return text;
    };
    CHECK(joined(Split::kValid) == kText.substr(20, 15));
    CHECK(joined(Split::kTest) == kText.substr(37, 15));
  }
}

TEST_CASE("training rows of text8 start anywhere in the split with one probability") {
  const Folder folder;
  std::string text;
  for (int i = 0; i < 30; ++i)
    text += static_cast<char>('a' + i % 26);
  folder.write("text8/text8", text + text + text);
  const auto text8 = make_dataset(text8_spec("26, 20, 20", 6), folder.path);
  const auto all = torch::arange(4);
  auto counts = torch::zeros({26}, torch::kLong);
  constexpr int kEpochs = 2000;
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    const auto rows = text8->rows(Split::kTrain, all, std::uint64_t(epoch));
    const auto first = rows.slice(1, 0, 1) - 1;
    CHECK(rows.equal(first + 1 + torch::arange(6)));  // a run of the alphabet, whole
    counts += first.flatten().bincount({}, 26);
  }
  CHECK(counts.slice(0, 21).sum().item<std::int64_t>() == 0);  // would leave the split
  const auto share = counts.slice(0, 0, 21).to(torch::kDouble) / (4.0 * kEpochs);
  const double p = 1.0 / 21, deviation = std::sqrt(p * (1 - p) / (4.0 * kEpochs));
  CHECK(((share - p).abs() < 4.5 * deviation).all().item<bool>());
}

TEST_CASE("text8 names file and place of what it cannot take") {
  const Folder folder;
  const auto missing = dataset_refusal(R"({"type": "text8"})", folder.path);
  CHECK(missing ==
        kText8Says +
            "file is missing:\n"
            "  - DATA/text8/text8, or that with .gz or .zip\n"
            "    from http://mattmahoney.net/dc/text8.zip (md5:3bea1919949baf155f99411df5fada7e)\n"
            "  fetch with: marginalia data fetch text8\n"
            "  or name the data directory where they are with --data DIR or $MARGINALIA_DATA");
  folder.write("text8/text8", kText.substr(0, 40));
  CHECK(dataset_refusal(R"({"type": "text8"})", folder.path) ==
        kText8Says +
            "DATA/text8/text8: has 40 characters, \"split\" asks for 100000000 (90000000 + 5000000 "
            "+ 5000000); for a part of text8 give the sizes, as \"split\": [36, 2, 2]; figures on "
            "it cannot be compared with published ones");
  CHECK(dataset_refusal(text8_spec("20, 10", 5), folder.path) ==
        kText8Says + "\"split\" has 2 numbers; it needs those of train, valid and test");
  CHECK(dataset_refusal(text8_spec("20, 10, 4", 5), folder.path) ==
        kText8Says +
            "DATA/text8/text8: the test split has 4 characters; \"length\" 5 needs that many at "
            "least");
  folder.write("text8/text8", "some words, and more");
  CHECK(dataset_refusal(text8_spec("10, 5, 5", 5), folder.path) ==
        kText8Says +
            "DATA/text8/text8: byte 10 is 0x2c; text8 has a to z and blanks only, dataset text "
            "takes any UTF-8");
  folder.zip("text8/text8.zip", kText);
  std::filesystem::remove(folder.path / "text8/text8");
  std::filesystem::resize_file(folder.path / "text8/text8.zip", 60);
  CHECK(dataset_refusal(text8_spec("10, 5, 5", 5), folder.path) ==
        kText8Says +
            "DATA/text8/text8.zip: cannot be unpacked: Truncated ZIP file data; get the file "
            "anew");
}

TEST_CASE("the first part of text8" * doctest::test_suite("data/text8")) {
  const auto data = test::real_data("text8/text8.first6500000.gz");
  if (data.empty()) return;
  const auto text8 = make_dataset(R"({"type": "text8", "file": "text8/text8.first6500000.gz",
                                      "split": [5850000, 325000, 325000]})",
                                  data);
  CHECK(text8->size(Split::kTrain) == 23400);
  CHECK(text8->size(Split::kValid) == 1300);
  CHECK(text8->size(Split::kTest) == 1300);
  CHECK(text8->space().dimension() == 250);

  // Bits per character of n-grams with recursive smoothing, as published with the file: an epoch of
  // crops has the statistics of the split, to a few thousandths.
  const auto counts = [&](Split split) {  // of pairs of characters, [27, 27]
    const auto rows = all_rows(*text8, split);
    const auto pairs = rows.slice(1, 0, -1) * 27 + rows.slice(1, 1);
    return pairs.flatten().bincount({}, 27 * 27).view({27, 27}).to(torch::kDouble);
  };
  const auto train = counts(Split::kTrain);
  const auto singles = train.sum(0);
  const auto one = (singles + 5.0 / 27) / (singles.sum() + 5);
  const auto two = (train + 5 * one) / (train.sum(1, true) + 5);
  const auto bits = [&](const torch::Tensor& p, Split split) {
    const auto held_out = counts(split);
    return -(held_out * p.log2()).sum().item<double>() / held_out.sum().item<double>();
  };
  CHECK(bits(one, Split::kValid) == doctest::Approx(4.10743).epsilon(1e-3));
  CHECK(bits(one, Split::kTest) == doctest::Approx(4.10386).epsilon(1e-3));
  CHECK(bits(two, Split::kValid) == doctest::Approx(3.40789).epsilon(1e-3));
  CHECK(bits(two, Split::kTest) == doctest::Approx(3.40861).epsilon(1e-3));
}
