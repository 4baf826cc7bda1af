#pragma once

#include <nlohmann/json.hpp>

#include <marginalia/registry.h>
#include <marginalia/spec.h>

namespace marginalia {

/// What is wrong with the top of a spec, whoever reads it: its keys, the version of its format, and
/// what no component owns.
void check_top(const Spec& spec, Faults& faults);

/// The spec in today's format; with a fault, and as it is, where it cannot be said in that.
Spec upgraded_or_fault(const Spec& given, const Registry& registry, Faults& faults);

/// Whether a node names one component, and is not an object of them.
bool is_component(const Spec& spec);

/// Reads the section `name`, with its components built where `build` is set. -> as resolved.
template <class Section>
Json check_section(const Spec& spec, const char* name, Section& section, const Registry& registry,
                   bool build, Faults& faults) {
  const auto given =
      spec.json().is_object() && spec.has(name) ? spec.child(name) : Spec::from_text("{}", name);
  return given.read(
      name, [&](ParamVisitor& p) { section.visit(p); }, &registry, build, faults);
}

}  // namespace marginalia
