/// \file
/// Any text in UTF-8, by character: the alphabet is the code points that occur in it, in order.
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/dataset.h>
#include <marginalia/files.h>
#include <marginalia/plugin.h>
#include <marginalia/source.h>
#include <marginalia/text_file.h>

#include "code_points.h"
#include "crops.h"

using namespace marginalia;

namespace {

class Text final : public Dataset {
 public:
  static constexpr const char* kName = "text";
  static constexpr const char* kSummary = "characters of any UTF-8 file, cut into rows";
  static constexpr const char* kExample =
      R"({"file": "text/tiny.txt", "split": [0.6, 0.2, 0.2], "length": 10})";

  struct Params {
    FilePath file;
    std::vector<double> split{0.9, 0.05, 0.05};
    std::int64_t length = 250;
    void visit(ParamVisitor& p) {
      p("file", file, {.doc = "the text, plain, .gz or .zip"});
      p("split", split,
        {.doc = "shares of train, valid and test, in the file's order", .min = 0.0, .max = 1.0});
      p("length", length,
        {.doc = "D, characters of a row: random crops in training, else one after the other",
         .min = 1});
    }
  };

  explicit Text(const Params& params);

  const StateSpace& space() const override { return space_; }
  std::int64_t size(Split split) const override { return crops_.size(split); }

 private:
  Tensor compute_rows(Split split, const Tensor& indices, std::uint64_t key) const override {
    return crops_.rows(split, indices, key).to(torch::kLong);
  }

  Crops crops_;
  StateSpace space_;
};

/// The ends of the shares, rounded, differ by at most one from the exact ones.
Crops::Sizes compute_sizes(const std::vector<double>& shares, std::int64_t N) {
  const auto sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  if (shares.size() != 3 || sum > 1 + 1e-9)
    throw SpecError("\"split\" must be three shares, of train, valid and test, with a sum of 1 at "
                    "most, as [0.9, 0.05, 0.05]");
  Crops::Sizes sizes{};
  double end = 0;
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    end += shares[i];
    const auto until = std::min<std::int64_t>(std::llround(end * double(N)), N);
    sizes[i] = until - begin;
    begin = until;
  }
  return sizes;
}

Text::Text(const Params& params) {
  if (!params.file) throw SpecError("needs a \"file\"");
  const auto file = find_packed(params.file.found);
  if (file.empty())
    throw SpecError("file is missing:" + list_missing("text", {}, {params.file.found}));
  const TextFile text(file);
  const auto points = decode_utf8(text.text(), text.name());
  auto alphabet = points;
  std::ranges::sort(alphabet);
  alphabet.erase(std::unique(alphabet.begin(), alphabet.end()), alphabet.end());
  const auto levels =
      torch::searchsorted(torch::tensor(alphabet, torch::kInt), torch::tensor(points, torch::kInt),
                          true);  // int32 [N]
  crops_ = Crops(levels, compute_sizes(params.split, levels.numel()), params.length, file.string());
  space_ = StateSpace::uniform(params.length, std::int64_t(alphabet.size()));
  for (const auto point : alphabet)
    space_.alphabet.push_back(encode_utf8(point));
}

}  // namespace

MARGINALIA_PLUGIN(Text);
