#pragma once

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "records/study/study.h"
#include "records/study/study_directory.h"

/// The parts of comparison.json. All but the first are made from "experiments" alone, so that who
/// has the file can make them again.
namespace marginalia::comparison {

/// What a run costs, beside what it measures: key in "costs", label, unit.
struct Cost {
  const char *key, *label, *unit;
};
inline constexpr std::array<Cost, 5> kCosts{{{"parameters", "parameters", ""},
                                             {"steps", "steps", ""},
                                             {"seconds", "training", "seconds"},
                                             {"energy_evaluations", "energy evaluations", "rows"},
                                             {"passes", "network passes", "rows"}}};

/// What one experiment measured: "metric/estimator".
using Keys = std::vector<std::string>;
Keys keys_of(const Json& object);

std::string metric_of(const std::string& key);     ///< "nll/masked" -> "nll"
std::string estimator_of(const std::string& key);  ///< "nll/masked" -> "masked"; "nll" -> ""

/// "lower", "higher", or "" where neither is better (log Z) or nobody said.
std::string better_of(const std::string& key, const CompareParams& compare);

/// The columns of a metric named without an estimator: likelihoods in one, by the closest bound of
/// each row; others by each estimator in one of its own, unless no experiment has more than one.
std::vector<std::string> columns_of(const std::vector<Keys>& experiments, const std::string& asked);

/// Which of `keys` stands in a column; "" for none. The exact log Z is the oracle's, never a row's.
std::string key_in(const Keys& keys, const std::string& column);

/// "experiments": what each run measured. Adds to `notes` what gives no numbers, and why.
Json read_experiments(const Study& study, const std::vector<StudyRun>& runs,
                      const std::filesystem::path& root, std::vector<std::string>& notes);

/// The experiments at each value of a key of their pairs, in the order in which they come; nothing
/// for "".
std::vector<std::pair<std::string, Json>> parted(const Json& experiments, const std::string& key);

/// -> {"columns", "rows", "pairs"}
Json table_of(const Json& experiments, const CompareParams& compare,
              const std::vector<std::string>& rows);

/// Curves against budgets, errors by subset size and against time, each at every value of the key
/// `columns`, where there is one, by itself; calibration of all together.
Json figures_of(const Json& experiments, const std::vector<std::string>& rows,
                const std::string& columns);

/// Power laws; its plots are added to `figures`. {} where the study asks for none.
Json scaling_of(const Json& experiments, const ScalingParams& scaling, Json& figures);

/// A figure with the scales that suit its series: logarithmic where a positive range is wide.
Json figure(const std::string& id, const std::string& group, const std::string& title,
            const std::string& x, const std::string& y, Json series);
Json series(const std::string& label, std::size_t colour, const char* style);

/// "marginal_error/one_pass" -> "marginal error, one pass"
std::string label_of(const std::string& metric);

}  // namespace marginalia::comparison
