#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include <marginalia/factors.h>

namespace marginalia::uai {

/// A network in the format of the UAI inference competitions, plain or packed: MARKOV or BAYES, the
/// number of variables, their cardinalities, the number of factors, one scope a factor (its size,
/// then variables from 0), one table a factor (its size, then values >= 0, the last variable of the
/// scope fastest). Throws SpecError, naming file, line and factor.
/// Format: UAI 2014 Inference Competition, https://www.cs.huji.ac.il/project/UAI10/fileFormat.php.
marginalia::FactorModel read_model(const std::filesystem::path& file);

/// What an evidence file clamps: [D], kUnknown where free. `0`, or `k i x_i ...`, or the older form
/// with the number of samples (1) in front; the two are told apart by how many numbers there are.
std::vector<std::int64_t> read_evidence(const std::filesystem::path& file,
                                        const std::vector<std::int64_t>& cardinalities);

}  // namespace marginalia::uai
