#pragma once

#include <string>
#include <vector>

#include <marginalia/family.h>
#include <marginalia/registry.h>

namespace marginalia {

/// What one family answers when it has learned from one kind of source.
struct AnswersOfFamily {
  std::string family;
  std::string source;  ///< "dataset", "energy", or "either" where it makes no difference
  std::vector<Capability> capabilities;
};

/// Every registered family, built at its example's parameters for three binary variables.
std::vector<AnswersOfFamily> query_matrix(const Registry& registry);

/// The matrix as a table in Markdown: families against questions. The legend goes with it.
std::string query_table(const std::vector<AnswersOfFamily>& matrix);

}  // namespace marginalia
