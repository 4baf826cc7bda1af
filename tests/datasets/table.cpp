#include "folder.h"

#include <fmt/format.h>

using namespace marginalia;
namespace fs = std::filesystem;
using test::all_rows;
using test::dataset_refusal;
using test::Folder;
using test::make_dataset;

namespace {

const std::string kFiles = R"({"type": "table", "train": "a", "valid": "b", "test": "c"})";
const std::string kTableSays = "dataset table (plugin table): ";

}  // namespace

TEST_CASE("table reads commas, blanks and tabs, plain and gzipped") {
  const Folder folder;
  folder.write("a", "1,0,2\r\n0, 1 ,1\n\n2,2,2");
  folder.pack("b", "1 0 2\n 0  1 1 \n");
  folder.write("c", "1\t0\t2\n");
  const auto table = make_dataset(kFiles, folder.path);
  CHECK(table->space() == StateSpace::uniform(3, 3));
  CHECK(all_rows(*table, Split::kTrain)
            .equal(torch::tensor({{1, 0, 2}, {0, 1, 1}, {2, 2, 2}}, torch::kLong)));
  CHECK(all_rows(*table, Split::kValid).equal(torch::tensor({{1, 0, 2}, {0, 1, 1}}, torch::kLong)));
  CHECK(all_rows(*table, Split::kTest).equal(torch::tensor({{1, 0, 2}}, torch::kLong)));
  CHECK(table->rows(Split::kTrain, torch::tensor({2, 0, 2}, torch::kLong))
            .equal(torch::tensor({{2, 2, 2}, {1, 0, 2}, {2, 2, 2}}, torch::kLong)));
}

TEST_CASE("table has as many levels as its values need, or as it is told") {
  const Folder folder;
  folder.write("a", "0,0\n");
  folder.write("b", "0,0\n");
  folder.write("c", "0,0\n");
  CHECK(make_dataset(kFiles, folder.path)->space().levels() == 2);
  folder.write("c", "0,6\n");
  CHECK(make_dataset(kFiles, folder.path)->space().levels() == 7);
  CHECK(make_dataset(R"({"type": "table", "train": "a", "valid": "b", "test": "c", "levels": 9})",
                     folder.path)
            ->space()
            .levels() == 9);
  CHECK(dataset_refusal(
            R"({"type": "table", "train": "a", "valid": "b", "test": "c", "levels": 6})",
            folder.path) == kTableSays + "DATA/c:1: 6 is out of range; values are 0 to 5");
}

TEST_CASE("table finds the splits of a name, also in extra") {
  const Folder folder;
  folder.write("density/one.train.data", "0,1\n");
  folder.pack("density/one.valid.data.gz", "0,0\n1,1\n");
  folder.pack("density/extra/one.test.data.gz", "0,1\n0,0\n1,1\n");
  const auto table = make_dataset(R"({"type": "table", "name": "one"})", folder.path);
  CHECK(table->size(Split::kTrain) == 1);
  CHECK(table->size(Split::kValid) == 2);
  CHECK(table->size(Split::kTest) == 3);
  folder.write("mine/one.train.data", "0,1\n");
  CHECK(dataset_refusal(R"({"type": "table", "name": "one", "folder": "mine"})", folder.path)
            .starts_with(kTableSays +
                         "files are missing:\n  - one.valid.data[.gz]\n  - one.test.data[.gz]"));
}

TEST_CASE("table says which files are missing, where they come from, and where they belong") {
  const Folder folder;
  folder.write("density/nltcs.valid.data", "0\n");
  CHECK(dataset_refusal(R"({"type": "table", "name": "nltcs"})", folder.path) ==
        kTableSays +
            "files are missing:\n"
            "  - nltcs.train.data[.gz]\n"
            "  - nltcs.test.data[.gz]\n"
            "  looked for in: DATA/density and its subfolder extra\n"
            "  those of github.com/UCLA-StarAI/Density-Estimation-Datasets (DEBD) come with: "
            "marginalia data fetch table nltcs\n"
            "  or name the data directory where they are with --data DIR or $MARGINALIA_DATA");
  folder.write("b", "0\n");
  CHECK(dataset_refusal(kFiles, folder.path) ==
        kTableSays +
            "files are missing, looked for beside the spec and in the data directory (--data DIR, "
            "$MARGINALIA_DATA):\n  - \"train\": DATA/a\n  - \"test\": DATA/c");
  for (const auto* some : {R"({"type": "table"})", R"({"type": "table", "train": "a"})",
                           R"({"type": "table", "name": "nltcs", "test": "c"})"})
    CHECK(dataset_refusal(some, folder.path) ==
          kTableSays + "give \"name\", or \"train\", \"valid\" and \"test\", not some of both");
}

TEST_CASE("table names file and line of what is no row") {
  const Folder folder;
  folder.write("b", "0,1\n");
  folder.write("c", "0,1\n");
  const auto fault = [&](const std::string& text) {
    folder.write("a", text);
    const auto message = dataset_refusal(kFiles, folder.path);
    return message.starts_with(kTableSays) ? message.substr(kTableSays.size()) : message;
  };
  CHECK(fault("0,1\n1\n") == "DATA/a:2: 1 values, but the rows before have 2");
  CHECK(fault("0,1,1\n") == "DATA/b:1: 2 values, but the rows before have 3");
  CHECK(fault("0,1\n\n0,x\n") == "DATA/a:3: \"x\" is not an integer; values are 0 to 255");
  CHECK(fault("0,1.0\n") == "DATA/a:1: \"1.0\" is not an integer; values are 0 to 255");
  CHECK(fault("0,,1\n") == "DATA/a:1: \"\" is not an integer; values are 0 to 255");
  CHECK(fault("0,1,\n") == "DATA/a:1: nothing follows the last comma; each needs a value after it");
  CHECK(fault("0,-1\n") == "DATA/a:1: -1 is out of range; values are 0 to 255");
  CHECK(fault("0,256\n") == "DATA/a:1: 256 is out of range; values are 0 to 255");
  CHECK(fault("\n") == "DATA/a: has no rows; a split needs one at least");

  folder.pack("a", std::string(100000, '1') + "\n");
  fs::resize_file(folder.path / "a", fs::file_size(folder.path / "a") / 2);
  CHECK(dataset_refusal(kFiles, folder.path)
            .starts_with(kTableSays + "DATA/a: cannot be unpacked: "));
  CHECK(dataset_refusal(R"({"type": "table", "name": "one", "levels": 1})", folder.path) ==
        kTableSays + "\"levels\" must be 2 at least, or 0, not 1");
}

TEST_CASE("table reads the density estimation benchmarks whole" *
          doctest::test_suite("data/density")) {
  const auto data = test::real_data("density");
  if (data.empty()) return;
  // Sizes as published with the collection (kdd has 64 variables, though its table says 65); the
  // last column is the share of ones in the training rows, to four digits.
  struct Known {
    const char* name;
    std::int64_t D, train, valid, test;
    double ones;
  };
  for (const auto& known :
       {Known{"nltcs", 16, 16181, 2157, 3236, 0.3315},
        Known{"msnbc", 17, 291326, 38843, 58265, 0.1663},
        Known{"kdd", 64, 180092, 19907, 34955, 0.0079}, Known{"dna", 180, 1600, 400, 1186, 0.2527},
        Known{"mushrooms", 112, 2000, 500, 5624, 0.1875}}) {
    CAPTURE(known.name);
    const auto table =
        make_dataset(fmt::format(R"({{"type": "table", "name": "{}"}})", known.name), data);
    CHECK(table->space() == StateSpace::uniform(known.D, 2));
    CHECK(table->size(Split::kTrain) == known.train);
    CHECK(table->size(Split::kValid) == known.valid);
    CHECK(table->size(Split::kTest) == known.test);
    const auto ones = all_rows(*table, Split::kTrain).to(torch::kDouble).mean().item<double>();
    CHECK(std::abs(ones - known.ones) < 1e-3);
  }
}
