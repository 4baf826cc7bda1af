#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "shared/tables/gaps.h"
#include "shared/tables/rows.h"

namespace marginalia::csv {

/// A table for people, in lines: each column's kind, gaps and values, and what tells of the gaps.
/// rows: of train, valid and test.
std::string summary_of(const tables::Table& table, const std::array<std::int64_t, 3>& rows,
                       const std::vector<tables::GapTest>& gaps);

}  // namespace marginalia::csv
