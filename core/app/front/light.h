#pragma once

#include "../request.h"

namespace marginalia::app {

// The verbs that need no tensor. They throw what is wrong with the request.
void list(const Catalogue& catalogue, const ListArguments& a);
void describe(const Catalogue& catalogue, const DescribeArguments& a);
void list_runs(const RunsArguments& a);
void report(const Catalogue& catalogue, const std::string& path);
void list_data(const Catalogue& catalogue, const DataArguments& a, const fs::path& data);
/// verbs: names that a tool cannot have.
void make_project(const Catalogue& catalogue, const NewArguments& a,
                  const std::vector<std::string>& verbs);

}  // namespace marginalia::app
