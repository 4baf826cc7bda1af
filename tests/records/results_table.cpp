// The table that ends a run.
#include "records/report/results_table.h"

#include <sstream>

#include "marginalia_test.h"

using namespace marginalia;

namespace {

/// The line of an estimator, blanks counting once.
std::string line_with(const std::string& table, const std::string& words) {
  std::istringstream in(table);
  for (std::string line; std::getline(in, line);) {
    std::istringstream of_line(line);
    std::string plain;
    for (std::string word; of_line >> word;)
      plain += (plain.empty() ? "" : " ") + word;
    if (plain.find(words) != std::string::npos) return plain;
  }
  return "no line";
}

const MetricFacts& error_facts() {
  static const MetricFacts all(
      Json::parse(R"({"observables": [{"estimator": "*", "label": "error of observables"}]})"));
  return all;
}

}  // namespace

TEST_CASE("a number stands with its standard error, one that holds with its interval") {
  const auto table = results_table(Json::parse(R"({
    "log_z": {
      "importance": {"value": 12.0012, "stderr": 0.0123, "unit": "nats", "status": "estimate"},
      "certified": {"value": 12.001, "unit": "nats", "status": "estimate", "lower": 11.957,
                    "upper": 12.041, "confidence": 0.95},
      "from_below": {"value": 640.25, "unit": "nats", "status": "lower", "lower": 640.25,
                     "upper": "inf", "confidence": 0.95},
      "summed": {"value": 7.5, "unit": "nats", "status": "exact", "lower": 7.5, "upper": 7.5,
                 "confidence": 1.0}}})"),
                                   error_facts());
  CHECK(line_with(table, "importance") == "log_z importance 12.0012 0.012 nats estimate");
  CHECK(line_with(table, "certified") ==
        "log_z certified 12.001 11.957 to 12.041, 95 % nats estimate");
  CHECK(line_with(table, "from_below") == "log_z from_below >= 640.25 95 % nats lower");
  CHECK(line_with(table, "summed") == "log_z summed 7.5 nats exact");
}

TEST_CASE("an error of an observable is called so, and a number that is none is shown as it is") {
  const auto table = results_table(Json::parse(R"({
    "observables": {"absolute_magnetisation": {"value": 0.0057, "unit": "per site"}},
    "nll": {"chain": {"value": "inf", "unit": "nats"}, "one_pass": {"value": null}},
    "coverage": {"untrained": {"value": 0.97, "confidence": 0.95, "status": "estimate"}}})"),
                                   error_facts());
  CHECK(line_with(table, "observables") ==
        "observables error of absolute magnetisation 0.0057 per site");
  CHECK(line_with(table, "chain") == "nll chain inf nats");
  CHECK(line_with(table, "one_pass") == "nll one_pass -");
  CHECK(line_with(table, "untrained") == "coverage untrained 0.97 estimate");
  // Columns end where their heads do, however long a word is.
  const auto end_of_first = table.find("value") + 5;
  const auto second = table.find('\n') + 1;
  const auto end_of_second = table.find("0.0057") + 6 - second;
  CHECK(end_of_first == end_of_second);
}
