/// \file
/// Plots against a number that the study varies: every metric, and the observables themselves, with
/// the reference's or the exact line. A band is over the seeds.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "comparison_cells.h"

namespace marginalia::comparison {
namespace {

/// The experiments at each value of the key, from the least on.
std::vector<Part> along(const Part& part, const std::string& key) {
  std::map<double, Part> by_value;
  for (const auto* e : part.experiments)
    if (e->pair.contains(key)) {
      auto& at = by_value[e->pair.at(key).get<double>()];
      at.value = e->pair.at(key).dump();
      at.experiments.push_back(e);
    }
  std::vector<Part> parts;
  for (auto& [_, at] : by_value)
    parts.push_back(std::move(at));
  return parts;
}

double number_at(const Part& part, const std::string& key) {
  return part.experiments.front()->pair.at(key).get<double>();
}

/// What is drawn against the key within one part of the study.
class Against {
 public:
  Against(const Part& part, const Request& request)
      : request_(request), parts_(along(part, request.compare.against)) {}

  bool is_empty() const { return parts_.empty(); }

  /// A metric, a line a row, and what is known of it beside the model.
  std::vector<Series> metric(const std::string& key) const {
    std::vector<Series> all;
    for (std::size_t r = 0; r < request_.rows.size(); ++r) {
      const auto blocks = make_blocks(parts_, request_.rows[r], key, request_);
      Series one{.label = request_.rows[r], .colour = r, .style = "both"};
      for (std::size_t i = 0; i < blocks.size(); ++i)
        if (const auto found = average(blocks[i])) add_point(one, x(i), *found);
      if (const auto by = make_cell(blocks).estimator; names_estimator(key) && !by.empty())
        one.label += ", " + to_words(by);
      all.push_back(std::move(one));
    }
    all.push_back(line("exact", [&](const Experiment& e) { return beside(e, key); }));
    return drawn(std::move(all));
  }

  /// An observable under the model, a line a row, and its exact value, else the reference's.
  std::vector<Series> observable(const std::string& name) const {
    std::vector<Series> all;
    for (std::size_t r = 0; r < request_.rows.size(); ++r) {
      Series one{.label = request_.rows[r], .colour = r, .style = "both"};
      for (std::size_t i = 0; i < parts_.size(); ++i)
        if (const auto found = mean_in(parts_[i], request_.rows[r], name))
          add_point(one, x(i), *found);
      all.push_back(std::move(one));
    }
    auto exact = line("exact", [&](const Experiment& e) {
      const auto* found = observable_in(e, name);
      return found ? found->exact : std::nullopt;
    });
    if (exact.x.empty())
      exact = line("reference", [&](const Experiment& e) {
        const auto* found = observable_in(e, name);
        return found ? found->reference : std::nullopt;
      });
    all.push_back(std::move(exact));
    return drawn(std::move(all));
  }

 private:
  double x(std::size_t i) const { return number_at(parts_[i], request_.compare.against); }

  bool names_estimator(const std::string& key) const {
    return key == parse_metric(key) && request_.facts.has_column(key, ColumnKind::kShared);
  }

  static const Observable* observable_in(const Experiment& e, const std::string& name) {
    for (const auto& measurement : e.measurements)
      if (const auto* found = find(measurement.observables, name, &Observable::name)) return found;
    return nullptr;
  }

  /// What is known of a metric beside the model, exactly.
  std::optional<double> beside(const Experiment& e, const std::string& key) const {
    for (const auto& one : e.measurements)
      if (parse_metric(one.key) == parse_metric(key) && one.status == "exact" &&
          request_.facts.column(one.key) == ColumnKind::kAside)
        return one.value;
    return std::nullopt;
  }

  /// The mean of an observable under the model of a row, stratum by stratum.
  std::optional<Summary> mean_in(const Part& at, const std::string& row,
                                 const std::string& name) const {
    std::map<std::string, std::vector<double>> strata;
    for (const auto* e : at.finished(row))
      if (const auto* found = observable_in(*e, name))
        strata[stratum_key(*e)].push_back(found->model);
    std::vector<Summary> means;
    for (const auto& [_, values] : strata)
      means.push_back(summarise(values));
    if (means.empty()) return std::nullopt;
    return mean_of_strata(means);
  }

  /// A dashed line of what all runs of a target say, where there is one target at each value.
  template <class Number>
  Series line(const char* label, const Number& number) const {
    Series made{.label = label, .colour = request_.rows.size(), .style = "dashed"};
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      std::vector<double> values;
      std::set<std::string> targets;
      for (const auto* e : parts_[i].experiments) {
        targets.insert(e->target);
        if (const auto found = number(*e); found && std::isfinite(*found)) values.push_back(*found);
      }
      if (targets.size() > 1) return Series{};
      if (!values.empty()) add_point(made, x(i), {.n = 1, .mean = summarise(values).mean});
    }
    return made;
  }

  static std::vector<Series> drawn(std::vector<Series> all) {
    std::erase_if(all, [](const Series& one) { return one.x.empty(); });
    return all;
  }

  const Request& request_;
  std::vector<Part> parts_;
};

/// The metrics, or metrics by estimator, that have a column of their own in the table.
Keys drawn_metrics(const std::vector<Experiment>& experiments, const Request& request) {
  std::vector<Keys> keys;
  for (const auto& e : experiments)
    keys.push_back(list_keys(e.measurements));
  Keys all;
  for (const auto& asked : asked_for(experiments, request.compare))
    for (const auto& key : list_columns(keys, asked, request.facts))
      all.push_back(key);
  return all;
}

/// Each once, with the measurement that it is of.
std::vector<std::pair<std::string, std::string>> observables_in(
    const std::vector<Experiment>& experiments) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto& e : experiments)
    for (const auto& measurement : e.measurements)
      for (const auto& one : measurement.observables)
        if (const std::pair found{one.name, measurement.key}; !std::ranges::count(all, found))
          all.push_back(found);
  return all;
}

std::string find_unit(const Part& part, const std::string& key) {
  for (const auto* e : part.experiments)
    for (const auto& one : e->measurements)
      if (one.key == key || parse_metric(one.key) == key) return one.unit;
  return "";
}

void add_plot(std::vector<Plot>& plots, const Part& part, const std::string& key,
              const std::string& name, const std::string& axis, std::vector<Series> series) {
  const bool has_rows = std::ranges::any_of(
      series, [](const Series& one) { return one.style != "dashed" && one.x.size() > 1; });
  if (!has_rows) return;
  const auto unit = find_unit(part, key);
  plots.push_back(scaled({.id = part.name(fmt::format("against-{}", name)),
                          .group = "against",
                          .title = part.name(name),
                          .x = {axis},
                          .y = {unit.empty() ? name : name + ", " + unit},
                          .series = std::move(series)}));
}

}  // namespace

void add_against(std::vector<Plot>& plots, const std::vector<Experiment>& experiments,
                 const Request& request) {
  const auto& key = request.compare.against;
  if (key.empty()) return;
  auto parts = parted(experiments, request.columns() == key ? "" : request.columns());
  if (parts.empty()) parts.push_back(whole(experiments));
  const auto axis = to_words(key.substr(key.rfind('.') + 1));
  for (const auto& part : parts) {
    const Against against(part, request);
    if (against.is_empty()) continue;
    for (const auto& [name, measurement] : observables_in(experiments))
      add_plot(plots, part, measurement, name, axis, against.observable(name));
    for (const auto& metric : drawn_metrics(experiments, request))
      add_plot(plots, part, metric, to_label(metric, request.facts), axis, against.metric(metric));
  }
}

}  // namespace marginalia::comparison
