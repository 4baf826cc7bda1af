#include "gaps.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include <fmt/format.h>
#include <boost/math/special_functions/gamma.hpp>
#include <nlohmann/json.hpp>

namespace marginalia::tables {
namespace {

constexpr double kLevel = 0.01;  // of significance, over all pairs

using Counts = std::vector<std::array<std::int64_t, 2>>;  // [K]: rows without a gap, with one

/// Those of few expected rows as one; if that is few still, together with the least of the others.
Counts pooled(const Counts& counts, double share) {
  constexpr double kFew = 5;
  const auto few = [&](const auto& of) {
    return double(of[0] + of[1]) * std::min(share, 1 - share) < kFew;
  };
  Counts kept;
  std::array<std::int64_t, 2> rest{};
  const auto add = [](auto& to, const auto& of) {
    to[0] += of[0];
    to[1] += of[1];
  };
  for (const auto& of : counts)
    if (few(of))
      add(rest, of);
    else
      kept.push_back(of);
  if (rest[0] + rest[1] == 0) return kept;
  if (!few(rest) || kept.empty())
    kept.push_back(rest);
  else
    add(*std::ranges::min_element(kept, {}, [](const auto& of) { return of[0] + of[1]; }), rest);
  return kept;
}

}  // namespace

GapLink test_independence(const Counts& counts) {
  std::array<double, 2> all{};
  for (const auto& of : counts) {
    all[0] += double(of[0]);
    all[1] += double(of[1]);
  }
  const double N = all[0] + all[1];
  if (all[0] == 0 || all[1] == 0) return {};
  const auto classes = pooled(counts, all[1] / N);
  if (classes.size() < 2) return {};
  double chi_squared = 0;
  for (const auto& of : classes)
    for (const auto m : {0, 1}) {
      const auto expected = double(of[0] + of[1]) * all[std::size_t(m)] / N;
      chi_squared += std::pow(double(of[std::size_t(m)]) - expected, 2) / expected;
    }
  const auto degrees = double(classes.size() - 1);
  return {.strength = std::sqrt(chi_squared / N),
          .p = boost::math::gamma_q(degrees / 2, chi_squared / 2)};
}

std::vector<GapTest> test_gaps(const Variables& variables, const Variables::Rows& all,
                               const std::vector<std::int64_t>& rows) {
  constexpr std::int64_t kMostRows = 100'000;
  const auto D = variables.count();
  const auto step = std::max<std::int64_t>(1, (std::ssize(rows) + kMostRows - 1) / kMostRows);
  std::vector<const std::int16_t*> some;
  for (std::int64_t n = 0; n < std::ssize(rows); n += step)
    some.push_back(all.levels.data() + rows[std::size_t(n)] * D);
  std::vector<GapTest> tests;
  std::int64_t pairs = 0;
  for (std::int64_t i = 0; i < D; ++i) {
    if (variables[i].column().missing_is_category) continue;
    GapTest test{variables[i].column().name, 0, std::ssize(some)};
    for (const auto* row : some)
      test.gaps += row[i] < 0;
    if (test.gaps == 0) continue;
    for (std::int64_t j = 0; j < D; ++j) {
      if (j == i) continue;
      Counts counts(std::size_t(variables[j].levels() + 1));
      for (const auto* row : some)
        ++counts[std::size_t(row[j] + 1)][row[i] < 0];
      auto link = test_independence(counts);
      link.column = variables[j].column().name;
      test.links.push_back(std::move(link));
      ++pairs;
    }
    tests.push_back(std::move(test));
  }
  for (auto& test : tests) {
    for (auto& link : test.links)
      link.p = std::min(1.0, link.p * double(pairs));
    std::erase_if(test.links, [](const GapLink& link) { return link.p >= kLevel; });
    std::ranges::stable_sort(test.links, std::greater<>(), &GapLink::strength);
  }
  return tests;
}

Json to_json(const std::vector<GapTest>& tests) {
  Json json = Json::array();
  for (const auto& test : tests) {
    Json links = Json::array();
    for (const auto& link : test.links)
      links.push_back({{"column", link.column}, {"cramers_v", link.strength}, {"p", link.p}});
    json.push_back(
        {{"column", test.column}, {"gaps", test.gaps}, {"rows", test.rows}, {"with", links}});
  }
  return json;
}

std::string to_text(const std::vector<GapTest>& tests) {
  constexpr std::size_t kShown = 4;
  if (tests.empty()) return {};
  std::string text = fmt::format("\nGaps are taken to be missing at random, given what a row "
                                 "knows. Columns that tell of them\n"
                                 "(chi-squared test at {} over all pairs; Cramer's V):\n",
                                 kLevel);
  for (const auto& test : tests) {
    text += fmt::format("  {}:", test.column);
    for (std::size_t n = 0; n < std::min(kShown, test.links.size()); ++n)
      text += fmt::format("{} {} ({:.2f})", n > 0 ? "," : "", test.links[n].column,
                          test.links[n].strength);
    if (test.links.empty()) text += " none";
    if (test.links.size() > kShown)
      text += fmt::format(", and {} more", test.links.size() - kShown);
    text += '\n';
  }
  return text;
}

}  // namespace marginalia::tables
