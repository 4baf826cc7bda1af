#include "spec_walker.h"

#include <fmt/format.h>

#include "host/params/evaluation_params.h"
#include "host/params/training_params.h"

namespace marginalia {

/// The name of the component, or of the alternative, that is given.
static std::string read_type(const Json& json) {
  if (json.is_string()) return json.get<std::string>();
  const bool names = json.is_object() && json.contains("type") && json.at("type").is_string();
  return names ? json.at("type").get<std::string>() : "";
}

void SpecWalker::walk(const char* kind, Json& json, const std::string& place) {
  const auto* component = registry_.find(kind, read_type(json));
  if (!component) return;
  meet(*component, json, place);
  walk_section(component->visit, json, place);
}

void SpecWalker::walk_section(const std::function<void(ParamVisitor&)>& visit, Json& json,
                              const std::string& place) {
  frames_.push_back({json.is_object() ? &json : &none_, place});
  visit(*this);
  frames_.pop_back();
}

/// `network`: one component, or an object of them by role.
static void walk_networks(SpecWalker& walker, Json& networks) {
  if (!networks.is_object() || networks.contains("type"))
    return walker.walk("network", networks, "/network");
  for (auto& [role, network] : networks.items())
    walker.walk("network", network, "/network/" + role);
}

void SpecWalker::walk_spec(Json& spec) {
  for (const auto* kind : {"dataset", "energy", "family"})
    if (spec.contains(kind)) walk(kind, spec.at(kind), std::string("/") + kind);
  if (spec.contains("network")) walk_networks(*this, spec.at("network"));
  const auto sections = [&](Json& of, const std::string& place) {
    const auto section = [&](const char* name, auto params) {
      if (of.contains(name))
        walk_section([&](ParamVisitor& p) { params.visit(p); }, of.at(name), place + "/" + name);
    };
    section("training", TrainingParams());
    section("evaluation", EvaluationParams());
  };
  sections(spec, "");
  if (!spec.contains("prior") || !spec.at("prior").is_object()) return;
  auto& prior = spec.at("prior");
  if (prior.contains("family")) walk("family", prior.at("family"), "/prior/family");
  sections(prior, "/prior");
}

void SpecWalker::operator()(const char* name, AnyChild& value, Of<bool>) {
  if (json().contains(name)) walk(value.kind(), given(name), place(name));
}

Json& SpecWalker::given(const std::string& name) {
  auto& json = *frames_.back().json;
  return json.contains(name) ? json.at(name) : none_;
}

std::size_t SpecWalker::begin_list(const char* name, const char*, std::size_t, Of<bool>) {
  list_ = name;
  return given(list_).is_array() ? given(list_).size() : 0;
}

void SpecWalker::element(std::size_t index, AnyChild& value) {
  const auto list = list_;  // a part may have lists of its own
  walk(value.kind(), given(list).at(index), place(fmt::format("{}/{}", list, index)));
  list_ = list;
}

void SpecWalker::begin_section(const char* name, const char*) {
  auto& section = given(name);
  frames_.push_back({section.is_object() ? &section : &none_, place(name)});
}

void SpecWalker::begin_choice(const char* name, const char*, const std::vector<Alternative>& all,
                              std::size_t by_default) {
  const auto type = read_type(given(name));
  choices_.push_back({name, by_default});
  for (std::size_t i = 0; i < all.size(); ++i)
    if (type == all[i].name) choices_.back().chosen = i;
}

bool SpecWalker::begin_alternative(std::size_t index) {
  if (index != choices_.back().chosen) return false;
  begin_section(choices_.back().name.c_str(), "");
  return true;
}

}  // namespace marginalia
