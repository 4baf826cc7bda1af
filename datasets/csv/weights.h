#pragma once

#include <cstdint>
#include <vector>

#include "shared/tables/scan.h"
#include "shared/tables/schema.h"

/// How much the rows of a table count.
namespace marginalia::csv {

/// The numbers of the column of the kind "weight", [N]; none where there is none. Throws SpecError,
/// with the row, for one that is missing or negative.
std::vector<double> weights_of(const tables::Scan& scan, const tables::Schema& schema);

/// As many of `rows`, each as often as it counts: row r stands floor or ceil of
/// weights[r] / (mean of weights over rows) times, by systematic draws; where there are no weights,
/// once. Throws SpecError where all are 0.
std::vector<std::int64_t> drawn_by_weight(const std::vector<std::int64_t>& rows,
                                          const std::vector<double>& weights);

/// Of these rows, [N]; none where there are no weights. Throws SpecError where all are 0.
std::vector<double> weights_of_rows(const std::vector<double>& weights,
                                    const std::vector<std::int64_t>& rows);

}  // namespace marginalia::csv
