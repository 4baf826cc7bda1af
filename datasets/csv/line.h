#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "shared/tables/encoding.h"
#include "shared/tables/scan.h"

namespace marginalia::csv {

/// The fields of one line; one empty field where there is nothing.
std::vector<std::string_view> fields_of(const TextFile& line);

/// The level that a field of a question names. Throws SpecError where it names none.
std::int64_t level_of_field(const tables::Encoding& encoding, std::string_view field);

}  // namespace marginalia::csv
