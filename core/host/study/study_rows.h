#pragma once

#include <marginalia/spec.h>

#include "records/study/study.h"
#include "study_manifest.h"

namespace marginalia::study {

/// Reads "compare" of a manifest.
CompareParams read_compare(const Manifest& manifest, Faults& faults);

/// Gives each experiment its row and its pair, by compare.rows or, where that is empty, by all that
/// varies but the seed. Throws SpecError when a row's key does not vary; adds to `faults` when two
/// experiments fall together.
void name_rows(Study& study, const Manifest& manifest, Faults& faults);

/// Whether the baseline is a row, and the metrics are measured by some experiment.
void check_compare(const Study& study, const Manifest& manifest, Faults& faults);

}  // namespace marginalia::study
