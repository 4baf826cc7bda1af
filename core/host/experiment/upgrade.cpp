#include "upgrade.h"

#include <fmt/format.h>

#include <marginalia/error.h>

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

}  // namespace

bool is_of_older_format(const Json& spec) {
  const auto format =
      spec.is_object() ? whole_number(spec.value("marginalia", Json())) : std::nullopt;
  return format && *format >= 1 && *format < kSpecFormat;
}

Spec upgraded(const Spec& spec, const Registry& registry) {
  if (!is_of_older_format(spec.json())) return spec;
  auto json = spec.json();
  Upgrader upgrader(registry, spec.file(), int(*whole_number(json.at("marginalia"))));
  json["marginalia"] = kSpecFormat;
  upgrader.walk_spec(json);
  return spec.with_document(std::move(json));
}

}  // namespace marginalia
