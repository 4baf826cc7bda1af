#include "terms.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>

namespace marginalia::molecule_property {

namespace {

Property property_named(const std::string& name, const char* where) {
  const auto& names = property_names();
  const auto at = std::ranges::find(names, name);
  if (at == names.end())
    throw SpecError(fmt::format("\"{}\": no property is called \"{}\"; there is: {}", where, name,
                                fmt::join(names, ", ")));
  return static_cast<Property>(at - names.begin());
}

/// The terms as they are added, and the temperatures that are still to be used.
class Several {
 public:
  explicit Several(const TermParams& params)
      : default_(params.temperature), temperatures_(params.temperatures) {}

  void add(const std::string& name, const char* where, const std::string& mode, double target = 0) {
    const auto property = property_named(name, where);
    if (std::ranges::count(terms, property, &Term::property) > 0)
      throw SpecError(fmt::format("\"{}\": {} is asked for twice", where, name));
    const auto own = temperatures_.extract(name);
    terms.push_back({property, mode, target, own ? own.mapped() : default_});
  }
  void check_all_used() const {
    if (!temperatures_.empty())
      throw SpecError(fmt::format("\"temperatures\": {} is not asked for in \"targets\", "
                                  "\"maximise\" or \"minimise\"",
                                  temperatures_.begin()->first));
  }

  std::vector<Term> terms;

 private:
  double default_;
  std::map<std::string, double> temperatures_;
};

}  // namespace

double Term::of(double value) const {
  if (mode == "target") return -(value - target) * (value - target) / temperature;
  return (mode == "maximise" ? value : -value) / temperature;
}

Score make_score(const Term& term, Tensor values) {
  static const std::vector<std::string> units{"logP", "QED", "SA", "g/mol"};  // by Property
  const auto index = static_cast<std::size_t>(term.property);
  Score score{.name = property_names()[index], .values = std::move(values), .unit = units[index]};
  if (term.mode == "target") {
    score.target = term.target;
    score.spread = std::sqrt(term.temperature / 2);
  }
  return score;
}

std::vector<Term> read_terms(const TermParams& params) {
  const bool one = !params.property.empty();
  const bool several =
      !params.targets.empty() || !params.maximise.empty() || !params.minimise.empty();
  if (one == several)
    throw SpecError(fmt::format("give \"property\" (one of {}), or several in \"targets\", "
                                "\"maximise\" and \"minimise\"{}",
                                fmt::join(property_names(), ", "), one ? ", not both" : ""));
  Several all(params);
  if (one) all.add(params.property, "property", params.mode, params.target);
  for (const auto& [name, target] : params.targets)
    all.add(name, "targets", "target", target);
  for (const auto& name : params.maximise)
    all.add(name, "maximise", "maximise");
  for (const auto& name : params.minimise)
    all.add(name, "minimise", "minimise");
  all.check_all_used();
  for (const auto& term : all.terms)
    if (!(term.temperature > 0))
      throw SpecError(fmt::format("the temperature of {} is {}; it must be above 0",
                                  property_names()[static_cast<std::size_t>(term.property)],
                                  term.temperature));
  return all.terms;
}

}  // namespace marginalia::molecule_property
