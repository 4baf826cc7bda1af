#pragma once

#include <string>

#include <marginalia/registry.h>

namespace marginalia {

/// What the metrics of a registry declare of their measurements: {METRIC: [{"estimator", ...}]},
/// which reports and comparisons are handed (records/report/measurement_facts.h).
Json collect_measurement_facts(const Registry& registry);

/// The same of one metric as a table in Markdown; "" where it declares none.
std::string measurement_table(const Description& metric);

}  // namespace marginalia
