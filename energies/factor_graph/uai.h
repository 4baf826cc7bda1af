#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <marginalia/factors.h>
#include <marginalia/text_file.h>

namespace marginalia::uai {

/// What the numbers in the tables of a model are.
enum class Tables { kValues, kLogs };

/// "values", "log", or "auto": logs where the name ends in .LG, in any case, below .gz or .zip.
Tables kind_of_tables(const std::string& parameter, const std::filesystem::path& file);

/// A network in the format of the UAI inference competitions: MARKOV or BAYES, the number of
/// variables, their cardinalities, the number of factors, one scope a factor (its size, then
/// variables from 0), one table a factor (its size, then values >= 0 or their natural logs, the
/// last variable of the scope fastest). Lines that begin with c or # are comments. Throws
/// SpecError, naming file, line and factor.
/// Format: UAI 2014 Inference Competition, https://www.cs.huji.ac.il/project/UAI10/fileFormat.php.
marginalia::FactorModel read_model(const marginalia::TextFile& file, Tables tables);

/// The variables that evidence clamps, and their values.
using Evidence = std::map<std::int64_t, std::int64_t>;

/// The samples of an evidence file: `k i x_i ...` alone, or behind the number of samples, as PIC
/// 2011 has it. A file in which both can be read is of one sample, unless its first line holds one
/// number and as many lines follow. An empty file clamps nothing.
std::vector<Evidence> read_evidence(const marginalia::TextFile& file,
                                    const std::vector<std::int64_t>& cardinalities);

/// The one that `sample`, from 1, chooses; 0 where there is only one. Throws SpecError otherwise.
Evidence choose_sample(const std::vector<Evidence>& samples, std::int64_t sample,
                       const std::string& file);

}  // namespace marginalia::uai
