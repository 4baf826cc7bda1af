#include "host/formats/picture.h"

#include <png.h>

#include "marginalia_test.h"

using namespace marginalia;

namespace {

/// The grey levels of a PNG file, uint8 [H, W].
torch::Tensor decode(const std::string& bytes) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) != 0);
  CHECK((image.format & PNG_FORMAT_FLAG_COLOR) == 0);
  image.format = PNG_FORMAT_GRAY;
  auto grey = torch::empty({std::int64_t(image.height), std::int64_t(image.width)}, torch::kByte);
  REQUIRE(png_image_finish_read(&image, nullptr, grey.data_ptr<std::uint8_t>(), 0, nullptr) != 0);
  return grey;
}

}  // namespace

TEST_CASE("a grid of pictures shows each state in its place, enlarged") {
  const auto space = StateSpace::uniform(6, 3, {2, 3});
  const auto x =
      torch::tensor({{0, 1, 2, 2, 1, 0}, {2, 2, 2, 0, 0, -1}, {1, 1, 1, 1, 1, 1}}, torch::kLong);
  const auto grey = decode(picture_grid(space, x));
  constexpr std::int64_t kScale = 28, kGap = 2;  // 84 / 3
  REQUIRE(grey.sizes() ==
          at::IntArrayRef{2 * (2 * kScale + kGap) + kGap, 2 * (3 * kScale + kGap) + kGap});
  const int shade[] = {0, 128, 255};
  for (std::int64_t n = 0; n < 3; ++n)
    for (std::int64_t i = 0; i < 6; ++i) {
      const auto top = kGap + n / 2 * (2 * kScale + kGap) + i / 3 * kScale;
      const auto left = kGap + n % 2 * (3 * kScale + kGap) + i % 3 * kScale;
      const auto cell = grey.slice(0, top, top + kScale).slice(1, left, left + kScale);
      const auto value = x[n][i].item<std::int64_t>();
      CAPTURE(n);
      CAPTURE(i);
      CHECK(cell.eq(value < 0 ? 128 : shade[value]).all().item<bool>());
    }
  CHECK(grey.slice(0, 0, kGap).eq(96).all().item<bool>());  // the frame
}

TEST_CASE("large pictures keep their size, and what is no picture is refused") {
  const auto large = StateSpace::uniform(100 * 90, 2, {100, 90});
  CHECK(decode(picture_grid(large, torch::ones({1, 9000}, torch::kLong))).sizes() ==
        at::IntArrayRef{104, 94});
  const auto line = StateSpace::uniform(4, 2);
  CHECK(test::refusal([&] {
          picture_grid(line, torch::zeros({2, 4}, torch::kLong));
        }) == "picture_grid: needs states of a shape [H, W], not 2 of [4]");
}
