#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <png.h>
#include <torch/types.h>

#include <marginalia/error.h>

#include "picture.h"

namespace marginalia {

namespace {

constexpr std::int64_t kWanted = 84;  // pixels along the longer side of a picture, at least so many
constexpr std::int64_t kGap = 2;      // pixels between pictures
constexpr int kGround = 96;           // grey behind them

/// uint8 [H, W] -> a PNG file.
std::string encode(const Tensor& grey) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(grey.size(1));
  image.height = static_cast<png_uint_32>(grey.size(0));
  image.format = PNG_FORMAT_GRAY;
  const auto* pixels = grey.data_ptr<std::uint8_t>();
  const auto write = [&](void* at, png_alloc_size_t& size) {
    if (png_image_write_to_memory(&image, at, &size, 0, pixels, 0, nullptr) == 0)
      throw Error(fmt::format("libpng: {}", image.message));
  };
  png_alloc_size_t size = 0;
  write(nullptr, size);
  std::string bytes(size, '\0');
  write(bytes.data(), size);
  bytes.resize(size);
  return bytes;
}

}  // namespace

std::string picture_grid(const StateSpace& space, const Tensor& x) {
  space.check(x, true, "picture_grid");
  if (space.shape.size() != 2 || x.size(0) == 0)
    throw Error(fmt::format("picture_grid: needs states of a shape [H, W], not {} of [{}]",
                            x.size(0), fmt::join(space.shape, ", ")));
  const auto N = x.size(0), H = space.shape[0], W = space.shape[1];
  const auto white = torch::tensor(space.cardinalities, torch::kFloat).sub(1).clamp_min(1);
  const auto grey = torch::where(x.eq(kUnknown), torch::scalar_tensor(127.5),
                                 x.to(torch::kCPU, torch::kFloat) * 255 / white);
  const auto scale = std::max<std::int64_t>(1, kWanted / std::max(H, W));
  const auto pictures = grey.round()
                            .to(torch::kByte)
                            .view({N, H, W})
                            .repeat_interleave(scale, 1)
                            .repeat_interleave(scale, 2);
  const auto columns = static_cast<std::int64_t>(std::ceil(std::sqrt(double(N))));
  const auto rows = (N + columns - 1) / columns;
  const auto high = H * scale + kGap, wide = W * scale + kGap;
  auto grid = torch::full({rows * high + kGap, columns * wide + kGap}, kGround, torch::kByte);
  for (std::int64_t n = 0; n < N; ++n) {
    const auto top = kGap + n / columns * high, left = kGap + n % columns * wide;
    grid.slice(0, top, top + H * scale).slice(1, left, left + W * scale).copy_(pictures[n]);
  }
  return encode(grid);
}

}  // namespace marginalia
