#include "upgrade.h"

#include <fmt/format.h>

#include <marginalia/error.h>

#include "host/params/evaluation_params.h"
#include "spec_walker.h"

namespace marginalia {
namespace {

class Upgrader final : public SpecWalker {
 public:
  Upgrader(const Registry& registry, std::string file, int from)
      : SpecWalker(registry), file_(std::move(file)), from_(from) {}

 private:
  void meet(const Description& component, Json& json, const std::string& place) override {
    if (!component.upgrade || !json.is_object()) return;
    try {
      json = component.upgrade(json, from_);
    } catch (const SpecError& e) {
      throw SpecError(fmt::format("{}: {}: {}", file_, place, e.what()));
    }
  }
  std::string file_;
  int from_;
};

/// `network`: one component, or an object of them by role.
void upgrade_networks(Json& networks, Upgrader& upgrader) {
  if (!networks.is_object() || networks.contains("type"))
    return upgrader.walk("network", networks, "/network");
  for (auto& [role, network] : networks.items())
    upgrader.walk("network", network, "/network/" + role);
}

}  // namespace

bool is_of_older_format(const Json& spec) {
  const auto format = spec.is_object() ? spec.value("marginalia", Json()) : Json();
  return format.is_number_integer() && format >= 1 && format < kSpecFormat;
}

Spec upgraded(const Spec& spec, const Registry& registry) {
  if (!is_of_older_format(spec.json())) return spec;
  auto json = spec.json();
  Upgrader upgrader(registry, spec.file(), json.at("marginalia").get<int>());
  json["marginalia"] = kSpecFormat;
  for (const auto* kind : {"dataset", "energy", "family"})
    if (json.contains(kind)) upgrader.walk(kind, json.at(kind), std::string("/") + kind);
  if (json.contains("network")) upgrade_networks(json.at("network"), upgrader);
  EvaluationParams evaluation;
  if (json.contains("evaluation"))
    upgrader.walk_section([&](ParamVisitor& p) { evaluation.visit(p); }, json.at("evaluation"),
                          "/evaluation");
  return spec.with_document(std::move(json));
}

}  // namespace marginalia
