/// \file
/// What is asked of a molecule: one property or several, each wanted near a target, high, or low.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <marginalia/energy.h>
#include <marginalia/params.h>

#include "properties.h"

namespace marginalia::molecule_property {

struct TermParams {
  std::string property, mode = "target";
  double target = 4, temperature = 1;
  std::map<std::string, double> targets, temperatures;
  std::vector<std::string> maximise, minimise;
  void visit(ParamVisitor& p) {
    auto or_none = property_names();
    or_none.emplace_back();
    p("property", property,
      {.doc = "g: Crippen's logP, QED, SA score or molecular weight, as RDKit gives them",
       .one_of = or_none});
    p("mode", mode,
      {.doc = "log f = -(g - target)^2 / temperature (target), g / temperature (maximise) or "
              "-g / temperature (minimise)",
       .one_of = {"target", "maximise", "minimise"}});
    p("target", target, {.doc = "of the property (mode target)"});
    p("temperature", temperature, {.doc = "tau > 0, in units of g^2 (mode target) or of g"});
    p("targets", targets,
      {.doc = "several in place of property, log f their sum: those wanted near a value, "
              "{\"logp\": 4, \"weight\": 350}"});
    p("maximise", maximise, {.doc = "and those wanted high", .one_of = property_names()});
    p("minimise", minimise, {.doc = "and those wanted low", .one_of = property_names()});
    p("temperatures", temperatures, {.doc = "of those whose temperature is another"});
  }
};

/// A summand of log f.
struct Term {
  Property property;
  std::string mode;
  double target, temperature;
  double of(double value) const;  ///< nats
};

/// The values g of a term's property, float64 [B], and what the term wants of them.
Score make_score(const Term& term, Tensor values);

/// The terms that are asked for: at least one, and no property twice. Throws SpecError where the
/// request is wrong.
std::vector<Term> read_terms(const TermParams& params);

}  // namespace marginalia::molecule_property
