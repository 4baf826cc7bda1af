#pragma once

#include <filesystem>
#include <string>

#include <marginalia/api.h>

namespace marginalia {

/// All bytes of a plain file, of a gzipped one unpacked, or of the one file in a zip archive; told
/// apart by their first bytes. Throws SpecError where there is no such file or it is damaged.
MARGINALIA_API std::string read_unpacked(const std::filesystem::path& file);

/// Whether the file holds its bytes as they are: neither gzipped, nor a zip archive, nor empty.
MARGINALIA_API bool is_plain(const std::filesystem::path& file);

/// `file`, `file`.gz or `file`.zip, whichever is there first; an empty path if none is.
MARGINALIA_API std::filesystem::path find_packed(const std::filesystem::path& file);

}  // namespace marginalia
