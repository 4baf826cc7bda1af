#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <marginalia/dataset.h>
#include <marginalia/energy.h>
#include <marginalia/error.h>
#include <marginalia/family.h>
#include <marginalia/metric.h>
#include <marginalia/registry.h>
#include <marginalia/tool.h>

namespace marginalia {

void Registry::set_plugin(std::string name, std::string version) {
  plugin_ = std::move(name);
  version_ = std::move(version);
}

Description Registry::describe(std::string kind, std::string name) const {
  return {.kind = std::move(kind),
          .name = std::move(name),
          .summary = {},
          .formula = {},
          .source = {},
          .example = "{}",
          .plugin = plugin_,
          .version = version_,
          .visit = {},
          .roles = {},
          .sources = {},
          .parts = {},
          .measurements = {},
          .reference_chains = {},
          .files = {},
          .upgrade = {}};
}

/// Calls `f` with the descriptions of one kind.
template <class Tables, class F>
static void for_kind(const Tables& tables, const std::string& kind, F f) {
  const auto visit = [&]<class Interface>(const Registry::Table<Interface>& table) {
    if (kind == Interface::kKind)
      for (const auto& [name, entry] : table)
        f(entry.description);
  };
  std::apply([&](const auto&... table) { (visit(table), ...); }, tables);
}

std::vector<std::string> Registry::names(const std::string& kind) const {
  std::vector<std::string> names;
  for_kind(tables_, kind, [&](const Description& d) { names.push_back(d.name); });
  return names;
}

const Description* Registry::find(const std::string& kind, const std::string& name) const {
  const Description* found = nullptr;
  for_kind(tables_, kind, [&](const Description& d) {
    if (d.name == name) found = &d;
  });
  return found;
}

std::vector<const Description*> Registry::descriptions() const {
  std::vector<const Description*> all;
  for (const auto& kind : component_kinds())
    for_kind(tables_, kind, [&](const Description& d) { all.push_back(&d); });
  return all;
}

/// What is left of a spec's parameters once those of format 1, which today stand elsewhere, are
/// named as a fault with what to write in their place.
static Spec without_old_words(const Description& component, const Spec& spec, Faults& faults) {
  if (!component.upgrade || !spec.json().is_object()) return spec;
  auto today = component.upgrade(spec.json(), 1);
  auto left = Json::object();
  std::vector<std::string> old;
  for (const auto& [key, value] : spec.json().items())
    if (today.contains(key))
      left[key] = value;
    else
      old.push_back(fmt::format("\"{}\"", key));
  if (old.empty()) return spec;
  for (const auto& [key, value] : left.items())
    if (today.at(key) == value) today.erase(key);
  const auto instead = today.empty() ? "leave it out" : "write " + today.dump();
  faults.add(fmt::format("{}: {} of {} is of format 1; in format {} {}", spec.where(),
                         fmt::join(old, ", "), component.name, kSpecFormat, instead));
  return spec.with_document(std::move(left));
}

Json Registry::check(const std::string& kind, const Spec& spec, Faults& faults) const {
  std::string type;
  try {
    type = spec.type();
  } catch (const SpecError& e) {
    faults.add(e.what());
    return Json::object();
  }
  const auto* component = find(kind, type);
  if (!component) {
    faults.add_unknown(fmt::format("{}: {}", spec.where(), unknown_name(kind, type, names(kind))));
    return spec.json();
  }
  try {
    const auto current = without_old_words(*component, spec, faults);
    return current.read(type, component->visit, this, false, faults);
  } catch (const SpecError& e) {  // what format 1 had no meaning for either
    faults.add(fmt::format("{}: {}", spec.where(), e.what()));
    return spec.json();
  }
}

namespace detail {

std::string label(const Description& of) {
  return fmt::format("{} {} (plugin {})", of.kind, of.name, of.plugin);
}

void throw_taken(const Description& taken, const std::string& plugin) {
  throw PluginError(
      fmt::format("{} \"{}\" of plugin {} is already offered by plugin {}; rename one", taken.kind,
                  taken.name, plugin, taken.plugin));
}

void throw_unknown(const char* kind, const Spec& spec, const std::vector<std::string>& names) {
  throw UnknownComponent(
      fmt::format("{}: {}", spec.where(), unknown_name(kind, spec.type(), names)));
}

void at_the_border(const Description& from, const std::function<void()>& build) {
  try {
    build();
  } catch (const UnknownComponent& e) {
    throw UnknownComponent(fmt::format("{}: {}", label(from), e.what()));
  } catch (const SpecError& e) {
    throw SpecError(fmt::format("{}: {}", label(from), e.what()));
  } catch (const std::exception& e) {
    throw Error(fmt::format("{}: {}", label(from), describe_error(e)));
  } catch (...) {
    throw Error(fmt::format("{}: threw something that is not a std::exception", label(from)));
  }
}

}  // namespace detail
}  // namespace marginalia
