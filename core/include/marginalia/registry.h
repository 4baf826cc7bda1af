#pragma once

#include <concepts>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include <marginalia/component.h>
#include <marginalia/error.h>
#include <marginalia/measurement.h>
#include <marginalia/source.h>
#include <marginalia/spec.h>

namespace marginalia {

class Dataset;
class Energy;
class Family;
class Metric;
class Network;
class Tool;

/// What a class must show to be registered: a component that is built from its parameters; or one
/// name for several of them, with a static make() that chooses by the parameters.
template <class T>
concept Registrable = requires(typename T::Params params, ParamVisitor& visitor) {
  { T::kName } -> std::convertible_to<std::string>;
  { T::kSummary } -> std::convertible_to<std::string>;
  params.visit(visitor);
  requires std::derived_from<T, typename T::Interface>;
  requires std::constructible_from<T, const typename T::Params&> ||
      std::constructible_from<T, const typename T::Params&, const typename T::Interface::Context&>;
}
|| requires(typename T::Params params, ParamVisitor& visitor) {
  { T::kName } -> std::convertible_to<std::string>;
  { T::kSummary } -> std::convertible_to<std::string>;
  params.visit(visitor);
  { T::make(params) } -> std::convertible_to<std::shared_ptr<typename T::Interface>>;
};

/// What is known of a component before one is built.
struct Description {
  std::string kind, name, summary;
  std::string formula, source;  ///< T::kFormula, T::kSource, where given
  std::string example;          ///< T::kExample: JSON that builds a small one; "{}" by default
  std::string plugin, version;  ///< the library it came from
  std::function<void(ParamVisitor&)> visit;  ///< its parameters, at their defaults
  std::map<std::string, unsigned> roles;     ///< of a family: T::kRoles, the heads of each network
  std::vector<PublicFile> sources;  ///< of a dataset or energy: T::sources(), the public files
  std::vector<OptionalPart> parts;  ///< T::parts(), what it can be built without
  std::vector<MeasurementInfo> measurements;  ///< of a metric: T::kMeasurements
  std::string reference_chains;               ///< of a family: T::kReferenceChains
  std::string files;                          ///< of a dataset: T::kFiles
  /// T::upgrade: parameters as a spec of format `from` gives them -> the same in today's words.
  /// Empty where nothing has changed. Throws SpecError for what has no such words.
  std::function<Json(const Json&, int from)> upgrade;
};

/// The components a host knows, by kind and name. A value: make one in a test and drop it.
class MARGINALIA_API Registry final : public ComponentSource {
 public:
  template <class Interface>
  struct Entry {
    Description description;
    std::function<std::shared_ptr<Interface>(const Spec&, const Registry&, const void* context)>
        make;
  };
  template <class Interface>
  using Table = std::map<std::string, Entry<Interface>>;

  /// Adds each T under its T::kName; throws PluginError when the name is taken.
  template <Registrable... T>
  void add() {
    (add_one<T>(), ...);
  }

  /// Builds the component that `spec` names and configures.
  template <class Interface, class Context = NoContext>
  std::shared_ptr<Interface> make(const Spec& spec, const Context& context = {}) const;

  template <class Interface>
  const Table<Interface>& all() const {
    return std::get<Table<Interface>>(tables_);
  }

  Json check(const std::string& kind, const Spec& spec, Faults& faults) const override;
  void build(AnyChild& child, const Spec& spec) const override { child.build(*this, spec); }

  std::vector<const Description*> descriptions() const;  ///< by kind, then name
  std::vector<std::string> names(const std::string& kind) const;
  const Description* find(const std::string& kind, const std::string& name) const;

  /// The plugin whose components are being added; the plugin host sets it.
  void set_plugin(std::string name, std::string version);

 private:
  template <Registrable T>
  void add_one();
  Description describe(std::string kind, std::string name) const;

  std::tuple<Table<Dataset>, Table<Energy>, Table<Family>, Table<Metric>, Table<Network>,
             Table<Tool>>
      tables_;
  std::string plugin_ = "host", version_;
};

namespace detail {
[[noreturn]] MARGINALIA_API void throw_taken(const Description& taken, const std::string& plugin);
[[noreturn]] MARGINALIA_API void throw_unknown(const char* kind, const Spec& spec,
                                               const std::vector<std::string>& names);
/// Runs `build` and turns what a plugin throws into an Error that names it.
MARGINALIA_API void at_the_border(const Description& from, const std::function<void()>& build);
MARGINALIA_API std::string label(const Description& of);
}  // namespace detail

template <Registrable T>
void Registry::add_one() {
  using Interface = typename T::Interface;
  using Params = typename T::Params;
  using Context = typename Interface::Context;
  Description d = describe(Interface::kKind, T::kName);
  d.summary = T::kSummary;
  if constexpr (requires { T::kFormula; }) d.formula = T::kFormula;
  if constexpr (requires { T::kSource; }) d.source = T::kSource;
  if constexpr (requires { T::kExample; }) d.example = T::kExample;
  if constexpr (requires { T::kRoles; })
    for (const auto& [role, heads] : T::kRoles)
      d.roles[role] = heads;
  if constexpr (requires { T::sources(); }) d.sources = T::sources();
  if constexpr (requires { T::parts(); }) d.parts = T::parts();
  if constexpr (requires { T::kMeasurements; })
    d.measurements.assign(std::begin(T::kMeasurements), std::end(T::kMeasurements));
  if constexpr (requires { T::kReferenceChains; }) d.reference_chains = T::kReferenceChains;
  if constexpr (requires { T::kFiles; }) d.files = T::kFiles;
  if constexpr (requires { &T::upgrade; }) d.upgrade = &T::upgrade;
  d.visit = [](ParamVisitor& visitor) { Params().visit(visitor); };

  auto& table = std::get<Table<Interface>>(tables_);
  if (const auto taken = table.find(d.name); taken != table.end())
    detail::throw_taken(taken->second.description, d.plugin);
  const auto make = [d](const Spec& spec, const Registry& registry, const void* context) {
    Params params;
    spec.fill(
        d.name, [&](ParamVisitor& visitor) { params.visit(visitor); }, registry);
    std::shared_ptr<Interface> made;
    detail::at_the_border(d, [&] {
      if constexpr (requires { T::make(params); })
        made = T::make(params);
      else if constexpr (std::constructible_from<T, const Params&>)
        made = std::make_shared<T>(params);
      else
        made = std::make_shared<T>(params, *static_cast<const Context*>(context));
      made->set_label(detail::label(d));
    });
    return made;
  };
  table.emplace(d.name, Entry<Interface>{d, make});
}

template <class Interface, class Context>
std::shared_ptr<Interface> Registry::make(const Spec& spec, const Context& context) const {
  static_assert(std::is_same_v<Context, typename Interface::Context>);
  const auto& table = all<Interface>();
  if (const auto it = table.find(spec.type()); it != table.end())
    return it->second.make(spec, *this, &context);
  detail::throw_unknown(Interface::kKind, spec, names(Interface::kKind));
}

template <class Interface>
void Child<Interface>::build(const Registry& registry, const Spec& from) {
  using Context = typename Interface::Context;
  if constexpr (std::is_same_v<Context, NoContext>)
    value = registry.make<Interface>(from);
  else
    make_ = [&registry, from](const void* context) {
      return registry.make<Interface>(from, *static_cast<const Context*>(context));
    };
}

}  // namespace marginalia
