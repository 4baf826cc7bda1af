#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <marginalia/text_file.h>

namespace marginalia::pictures {

/// The values of an IDX file of bytes.
struct Idx {
  std::vector<std::int64_t> sizes;
  std::string bytes;      ///< of the whole file
  std::size_t begin = 0;  ///< of the values in them, the last index fastest

  std::string_view values() const { return std::string_view(bytes).substr(begin); }
};

/// Takes an IDX file apart: 0, 0, the type (8: bytes), the number of sizes; the sizes, four bytes
/// each, big end first; the values. `rank`: the number of sizes it has to have, 3 for pictures and
/// 1 for labels. Throws SpecError where it is anything else; `name` is for messages.
Idx parse_idx(std::string bytes, const std::string& name, std::size_t rank);

/// Rows of pixels 0 or 1, separated by blanks, `pixels` a line (.amat). -> [N * pixels].
std::vector<std::uint8_t> read_amat(const marginalia::TextFile& file, std::int64_t pixels);

/// Rows of one bit a pixel, most significant bit first (.bits). -> [N * pixels], 0 or 1.
std::vector<std::uint8_t> unpack_bits(std::string_view bytes, const std::string& name,
                                      std::int64_t pixels);

}  // namespace marginalia::pictures
