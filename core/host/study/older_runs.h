#pragma once

#include <vector>

#include <marginalia/registry.h>

#include "records/study/study.h"

namespace marginalia {

/// Gives each experiment the hashes of those runs which are of it once their specs, recorded in an
/// older format, are upgraded: so that they are not run anew. records: run.json of each.
void recognise_older_runs(Study& study, const std::vector<Json>& records, const Registry& registry);

}  // namespace marginalia
