#pragma once

#include <filesystem>

#include <marginalia/spec.h>

#include "measurement_facts.h"

namespace marginalia {

/// Writes `run`/report.html: one page that holds its data, styles, scripts and pictures, and asks
/// the network for nothing.
///
/// run: a run directory (DESIGN.md 6). run.json must be there; metrics.jsonl, evaluation.json and
/// samples/ may be missing, torn or still growing, and the page then says so. The page is written
/// to a temporary file and renamed, so a reader sees the old one or the new one, never half.
/// Throws Error when `run` is not a run directory or the page cannot be written.
///
/// facts: what the metrics declare; one that is not among them is shown by its name.
void write_report(const std::filesystem::path& run, const MetricFacts& facts);

}  // namespace marginalia
