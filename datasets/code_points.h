#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// The code points of a text in UTF-8; `who` names it where it is none: throws SpecError.
std::vector<std::int32_t> decode_utf8(std::string_view text, const std::string& who);

/// A code point in UTF-8.
std::string encode_utf8(std::int32_t point);
