#pragma once

#include <nlohmann/json.hpp>

#include <marginalia/registry.h>
#include <marginalia/spec.h>

namespace marginalia {

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
