#pragma once

#include <filesystem>

#include <marginalia/api.h>
#include <marginalia/tensor.h>

namespace marginalia {

/// What read_unpacked (files.h) reads, as uint8 [N]; of a plain file the bytes are mapped, not
/// read. Not to be written to.
MARGINALIA_API Tensor map_unpacked(const std::filesystem::path& file);

}  // namespace marginalia
