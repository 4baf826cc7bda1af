#include "code_points.h"

#include <iterator>

#include <fmt/format.h>
#include <boost/locale/utf.hpp>

#include <marginalia/error.h>

namespace utf = boost::locale::utf;

std::vector<std::int32_t> decode_utf8(std::string_view text, const std::string& who) {
  std::vector<std::int32_t> points;
  points.reserve(text.size());
  for (auto at = text.begin(); at != text.end();) {
    const auto place = at - text.begin();
    const auto point = utf::utf_traits<char>::decode(at, text.end());
    if (!utf::is_valid_codepoint(point))
      throw marginalia::SpecError(
          fmt::format("{}: byte {} (0x{:02x}) begins no character of UTF-8; convert the "
                      "file, as with iconv -t UTF-8",
                      who, place, static_cast<unsigned char>(text[std::size_t(place)])));
    points.push_back(static_cast<std::int32_t>(point));
  }
  return points;
}

std::string encode_utf8(std::int32_t point) {
  std::string text;
  utf::utf_traits<char>::encode(static_cast<utf::code_point>(point), std::back_inserter(text));
  return text;
}
