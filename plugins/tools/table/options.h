#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace marginalia::tables {

/// What the words behind `marginalia table` ask for.
struct Options {
  std::string action, run, file, out;
  std::string given, target, column;
  std::vector<std::string> models;
  std::int64_t count = 0, draws = 0, seed = 0, orders = 0;
  double false_discoveries = 0;
  bool probabilities = false, cells = false, json = false, unseen_missing = false;
};

/// Throws SpecError for words that mean nothing.
Options read_options(const std::vector<std::string>& words);
/// All of it, as --help prints it.
std::string usage_text();

}  // namespace marginalia::tables
