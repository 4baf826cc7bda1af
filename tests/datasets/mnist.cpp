#include <set>

#include <fmt/format.h>

#include "folder.h"
#include "host/evaluation/evaluator.h"
#include "toy.h"

using namespace marginalia;
namespace fs = std::filesystem;
using test::all_rows;
using test::dataset_refusal;
using test::Folder;
using test::make_dataset;

namespace {

const std::string kMnistSays = "dataset mnist (plugin mnist): ";

std::string mnist_spec(const std::string& binarisation, const std::string& more = "") {
  return fmt::format(R"({{"type": "mnist", "binarisation": "{}"{}{}}})", binarisation,
                     more.empty() ? "" : ", ", more);
}

std::string big_endian(std::int64_t value) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0})
    bytes += static_cast<char>(value >> shift);
  return bytes;
}

std::string idx(const std::vector<std::int64_t>& sizes, const std::string& values) {
  auto text = big_endian(0x0800 + std::int64_t(sizes.size()));
  for (const auto size : sizes)
    text += big_endian(size);
  return text + values;
}

/// Grey levels 0, 10, 20, ...: n pictures of 2x3.
std::string pictures(std::int64_t n) {
  std::string values;
  for (std::int64_t i = 0; i < n * 6; ++i)
    values += static_cast<char>(10 * i % 256);
  return values;
}

/// Five training pictures and two of the test.
void write_images(const Folder& folder) {
  folder.write("mnist/train-images-idx3-ubyte", idx({5, 2, 3}, pictures(5)));
  folder.pack("mnist/train-labels-idx1-ubyte.gz", idx({5}, std::string("\7\6\5\4\3", 5)));
  folder.pack("mnist/t10k-images-idx3-ubyte.gz", idx({2, 2, 3}, pictures(2)));
  folder.write("mnist/t10k-labels-idx1-ubyte", idx({2}, std::string("\1\2", 2)));
}

torch::Tensor greys(std::int64_t from, std::int64_t to) {
  return torch::arange(6 * from, 6 * to).mul(10).remainder(256).view({-1, 6});
}

/// Row r has pixel p on where (r + p) is divisible by 3.
std::string amat(int rows) {
  std::string text;
  for (int r = 0; r < rows; ++r)
    for (int p = 0; p < 784; ++p)
      text += fmt::format("{}{}", (r + p) % 3 == 0 ? 1 : 0, p == 783 ? '\n' : ' ');
  return text;
}

std::string bits(int rows) {
  std::string text;
  for (int r = 0; r < rows; ++r)
    for (int byte = 0; byte < 98; ++byte) {
      int value = 0;
      for (int b = 0; b < 8; ++b)
        value = 2 * value + ((r + 8 * byte + b) % 3 == 0);
      text += static_cast<char>(value);
    }
  return text;
}

void write_static(const Folder& folder) {
  folder.write("binarized_mnist/binarized_mnist_train.amat", amat(3));
  folder.pack("binarized_mnist/binarized_mnist_valid.bits.gz", bits(2));
  folder.pack("binarized_mnist/binarized_mnist_test.amat.gz", amat(1));
}

/// Says which rows an evaluation lends, each having as many ones as its index.
class Seen final : public Metric {
 public:
  static constexpr const char* kName = "seen";
  static constexpr const char* kSummary = "rows that an evaluation lends";
  struct Params {
    void visit(ParamVisitor&) {}
  };
  explicit Seen(const Params&) {}
  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    std::vector<std::int64_t> indices;
    for (const auto& row : evaluation.data_rows().unbind())
      indices.push_back(row.sum().item<std::int64_t>());
    Measurement measurement;
    measurement.estimator = "exact";
    measurement.more = {{"indices", indices}};
    return {measurement};
  }
};

}  // namespace

TEST_CASE("mnist reads IDX files and keeps the last training pictures for validation") {
  const Folder folder;
  write_images(folder);
  const auto mnist = make_dataset(mnist_spec("grey", R"("valid_rows": 2)"), folder.path);
  CHECK(mnist->space() == StateSpace::uniform(6, 256, {2, 3}));
  CHECK(all_rows(*mnist, Split::kTrain).equal(greys(0, 3)));
  CHECK(all_rows(*mnist, Split::kValid).equal(greys(3, 5)));
  CHECK(all_rows(*mnist, Split::kTest).equal(greys(0, 2)));
  CHECK(mnist->labels(Split::kTrain, torch::tensor({2, 0}, torch::kLong))
            .equal(torch::tensor({5, 7}, torch::kLong)));
  CHECK(mnist->labels(Split::kValid, torch::arange(2)).equal(torch::tensor({4, 3}, torch::kLong)));
  CHECK(mnist->labels(Split::kTest, torch::arange(2)).equal(torch::tensor({1, 2}, torch::kLong)));

  const auto coarse =
      make_dataset(mnist_spec("grey", R"("valid_rows": 2, "levels": 4)"), folder.path);
  CHECK(coarse->space().levels() == 4);
  CHECK(all_rows(*coarse, Split::kTrain).equal(greys(0, 3).div(64, "floor")));
}

TEST_CASE("mnist by a threshold is 1 from that grey level on") {
  const Folder folder;
  write_images(folder);
  const auto ones = [&](const std::string& more) {
    return all_rows(
        *make_dataset(mnist_spec("threshold", R"("valid_rows": 2)" + more), folder.path),
        Split::kTrain);
  };
  CHECK(ones("").equal(greys(0, 3).ge(128).to(torch::kLong)));
  CHECK(ones(R"(, "threshold": 30)").equal(greys(0, 3).ge(30).to(torch::kLong)));
}

TEST_CASE("a stochastic pixel is 1 with probability grey / 255, drawn anew each epoch") {
  const Folder folder;
  write_images(folder);
  const auto mnist = make_dataset(mnist_spec("stochastic", R"("valid_rows": 2)"), folder.path);
  constexpr int kEpochs = 4000;
  auto sum = torch::zeros({3, 6}, torch::kDouble);
  for (int epoch = 0; epoch < kEpochs; ++epoch)
    sum += all_rows(*mnist, Split::kTrain, std::uint64_t(epoch));
  const auto p = greys(0, 3).to(torch::kDouble) / 255;
  const auto error = (sum / kEpochs - p).abs();
  const auto deviation = (p * (1 - p) / kEpochs).sqrt();
  CHECK((error <= 4.5 * deviation).all().item<bool>());  // and 0 stays 0
  CHECK_FALSE(all_rows(*mnist, Split::kTrain, 1).equal(all_rows(*mnist, Split::kTrain, 2)));
  for (const auto split : {Split::kValid, Split::kTest})
    CHECK(all_rows(*mnist, split, 1).equal(all_rows(*mnist, split, 2)));
}

TEST_CASE("static mnist reads text and packed bits alike, and has no labels") {
  const Folder folder;
  write_static(folder);
  const auto mnist = make_dataset(R"({"type": "mnist"})", folder.path);
  CHECK(mnist->space() == StateSpace::uniform(784, 2, {28, 28}));
  const auto expected = [](std::int64_t rows) {
    return (torch::arange(rows).unsqueeze(1) + torch::arange(784))
        .remainder(3)
        .eq(0)
        .to(torch::kLong);
  };
  CHECK(all_rows(*mnist, Split::kTrain).equal(expected(3)));
  CHECK(all_rows(*mnist, Split::kValid).equal(expected(2)));
  CHECK(all_rows(*mnist, Split::kTest).equal(expected(1)));
  CHECK_FALSE(mnist->labels(Split::kTrain, torch::arange(3)).defined());
}

TEST_CASE("mnist says what is missing, where it is published, and how to fetch it") {
  const Folder folder;
  write_static(folder);
  fs::remove(folder.path / "binarized_mnist/binarized_mnist_train.amat");
  CHECK(dataset_refusal(R"({"type": "mnist"})", folder.path) ==
        kMnistSays +
            "files are missing:\n"
            "  - DATA/binarized_mnist/binarized_mnist_train.amat, or that with .gz or .zip\n"
            "    from http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
            "binarized_mnist_train.amat "
            "(sha256:ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d)\n"
            "  fetch with: marginalia data fetch mnist\n"
            "  or name the data directory where they are with --data DIR or $MARGINALIA_DATA");
  const auto all = dataset_refusal(mnist_spec("threshold"), folder.path);
  for (const auto* part :
       {"DATA/mnist/train-images-idx3-ubyte, or", "DATA/mnist/t10k-images-idx3-ubyte, or",
        "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"}) {
    CAPTURE(part);
    CHECK(all.find(part) != all.npos);
  }
}

TEST_CASE("labels that are not named may be missing, and pictures may be turned") {
  const Folder folder;
  write_images(folder);
  const auto turned =
      make_dataset(mnist_spec("grey", R"("valid_rows": 2, "transpose": true)"), folder.path);
  const auto straight = make_dataset(mnist_spec("grey", R"("valid_rows": 2)"), folder.path);
  CHECK(turned->space().shape == std::vector<std::int64_t>{3, 2});
  for (const auto split : {Split::kTrain, Split::kValid, Split::kTest})
    CHECK(all_rows(*turned, split)
              .view({-1, 3, 2})
              .transpose(1, 2)
              .equal(all_rows(*straight, split).view({-1, 2, 3})));
  fs::remove(folder.path / "mnist/train-labels-idx1-ubyte.gz");
  const auto some = make_dataset(mnist_spec("threshold", R"("valid_rows": 2)"), folder.path);
  CHECK_FALSE(some->labels(Split::kTrain, torch::arange(1)).defined());
  CHECK_FALSE(some->labels(Split::kValid, torch::arange(1)).defined());
  CHECK(some->labels(Split::kTest, torch::arange(1)).equal(torch::tensor({1}, torch::kLong)));
  CHECK(
      dataset_refusal(mnist_spec("grey", R"("valid_rows": 2, "train_labels": "mine")"), folder.path)
          .starts_with(kMnistSays + "DATA/mine: there is no such file, nor that with .gz or .zip"));
}

TEST_CASE("mnist names file and position of what is wrong in an IDX file") {
  const Folder folder;
  const auto fault = [&](const std::string& file, const std::string& text) {
    write_images(folder);
    folder.write("mnist/" + file, text);
    const auto message = dataset_refusal(mnist_spec("grey", R"("valid_rows": 2)"), folder.path);
    return message.starts_with(kMnistSays) ? message.substr(kMnistSays.size()) : message;
  };
  const std::string train = "train-images-idx3-ubyte", test = "t10k-images-idx3-ubyte";
  const auto whole = idx({5, 2, 3}, pictures(5));
  CHECK(fault(train, whole.substr(0, 7)) ==
        "DATA/mnist/train-images-idx3-ubyte: ends at byte 7, in a header of 16 bytes; get the file "
        "anew");
  CHECK(fault(train, whole.substr(0, 40)) ==
        "DATA/mnist/train-images-idx3-ubyte: has 40 bytes, but its header asks for 46; get the "
        "file anew");
  CHECK(fault(train, idx({5}, "\1\2\3\4\5") + std::string(40, '\0')) ==
        "DATA/mnist/train-images-idx3-ubyte: has 1 dimensions; pictures, idx3-ubyte, with 3 are "
        "wanted");
  CHECK(fault(train, std::string("\0\0\x0d\3", 4) + whole.substr(4)) ==
        "DATA/mnist/train-images-idx3-ubyte: holds floats (0x0D); pictures, idx3-ubyte, which are "
        "bytes, are wanted");
  CHECK(fault(train, std::string("\0\0\x0b\3", 4) + whole.substr(4)) ==
        "DATA/mnist/train-images-idx3-ubyte: holds short integers (0x0B); pictures, idx3-ubyte, "
        "which are bytes, are wanted");
  CHECK(fault(train, "PNG..") ==
        "DATA/mnist/train-images-idx3-ubyte: is no IDX file; pictures, idx3-ubyte, are wanted");
  CHECK(fault(train, idx({4, 2, 3}, pictures(4))) ==
        "DATA/mnist/train-images-idx3-ubyte: has 4 pictures, but "
        "DATA/mnist/train-labels-idx1-ubyte.gz has 5 labels");
  CHECK(fault(test, idx({2, 3, 3}, std::string(18, '\1'))) ==
        "DATA/mnist/t10k-images-idx3-ubyte: its pictures are 3x3, those of "
        "DATA/mnist/train-images-idx3-ubyte are 2x3");
  fs::remove(folder.path / "mnist" / test);
  CHECK(dataset_refusal(mnist_spec("grey", R"("valid_rows": 5)"), folder.path) ==
        kMnistSays +
            "DATA/mnist/train-images-idx3-ubyte: has 5 pictures of 2x3; \"valid_rows\" takes 5 of "
            "them, and each split needs one at least");
  folder.pack("mnist/t10k-images-idx3-ubyte.gz", idx({2, 2, 3}, std::string(12, '\x55')));
  fs::resize_file(folder.path / "mnist/t10k-images-idx3-ubyte.gz", 25);
  CHECK(dataset_refusal(mnist_spec("grey"), folder.path) ==
        kMnistSays +
            "DATA/mnist/t10k-images-idx3-ubyte.gz: cannot be unpacked: unexpected end of file; get "
            "the file anew");
}

TEST_CASE("static mnist names file and position of what is no row") {
  const Folder folder;
  const auto fault = [&](const std::string& text, const std::string& ending = "amat") {
    write_static(folder);
    fs::remove(folder.path / "binarized_mnist/binarized_mnist_train.amat");
    folder.write("binarized_mnist/binarized_mnist_train." + ending, text);
    const auto message = dataset_refusal(R"({"type": "mnist"})", folder.path);
    fs::remove(folder.path / ("binarized_mnist/binarized_mnist_train." + ending));
    return message.starts_with(kMnistSays) ? message.substr(kMnistSays.size()) : message;
  };
  const std::string file = "DATA/binarized_mnist/binarized_mnist_train.amat:";
  CHECK(fault(amat(1) + amat(1).substr(2)) == file + "2: 783 values; a row has 784");
  CHECK(fault(amat(1) + "0 1 2 0\n") ==
        file + "2:5: \"2\" is not a pixel; pixels are 0 or 1, separated by blanks");
  CHECK(fault("0 10 1\n") ==
        file + "1:3: \"10\" is not a pixel; pixels are 0 or 1, separated by blanks");
  CHECK(fault("\n") ==
        "DATA/binarized_mnist/binarized_mnist_train.amat: has no rows; a split needs one at least");
  CHECK(fault(bits(2) + "x", "bits") ==
        "DATA/binarized_mnist/binarized_mnist_train.bits: has 197 bytes, which are not whole rows "
        "of 98; get the file anew");
}

// The static test rows are grouped by digit: the first ones would all be zeros.
TEST_CASE("an evaluation on some of the static test rows draws them from all") {
  const Folder folder;
  write_static(folder);
  fs::remove(folder.path / "binarized_mnist/binarized_mnist_test.amat.gz");
  std::string rows;
  constexpr int kRows = 200, kAsked = 50;
  for (int r = 0; r < kRows; ++r)
    for (int p = 0; p < 784; ++p)
      rows += fmt::format("{}{}", p < r ? 1 : 0, p == 783 ? '\n' : ' ');
  folder.write("binarized_mnist/binarized_mnist_test.amat", rows);
  auto registry = test::loaded_registry();
  registry.add<test::toy::Idle, test::toy::Flat, Seen>();
  Experiment experiment(Spec::from_text(R"({"marginalia": 2, "dataset": {"type": "mnist"},
                          "network": {"type": "flat"}, "family": {"type": "idle"},
                          "training": {"steps": 1}, "evaluation": {"metrics": ["seen"]}})",
                                        "spec.json", {folder.path / "beside", folder.path}),
                        registry, "cpu");
  const auto seen = [&](const Count& count, std::uint64_t seed) {
    const auto result =
        evaluate(experiment, {experiment.evaluation.metrics, count, Split::kTest, seed});
    const auto& indices = result.at("metrics").at("seen").at("exact").at("indices");
    return indices.get<std::vector<std::int64_t>>();
  };
  const auto some = seen({kAsked, false}, 1);
  CHECK(some.size() == kAsked);
  CHECK(std::set(some.begin(), some.end()).size() == kAsked);
  // Of 50 out of 200 uniform ones, 12.5 lie in each quarter on average, 2.7 the deviation.
  for (int quarter = 0; quarter < 4; ++quarter)
    CHECK(std::ranges::count_if(some, [&](auto i) { return i / 50 == quarter; }) >= 3);
  CHECK(seen({kAsked, false}, 1) == some);
  CHECK(seen({kAsked, false}, 2) != some);
  CHECK(seen({0, true}, 1).size() == kRows);
}

TEST_CASE("MNIST as published" * doctest::test_suite("data/mnist")) {
  const auto data = test::real_data("mnist/train-images-idx3-ubyte.gz");
  if (data.empty()) return;
  const auto mnist = make_dataset(mnist_spec("grey"), data);
  CHECK(mnist->space().shape == std::vector<std::int64_t>{28, 28});
  CHECK(mnist->size(Split::kTrain) == 50000);
  CHECK(mnist->size(Split::kValid) == 10000);
  CHECK(mnist->size(Split::kTest) == 10000);
  // Digits of the test set: 980 zeros to 1009 nines, as published with it.
  const auto digits = mnist->labels(Split::kTest, torch::arange(10000)).bincount({}, 10);
  CHECK(digits.equal(
      torch::tensor({980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}, torch::kLong)));
}

TEST_CASE("static MNIST as published: independent pixels give 205.793 nats on the test rows" *
          doctest::test_suite("data/binarized_mnist")) {
  const auto data = test::real_data("binarized_mnist/binarized_mnist_train.bits.gz");
  if (data.empty()) return;
  const auto mnist = make_dataset(R"({"type": "mnist"})", data);
  const auto train = all_rows(*mnist, Split::kTrain).to(torch::kDouble);
  const auto test = all_rows(*mnist, Split::kTest).to(torch::kDouble);
  CHECK(train.size(0) == 50000);
  CHECK(mnist->size(Split::kValid) == 10000);
  const auto p = (train.sum(0) + 1) / double(train.size(0) + 2);
  const auto nll = -(test * p.log() + (1 - test) * (1 - p).log()).sum(1).mean().item<double>();
  CHECK(std::abs(nll - 205.793) < 5e-4);
}
