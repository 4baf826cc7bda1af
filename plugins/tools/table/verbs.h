#pragma once

#include <iosfwd>

#include "options.h"
#include "table_run.h"

namespace marginalia::tables {

// What `marginalia table` does; data goes to `out`, or to a file, and what is to be said to stderr.
void impute(const ToolContext& context, const Options& options, std::ostream& out);
void sample(const ToolContext& context, const Options& options, std::ostream& out);
void probability(const ToolContext& context, const Options& options, std::ostream& out);
void predict(const ToolContext& context, const Options& options, std::ostream& out);
void score(const ToolContext& context, const Options& options, std::ostream& out);

}  // namespace marginalia::tables
