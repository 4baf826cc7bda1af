#include "picture_file.h"

#include <fmt/format.h>

#include <marginalia/error.h>

namespace marginalia::pictures {
namespace {

/// The name of a type of IDX, by its code.
std::string type_name(int code) {
  switch (code) {
    case 0x08:
      return "bytes (0x08)";
    case 0x09:
      return "signed bytes (0x09)";
    case 0x0b:
      return "short integers (0x0B)";
    case 0x0c:
      return "integers (0x0C)";
    case 0x0d:
      return "floats (0x0D)";
    case 0x0e:
      return "doubles (0x0E)";
    default:
      return fmt::format("type 0x{:02X}, which is none", code);
  }
}

/// One row of an .amat file. -> how many pixels it has.
std::int64_t read_amat_line(const TextFile& file, const LineReader& lines,
                            std::vector<std::uint8_t>& pixels) {
  const auto line = lines.line();
  std::int64_t count = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == ' ' || line[i] == '\t') continue;
    const bool single = i + 1 == line.size() || line[i + 1] == ' ' || line[i + 1] == '\t';
    if ((line[i] != '0' && line[i] != '1') || !single)
      throw SpecError(fmt::format("{}:{}: \"{}\" is not a pixel; pixels are 0 or 1, separated by "
                                  "blanks",
                                  file.place(lines.number()), i + 1,
                                  line.substr(i, line.find(' ', i) - i)));
    pixels.push_back(static_cast<std::uint8_t>(line[i] - '0'));
    ++count;
  }
  return count;
}

}  // namespace

Idx parse_idx(std::string bytes, const std::string& name, std::size_t rank) {
  const auto fail = [&](const std::string& what) {
    throw SpecError(fmt::format("{}: {}", name, what));
  };
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(bytes[at]); };
  const auto* const wanted = rank == 3 ? "pictures, idx3-ubyte," : "labels, idx1-ubyte,";
  const auto header = 4 + 4 * rank;
  if (bytes.size() >= 4 && (byte(0) != 0 || byte(1) != 0))
    fail(fmt::format("is no IDX file; {} are wanted", wanted));
  if (bytes.size() >= 4 && byte(2) != 8)
    fail(fmt::format("holds {}; {} which are bytes, are wanted", type_name(byte(2)), wanted));
  if (bytes.size() >= 4 && byte(3) != rank)
    fail(fmt::format("has {} dimensions; {} with {} are wanted", byte(3), wanted, rank));
  if (bytes.size() < header)
    fail(fmt::format("ends at byte {}, in a header of {} bytes; get the file anew", bytes.size(),
                     header));
  Idx idx{{}, std::move(bytes), header};
  auto expected = 1.0;
  for (std::size_t i = 0; i < rank; ++i) {
    std::int64_t size = 0;
    for (std::size_t at = 4 + 4 * i; at < 8 + 4 * i; ++at)
      size = size * 256 + static_cast<unsigned char>(idx.bytes[at]);
    idx.sizes.push_back(size);
    expected *= double(size);
  }
  if (double(idx.values().size()) != expected)
    fail(fmt::format("has {} bytes, but its header asks for {:.0f}; get the file anew",
                     idx.bytes.size(), expected + double(header)));
  return idx;
}

std::vector<std::uint8_t> read_amat(const TextFile& file, std::int64_t pixels) {
  std::vector<std::uint8_t> all;
  all.reserve(file.text().size() / 2);
  LineReader lines(file.text());
  while (lines.next()) {
    const auto count = read_amat_line(file, lines, all);
    if (count != 0 && count != pixels)
      file.fail(lines.number(), fmt::format("{} values; a row has {}", count, pixels));
  }
  return all;
}

std::vector<std::uint8_t> unpack_bits(std::string_view bytes, const std::string& name,
                                      std::int64_t pixels) {
  const auto row = static_cast<std::size_t>(pixels / 8);
  if (bytes.size() % row != 0)
    throw SpecError(
        fmt::format("{}: has {} bytes, which are not whole rows of {}; get the file anew", name,
                    bytes.size(), row));
  std::vector<std::uint8_t> all;
  all.reserve(bytes.size() * 8);
  for (const char byte : bytes)
    for (int bit = 7; bit >= 0; --bit)
      all.push_back((static_cast<unsigned char>(byte) >> bit) & 1);
  return all;
}

}  // namespace marginalia::pictures
