#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include <marginalia/params.h>

#include "shared/tables/scan.h"

/// Which rows of a table are learned from, and which are kept back.
namespace marginalia::csv {

using tables::Scan;

struct ByShares {
  static constexpr const char* kName = "shares";
  static constexpr const char* kDoc = "at random, so many of all rows";
  double valid = 0.1, test = 0.1;
  std::int64_t seed = 0;
  std::string group = {};
  void visit(ParamVisitor& p) {
    p("valid", valid, {.doc = "share of the validation rows", .min = 0.0, .max = 1.0});
    p("test", test,
      {.doc = "share of the test rows, where no file has them", .min = 0.0, .max = 1.0});
    p("seed", seed, {.doc = "of the shuffle", .min = 0});
    p("group", group, {.doc = "column whose rows of one value stay together"});
  }
};
struct ByFolds {
  static constexpr const char* kName = "folds";
  static constexpr const char* kDoc = "k folds at random: one tests, the one behind it validates";
  std::int64_t folds = 5, fold = 0, seed = 0;
  void visit(ParamVisitor& p) {
    p("folds", folds, {.doc = "k", .min = 3});
    p("fold", fold, {.doc = "that tests, from 0", .min = 0});
    p("seed", seed, {.doc = "of the shuffle", .min = 0});
  }
};
struct ByColumn {
  static constexpr const char* kName = "column";
  static constexpr const char* kDoc = "by the texts of a column";
  std::string column = {}, valid = "valid", test = "test";
  void visit(ParamVisitor& p) {
    p("column", column, {.doc = "its name"});
    p("valid", valid, {.doc = "text of the validation rows"});
    p("test", test, {.doc = "text of the test rows"});
  }
};
struct ByTime {
  static constexpr const char* kName = "time";
  static constexpr const char* kDoc = "by the order of a column: the last rows test";
  std::string column = {};
  double valid = 0.1, test = 0.1;
  void visit(ParamVisitor& p) {
    p("column", column, {.doc = "of numbers or dates"});
    p("valid", valid, {.doc = "share of the validation rows", .min = 0.0, .max = 1.0});
    p("test", test,
      {.doc = "share of the test rows, where no file has them", .min = 0.0, .max = 1.0});
  }
};
using SplitBy = std::variant<ByShares, ByFolds, ByColumn, ByTime>;

/// Rows by number, of train, valid and test.
using SplitRows = std::array<std::vector<std::int64_t>, 3>;

/// tests: whether test rows are among these, and not in a file of their own. Throws SpecError where
/// a column is not there or not of the kind, and where a split that is asked for has no rows.
SplitRows split_rows(const SplitBy& by, const Scan& scan, bool tests);

}  // namespace marginalia::csv
