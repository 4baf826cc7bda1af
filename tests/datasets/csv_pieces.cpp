// How the numbers of a column are cut into pieces that cover all values.
#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "marginalia_test.h"
#include "shared/tables/encoding.h"

using namespace marginalia;
using namespace marginalia::tables;

namespace {

/// Numbers with an atom, a long tail and gaps.
std::vector<std::int64_t> skewed() {
  std::mt19937 random(5);
  std::vector<std::int64_t> indices(300, 40);
  std::exponential_distribution<double> tail(0.02);
  for (int n = 0; n < 700; ++n)
    indices.push_back(20 + std::int64_t(tail(random)));
  return indices;
}

}  // namespace

TEST_CASE("csv: pieces cover every value once, and each has the probability 1") {
  for (const std::int64_t bins : {1, 2, 8, 32, 1000}) {
    CAPTURE(bins);
    const auto pieces = cut(skewed(), bins);
    std::int64_t rows = 0;
    for (const auto& piece : pieces)
      rows += piece.rows;
    CHECK(rows == 1000);
    const auto atom = std::ranges::find_if(pieces, [](const auto& p) { return p.has(40); });
    CHECK((atom->shape == Piece::Shape::kAtom) == (bins >= 8));
    if (bins >= 8) CHECK(atom->rows >= 300);
    for (std::int64_t index = -2000; index < 4000; ++index) {
      const auto having =
          std::ranges::count_if(pieces, [&](const auto& p) { return p.has(index); });
      if (having != 1) CAPTURE(index);
      CHECK(having == 1);
    }
    for (const auto& piece : pieces) {
      double mass = 0, part = 0;
      for (std::int64_t index = -60000; index < 60000; ++index) {
        if (!piece.has(index)) continue;
        const auto p = std::exp(piece.log_probability(index));
        mass += p;
        if (index >= 30 && index <= 60) part += p;
      }
      CHECK(mass == doctest::Approx(1).epsilon(1e-9));
      CHECK(piece.share(30, 60) == doctest::Approx(part).epsilon(1e-9));
    }
  }
}

TEST_CASE("csv: beyond the training rows lies what one more row may be") {
  const auto indices = skewed();
  const auto [low, high] = std::ranges::minmax(indices);
  const auto pieces = cut(indices, 8);
  const auto &front = pieces.front(), &back = pieces.back();
  CHECK(front.share(-Encoding::kFarthest, low - 1) == doctest::Approx(1 / (front.rows + 1.0)));
  CHECK(back.share(high + 1, Encoding::kFarthest) == doctest::Approx(1 / (back.rows + 1.0)));
  CHECK(front.rows > 10);
  // As descriptions of runs from before had it: one law for all steps.
  const Piece old{Piece::Shape::kAbove, 5, 5, 0.5, 100};
  for (std::int64_t n = 0; n < 20; ++n)
    CHECK(old.log_probability(5 + n) == doctest::Approx(double(n + 1) * std::log(0.5)));
  CHECK(old.share(6, 7) == doctest::Approx(0.375));
}

TEST_CASE("csv: shares of a far tail are as small as they are, and not 0") {
  // In the last of four bins some 250 rows at its edge, and one at 2,000: r is about .9.
  std::vector<std::int64_t> indices{2000};
  for (int n = 0; n < 999; ++n)
    indices.push_back(n < 500 ? n % 10 : 10 + n % 4);
  const auto pieces = cut(indices, 4);
  const auto& tail = pieces.back();
  REQUIRE((tail.shape == Piece::Shape::kAbove));
  REQUIRE(tail.has(2000));
  for (const std::int64_t index : {12, 200, 300, 1999, 2000, 2001, 2500})
    CHECK(std::log(tail.share(index, index)) ==
          doctest::Approx(tail.log_probability(index)).epsilon(1e-9));
  CHECK(tail.share(200, 300) > tail.share(201, 300));
  CHECK(tail.at(0.5, 1500, 1900) < 1520);  // they fall from the near edge on
  CHECK(tail.at(0.5, 3000, 3900) < 3020);
}

TEST_CASE("csv: draws within a piece follow its law") {
  for (const auto& piece : cut(skewed(), 8)) {
    std::map<std::int64_t, int> counts;
    constexpr int kDraws = 40000;
    for (int n = 0; n < kDraws; ++n)
      ++counts[piece.at((n + 0.5) / kDraws, -100000, 100000)];
    for (const auto& [index, count] : counts) {
      REQUIRE(piece.has(index));
      CHECK(std::abs(count - kDraws * std::exp(piece.log_probability(index))) < 2);
    }
    if (piece.share(30, 60) == 0) continue;
    for (const double u : {0.0, 0.3, 0.999}) {
      const auto index = piece.at(u, 30, 60);
      CHECK(piece.has(index));
      CHECK(index >= 30);
      CHECK(index <= 60);
    }
  }
}
