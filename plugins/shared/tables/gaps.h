#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "rows.h"

namespace marginalia::tables {

/// How much the values of a column tell of whether another has a gap.
struct GapLink {
  std::string column = {};  ///< which tells; its own gaps count as a value
  double strength = 0;      ///< Cramer's V, 0..1
  double p = 1;             ///< of Pearson's chi-squared test, times the number of all pairs tested
};

/// The gaps of a column, and who tells of them.
struct GapTest {
  std::string column;
  std::int64_t gaps = 0, rows = 0;
  std::vector<GapLink> links = {};  ///< those of p < 0.01, the strongest first
};

/// Pearson's chi-squared test of gap or no gap against levels: counts[k] are the rows of level k
/// without a gap and with one. Levels of which fewer than five are expected in either are taken
/// together (Cochran 1954, Biometrics 10, 417). p is 1 where fewer than two are left.
GapLink test_independence(const std::vector<std::array<std::int64_t, 2>>& counts);

/// Of every variable with gaps that are no value, whether they are independent of each other
/// column. Learning takes them to be missing at random: independent of what is missing, given what
/// is known. That cannot be tested; independence of what is known can, and says whether more than
/// chance decides. Of at most 100,000 of the rows.
std::vector<GapTest> test_gaps(const Variables& variables, const Variables::Rows& all,
                               const std::vector<std::int64_t>& rows);

Json to_json(const std::vector<GapTest>& tests);
/// In lines, for people; empty where there are no gaps.
std::string to_text(const std::vector<GapTest>& tests);

}  // namespace marginalia::tables
