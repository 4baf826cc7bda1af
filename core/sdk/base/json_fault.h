#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include <marginalia/json.h>

namespace marginalia {

/// What is wrong with text that is no JSON.
struct JsonFault {
  std::size_t line, column;  ///< from 1; columns count characters
  std::string what;
};

/// The first fault of `text`, which a parser has refused; comments are none.
MARGINALIA_API JsonFault json_fault(std::string_view text);

/// Whether a text can stand in JSON.
MARGINALIA_API bool is_utf8(std::string_view text);

/// The JSON of a file that this program wrote. Throws Error where it cannot be read or is damaged.
MARGINALIA_API Json read_json(const std::filesystem::path& file);

/// What an exception of the JSON library says, without the library's own names for it.
MARGINALIA_API std::string without_json_names(std::string_view what);

}  // namespace marginalia
