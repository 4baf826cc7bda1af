/// \file
/// Handwritten digits: 28x28 grey levels, 50,000 / 10,000 / 10,000 pictures.
///
/// Files: the IDX files of LeCun, Cortes and Burges (any pictures in this form will do), and for
/// `static` the fixed binarisation of Salakhutdinov and Murray (2008), ICML, as text (.amat,
/// Larochelle) or one bit a pixel (.bits: 98 bytes a row, most significant bit first).
#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/dataset.h>
#include <marginalia/files.h>
#include <marginalia/plugin.h>
#include <marginalia/source.h>
#include <marginalia/stream.h>

#include "picture_file.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

constexpr std::array kSplits{Split::kTrain, Split::kValid, Split::kTest};
constexpr std::int64_t kSide = 28, kPixels = kSide * kSide;  // of the fixed binarisation

Tensor to_bytes(std::string_view text) {
  return torch::from_blob(const_cast<char*>(text.data()), {std::int64_t(text.size())}, torch::kByte)
      .clone();
}

/// -> uint8 [sizes...].
Tensor read_idx(const fs::path& file, std::size_t rank) {
  const auto idx = pictures::parse_idx(read_unpacked(file), file.string(), rank);
  return to_bytes(idx.values()).view(idx.sizes);
}

/// Rows of the fixed binarisation: uint8 [N, 784], 0 or 1.
Tensor read_binary(const fs::path& file) {
  const bool text = file.filename().string().find(".amat") != std::string::npos;
  const auto pixels = text ? pictures::read_amat(TextFile(file), kPixels)
                           : pictures::unpack_bits(read_unpacked(file), file.string(), kPixels);
  if (pixels.empty())
    throw SpecError(fmt::format("{}: has no rows; a split needs one at least", file.string()));
  return torch::tensor(pixels, torch::kByte).view({-1, kPixels});
}

std::vector<PublicFile> idx_sources() {
  const auto source = [](const char* name, std::int64_t bytes, const char* sha256) {
    return PublicFile{fmt::format("mnist/{}.gz", name),
                      fmt::format("https://storage.googleapis.com/cvdf-datasets/mnist/{}.gz", name),
                      bytes, fmt::format("sha256:{}", sha256)};
  };
  return {source("train-images-idx3-ubyte", 9912422,
                 "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
          source("train-labels-idx1-ubyte", 28881,
                 "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
          source("t10k-images-idx3-ubyte", 1648877,
                 "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
          source("t10k-labels-idx1-ubyte", 4542,
                 "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2")};
}

std::vector<PublicFile> static_sources() {
  const auto source = [](Split split, std::int64_t rows, const char* sha256, const char* bits) {
    const auto name = fmt::format("binarized_mnist_{}", to_string(split));
    return PublicFile{
        fmt::format("binarized_mnist/{}.amat", name),
        fmt::format("http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/{}.amat",
                    name),
        rows * 2 * kPixels,
        fmt::format("sha256:{}", sha256),
        fmt::format("binarized_mnist/{}.bits", name),
        fmt::format("sha256:{}", bits)};
  };
  return {source(Split::kTrain, 50000,
                 "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
                 "727146c35424b019f3e350e1e69faa05644a0abaf787e3f4e1a9632220a13906"),
          source(Split::kValid, 10000,
                 "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
                 "a256ac44ae26be720fad8616a05ed6ecfd1619930d9a208379bb2a4405df5b6d"),
          source(Split::kTest, 10000,
                 "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
                 "9fcd8da6f0fdf09b2ba30fe63a0bb784042a0de82563172530229b983e294ff2")};
}

class Mnist final : public Dataset {
 public:
  static constexpr const char* kName = "mnist";
  static constexpr const char* kSummary = "pictures from IDX files, as MNIST, made binary or grey";
  static constexpr const char* kSource =
      "LeCun, Cortes and Burges, yann.lecun.com/exdb/mnist; static: Salakhutdinov and Murray "
      "(2008), ICML; Larochelle and Murray (2011), AISTATS";
  static constexpr const char* kExample = R"({"binarisation": "stochastic", "valid_rows": 2})";
  static std::vector<PublicFile> sources() {
    auto all = idx_sources();
    for (auto& source : static_sources())
      all.push_back(std::move(source));
    return all;
  }

  struct Params {
    std::string binarisation = "static";
    FilePath folder{"mnist", {}}, static_folder{"binarized_mnist", {}};
    FilePath train_images, train_labels, test_images, test_labels;
    std::int64_t valid_rows = 10000, threshold = 128, levels = 256;
    bool transpose = false;
    void visit(ParamVisitor& p) {
      p("binarisation", binarisation,
        {.doc = "static: the published rows; threshold: 1 from a grey level on; stochastic: 1 with "
                "probability grey / 255, drawn anew each epoch (valid and test: once); grey: not "
                "binary",
         .one_of = {"static", "threshold", "stochastic", "grey"}});
      p("static_folder", static_folder,
        {.doc = "of static: where binarized_mnist_{train,valid,test}.amat or .bits are"});
      p("folder", folder,
        {.doc = "of the others: where {train,t10k}-{images-idx3,labels-idx1}-ubyte are"});
      p("train_images", train_images, {.doc = "file in place of folder's; likewise the others"});
      p("train_labels", train_labels,
        {.doc = "file of their labels; those that are not named may be missing"});
      p("test_images", test_images, {.doc = "file of the test pictures"});
      p("test_labels", test_labels, {.doc = "file of their labels"});
      p("valid_rows", valid_rows,
        {.doc = "the last pictures of the training file, kept for validation", .min = 1});
      p("threshold", threshold, {.doc = "smallest grey level that is 1", .min = 1, .max = 255});
      p("transpose", transpose,
        {.doc = "exchanges the rows and columns of IDX pictures, as EMNIST needs"});
      p("levels", levels,
        {.doc = "K of grey: level g of 256 becomes floor(g K / 256)", .min = 2, .max = 256});
    }
  };

  explicit Mnist(const Params& params);

  const StateSpace& space() const override { return space_; }
  std::int64_t size(Split split) const override { return of(split).size(0); }

 private:
  Tensor compute_rows(Split split, const Tensor& indices, std::uint64_t key) const override;
  Tensor compute_labels(Split split, const Tensor& indices) const override {
    const auto& labels = labels_[std::size_t(split)];
    return labels.defined() ? labels.index_select(0, indices).to(torch::kLong) : labels;
  }
  const Tensor& of(Split split) const { return rows_[std::size_t(split)]; }
  void read_static(const Params& params);
  void read_images(const Params& params);

  std::array<Tensor, 3> rows_;    // uint8 [N, D]: levels, or of stochastic grey ones
  std::array<Tensor, 3> labels_;  // uint8 [N], or undefined: static has none
  bool stochastic_;
  StateSpace space_;
};

/// Each of `files`, packed or not; throws one error about all that are missing.
std::vector<fs::path> find_all(const std::vector<std::vector<fs::path>>& files) {
  std::vector<fs::path> found, missing;
  for (const auto& forms : files) {
    fs::path file;
    for (const auto& form : forms)
      if (file.empty()) file = find_packed(form);
    if (file.empty()) missing.push_back(forms.front());
    found.push_back(file);
  }
  if (missing.empty()) return found;
  throw SpecError("files are missing:" + list_missing("mnist", Mnist::sources(), missing));
}

Mnist::Mnist(const Params& params) : stochastic_(params.binarisation == "stochastic") {
  if (params.binarisation == "static")
    read_static(params);
  else
    read_images(params);
}

void Mnist::read_static(const Params& params) {
  std::vector<std::vector<fs::path>> files;
  for (const auto split : kSplits) {
    const auto name =
        params.static_folder.found / fmt::format("binarized_mnist_{}", to_string(split));
    files.push_back({name.string() + ".amat", name.string() + ".bits"});
  }
  const auto found = find_all(files);
  for (std::size_t i = 0; i < kSplits.size(); ++i) {
    rows_[i] = read_binary(found[i]);
  }
  space_ = StateSpace::uniform(kPixels, 2, {kSide, kSide});
}

/// The labels of `count` pictures: uint8 [N]. Undefined where no file is named and the usual one is
/// not there.
Tensor read_labels(const FilePath& given, const fs::path& expected, const fs::path& images,
                   std::int64_t count) {
  const auto file = find_packed(expected);
  if (file.empty() && !given) {
    warn(fmt::format("{}: there are no labels beside it ({}); none are used", images.string(),
                     expected.filename().string()));
    return {};
  }
  const auto labels = read_idx(given ? given.existing() : file, 1);
  if (labels.size(0) != count)
    throw SpecError(fmt::format("{}: has {} pictures, but {} has {} labels", images.string(), count,
                                file.string(), labels.size(0)));
  return labels;
}

void Mnist::read_images(const Params& params) {
  const auto name = [&](const FilePath& given, const char* usual) {
    return given ? given.found : params.folder.found / usual;
  };
  const auto found = find_all({{name(params.train_images, "train-images-idx3-ubyte")},
                               {name(params.test_images, "t10k-images-idx3-ubyte")}});
  const auto read = [&](const fs::path& file) {
    const auto images = read_idx(file, 3);
    return params.transpose ? images.transpose(1, 2).contiguous() : images;
  };
  const std::array images{read(found[0]), read(found[1])};
  const std::array labels{
      read_labels(params.train_labels, name(params.train_labels, "train-labels-idx1-ubyte"),
                  found[0], images[0].size(0)),
      read_labels(params.test_labels, name(params.test_labels, "t10k-labels-idx1-ubyte"), found[1],
                  images[1].size(0))};
  const auto rows = images[0].size(1), columns = images[0].size(2);
  if (images[1].sizes().slice(1) != images[0].sizes().slice(1))
    throw SpecError(fmt::format("{}: its pictures are {}x{}, those of {} are {}x{}",
                                found[1].string(), images[1].size(1), images[1].size(2),
                                found[0].string(), rows, columns));
  const auto train = images[0].size(0) - params.valid_rows;
  if (train < 1 || images[1].size(0) < 1 || rows * columns < 1)
    throw SpecError(
        fmt::format("{}: has {} pictures of {}x{}; \"valid_rows\" takes {} of them, and "
                    "each split needs one at least",
                    found[train < 1 ? 0 : 1].string(), images[train < 1 ? 0 : 1].size(0), rows,
                    columns, params.valid_rows));
  const auto level = [&](const Tensor& grey) {
    const auto flat = grey.flatten(1);
    if (params.binarisation == "threshold") return flat.ge(params.threshold).to(torch::kByte);
    if (params.binarisation != "grey") return flat;
    return flat.to(torch::kLong).mul(params.levels).div(256, "floor").to(torch::kByte);
  };
  rows_ = {level(images[0].slice(0, 0, train)), level(images[0].slice(0, train)), level(images[1])};
  if (labels[0].defined()) {
    labels_[0] = labels[0].slice(0, 0, train);
    labels_[1] = labels[0].slice(0, train);
  }
  labels_[2] = labels[1];
  const auto K = params.binarisation == "grey" ? params.levels : 2;
  space_ = StateSpace::uniform(rows * columns, K, {rows, columns});
}

Tensor Mnist::compute_rows(Split split, const Tensor& indices, std::uint64_t key) const {
  auto rows = of(split).index_select(0, indices).to(torch::kLong);
  if (!stochastic_) return rows;
  const auto index = indices.contiguous();
  const auto name = fmt::format("mnist/{}", to_string(split));
  auto* pixel = rows.data_ptr<std::int64_t>();
  for (std::int64_t b = 0; b < rows.size(0); ++b) {
    Stream stream(split == Split::kTrain ? key : 0, name,
                  std::uint64_t(index.data_ptr<std::int64_t>()[b]));
    auto* draws = at::check_generator<at::CPUGeneratorImpl>(stream.generator());
    for (const auto* end = pixel + rows.size(1); pixel != end; ++pixel)
      *pixel = std::int64_t(draws->random() * 255ULL >> 32) < *pixel;  // uniform in 0 to 254 < grey
  }
  return rows;
}

}  // namespace

MARGINALIA_PLUGIN(Mnist);
