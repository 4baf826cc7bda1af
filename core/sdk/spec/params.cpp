#include <algorithm>
#include <cstdint>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/spec.h>

#include "sdk/base/text.h"
#include "word_list.h"

namespace marginalia {
namespace {

template <class T>
struct Kind;
template <>
struct Kind<bool> {
  static constexpr const char* kName = "true or false";
  static bool fits(const Json& j) { return j.is_boolean(); }
};
template <>
struct Kind<double> {
  static constexpr const char* kName = "a number";
  static bool fits(const Json& j) { return j.is_number(); }
};
template <>
struct Kind<std::int64_t> {
  static constexpr const char* kName = "an integer";
  static bool fits(const Json& j) { return whole_number(j).has_value(); }
};
template <>
struct Kind<std::string> {
  static constexpr const char* kName = "a string";
  static bool fits(const Json& j) { return j.is_string(); }
};
template <class T>
struct Kind<std::vector<T>> {
  static bool fits(const Json& j) {
    return j.is_array() && std::ranges::all_of(j, [](const Json& e) { return Kind<T>::fits(e); });
  }
};

/// Reads one object of a spec: fills values, collects faults, writes what was resolved.
class SpecReader final : public ParamVisitor {
 public:
  SpecReader(const Spec& spec, std::string_view component, const ComponentSource* components,
             bool build, Faults& faults)
      : component_(component), components_(components), build_(build), all_faults_(faults) {
    frames_.push_back({spec, {}, Json::object(), ""});
    if (!spec.json().is_object()) fault("must be an object, not {}", spec.json().dump());
    if (names_component()) frame().resolved["type"] = component_;
  }

  void operator()(const char* name, bool& value, Of<bool>) override { take(name, value); }
  void operator()(const char* name, double& value, Of<double> field) override {
    if (take(name, value)) check_range(name, value, field);
  }
  void operator()(const char* name, std::int64_t& value, Of<std::int64_t> field) override {
    if (take(name, value)) check_range(name, value, field);
  }
  void operator()(const char* name, std::string& value, Of<std::string> field) override {
    if (take(name, value)) check_choice(name, value, field);
  }
  void operator()(const char* name, Integers& value, Of<Integers> field) override {
    if (take_list(name, value, "a list of integers"))
      for (const auto& v : value)
        check_range(name, v, field);
  }
  void operator()(const char* name, Numbers& value, Of<Numbers> field) override {
    if (take_list(name, value, "a list of numbers"))
      for (const auto& v : value)
        check_range(name, v, field);
  }
  void operator()(const char* name, Strings& value, Of<std::string> field) override {
    if (is_word_or_list(value, field)) return take_word_or_list(name, value, field);
    if (take_list(name, value, "a list of strings"))
      for (const auto& v : value)
        check_choice(name, v, field);
  }
  void operator()(const char* name, Named& value, Of<double> field) override {
    const Json* given = look(name);
    const bool fits = given && given->is_object() && Kind<Numbers>::fits(list_values(*given));
    if (given && !fits)
      fault("\"{}{}\" must be an object of numbers, not {}", frame().prefix, name, given->dump());
    if (fits) {
      value.clear();
      for (const auto& [key, number] : given->items()) {
        value[key] = number.get<double>();
        check_range(fmt::format("{}.{}", name, key).c_str(), value[key], field);
      }
    }
    frame().resolved[name] = value;
  }
  void operator()(const char* name, AnyObject& value, Of<std::string>) override {
    const Json* given = look(name);
    if (given && !given->is_object())
      fault("\"{}{}\" must be an object, not {}", frame().prefix, name, given->dump());
    else if (given)
      value.text = given->dump();
    frame().resolved[name] = Json::parse(value.text);
  }
  void operator()(const char* name, Count& value, Of<std::int64_t> field) override {
    const Json* given = look(name);
    if (given && *given == "all")
      value = {0, true};
    else if (given && Kind<std::int64_t>::fits(*given))
      check_range(name, (value = {given->get<std::int64_t>(), false}).value, field);
    else if (given)
      fault("\"{}{}\" must be an integer or \"all\", not {}", frame().prefix, name, given->dump());
    frame().resolved[name] = value.all ? Json("all") : Json(value.value);
  }
  void operator()(const char* name, FilePath& value, Of<std::string>) override {
    take(name, value.given);
    if (!value) return;
    const auto& paths = frame().spec.paths();
    value.found = paths.find(value.given);
    const bool is_beside = std::filesystem::exists(value.found) &&
                           value.found.parent_path() == (paths.beside / value.given).parent_path();
    if (is_beside && value.found.is_absolute()) frame().resolved[name] = value.found.string();
  }
  void operator()(const char* name, AnyChild& value, Of<bool>) override {
    if (look(name)) frame().resolved[name] = child(value, frame().spec.child(name));
  }

  /// Reports what was given and is not a parameter. -> the resolved parameters.
  Json finish() {
    close_frame(component_);
    if (!faults_.empty())
      all_faults_.add(fmt::format("{}: {} cannot be built\n  - {}\n  it takes: {}",
                                  frame().spec.where(), component_, fmt::join(faults_, "\n  - "),
                                  fmt::join(frame().known, ", ")));
    return std::move(frame().resolved);
  }

 private:
  /// An object being read: the spec's own, or a section of it.
  struct Frame {
    Spec spec;
    std::vector<std::string> known;
    Json resolved;
    std::string prefix;  // "optimizer." inside a section
  };
  Frame& frame() { return frames_.back(); }
  /// A choice being read.
  static constexpr std::size_t kNone = SIZE_MAX;
  struct Choice {
    const char* name;
    std::vector<Alternative> all;
    std::size_t chosen;  // kNone: what was given names none of them
    const Json* given;   // null: nothing
  };

  std::size_t begin_list(const char* name, const char*, std::size_t, Of<bool>) override {
    list_ = name;
    frame().resolved[name] = Json::array();
    const Json* given = look(name);
    if (given && !given->is_array()) {
      fault("\"{}{}\" must be a list of components, not {}", frame().prefix, name, given->dump());
      given = nullptr;
    }
    return given ? given->size() : 0;
  }
  void element(std::size_t index, AnyChild& value) override {
    const auto spec = frame().spec.child(list_).element(index).as_component();
    frame().resolved[list_].push_back(child(value, spec));
  }
  void end_list() override {}

  void begin_section(const char* name, const char*) override {
    const Json* given = look(name);
    if (given && !given->is_object())
      fault("\"{}{}\" must be an object, not {}", frame().prefix, name, given->dump());
    const bool usable = given && given->is_object();
    const auto prefix = fmt::format("{}{}.", frame().prefix, name);
    frames_.push_back(
        {usable ? frame().spec.child(name) : Spec::from_text("{}"), {}, Json::object(), prefix});
    sections_.push_back(name);
  }
  void end_section() override {
    close_frame(component_);
    auto resolved = std::move(frame().resolved);
    frames_.pop_back();
    frame().resolved[sections_.back()] = std::move(resolved);
    sections_.pop_back();
  }

  void begin_choice(const char* name, const char*, const std::vector<Alternative>& all,
                    std::size_t by_default) override {
    choices_.push_back({name, all, by_default, nullptr});
    auto& choice = choices_.back();
    choice.given = look(name);
    if (!choice.given) return;
    const auto& given = *choice.given;
    if (given.is_string())
      find_alternative(name, given.get<std::string>());
    else if (!given.is_object())
      fault("\"{}{}\" must be {}, or an object with one of them as \"type\", not {}",
            frame().prefix, name, fmt::join(list_names(all), ", "), given.dump());
    else if (given.contains("type"))
      find_alternative(fmt::format("{}.type", name), given.at("type"));
  }
  bool begin_alternative(std::size_t index) override {
    const auto& choice = choices_.back();
    if (index != choice.chosen) return false;
    const bool has_parameters = choice.given && choice.given->is_object();
    const auto prefix = fmt::format("{}{}.", frame().prefix, choice.name);
    auto spec = has_parameters ? frame().spec.child(choice.name) : Spec::from_text("{}");
    const auto* const name = choice.all[index].name;
    frames_.push_back({std::move(spec), {"type"}, Json{{"type", name}}, prefix});
    return true;
  }
  void end_alternative() override {
    const auto& choice = choices_.back();
    close_frame(fmt::format("{} {}", choice.name, choice.all[choice.chosen].name));
    auto resolved = std::move(frame().resolved);
    frames_.pop_back();
    frame().resolved[choice.name] = std::move(resolved);
  }
  void end_choice() override {
    const auto& choice = choices_.back();
    if (choice.chosen == kNone) frame().resolved[choice.name] = *choice.given;
    choices_.pop_back();
  }

  /// The alternative of that name; a fault, and none, where there is no such one.
  void find_alternative(const std::string& where, const Json& given) {
    auto& choice = choices_.back();
    const auto names = list_names(choice.all);
    const auto name = given.is_string() ? given.get<std::string>() : given.dump();
    const auto found = std::ranges::find(names, name);
    choice.chosen = found == names.end() ? kNone : std::size_t(found - names.begin());
    check_choice(where.c_str(), name, {.doc = "", .one_of = names});
  }

  static std::vector<std::string> list_names(const std::vector<Alternative>& all) {
    std::vector<std::string> names;
    for (const auto& one : all)
      names.emplace_back(one.name);
    return names;
  }

  /// Whether "type" is the name of what is read; a section has none.
  bool names_component() {
    const auto& json = frame().spec.json();
    return json.is_object() && json.contains("type") && json.at("type") == component_;
  }

  /// The value given for `name` in the object being read, or null.
  const Json* look(const char* name) {
    frame().known.emplace_back(name);
    const auto& json = frame().spec.json();
    if (!json.is_object() || !json.contains(name) || json.at(name).is_null()) return nullptr;
    return &json.at(name);
  }

  template <class T>
  bool take(const char* name, T& value) {
    const Json* given = look(name);
    const bool fits = given && Kind<T>::fits(*given);
    if (fits)
      value = given->get<T>();
    else if (given)
      fault("\"{}{}\" must be {}, not {}", frame().prefix, name, Kind<T>::kName, given->dump());
    frame().resolved[name] = value;
    return fits;
  }

  template <class T>
  bool take_list(const char* name, std::vector<T>& value, const char* expected) {
    const Json* given = look(name);
    const bool fits = given && Kind<std::vector<T>>::fits(*given);
    if (fits)
      value = given->get<std::vector<T>>();
    else if (given)
      fault("\"{}{}\" must be {}, not {}", frame().prefix, name, expected, given->dump());
    frame().resolved[name] = value;
    return fits;
  }

  /// A word stands for the list of it alone, and is written in its place.
  void take_word_or_list(const char* name, Strings& value, const Field<std::string>& field) {
    const Json* given = look(name);
    if (given && given->is_string())
      value = {given->get<std::string>()};
    else if (given && !given->empty() && Kind<Strings>::fits(*given))
      value = given->get<Strings>();
    else if (given)
      fault("\"{}{}\" must be a string, or a list of strings, not {}", frame().prefix, name,
            given->dump());
    for (const auto& v : value)
      check_choice(name, v, field);
    frame().resolved[name] = value.size() == 1 ? Json(value[0]) : Json(value);
  }

  Json child(AnyChild& value, const Spec& spec) {
    if (!components_) throw Error("a parameter that is a component needs a registry to be read");
    const auto resolved = components_->check(value.kind(), spec, all_faults_);
    value.spec = std::make_shared<Spec>(spec);
    if (build_ && all_faults_.empty() && faults_.empty()) components_->build(value, spec);
    return resolved;
  }

  static Json list_values(const Json& object) {
    Json values = Json::array();
    for (const auto& [key, value] : object.items())
      values.push_back(value);
    return values;
  }

  template <class T, class F>
  void check_range(const char* name, T value, const F& field) {
    if (field.min && value < *field.min)
      fault("\"{}{}\" must be at least {}, not {}", frame().prefix, name, *field.min, value);
    if (field.max && value > *field.max)
      fault("\"{}{}\" must be at most {}, not {}", frame().prefix, name, *field.max, value);
  }

  void check_choice(const char* name, const std::string& value, const Field<std::string>& field) {
    if (field.one_of.empty() || std::ranges::count(field.one_of, value)) return;
    const auto guess = nearest(value, field.one_of);
    fault("\"{}{}\" must be one of {}, not \"{}\"{}", frame().prefix, name,
          fmt::join(field.one_of, ", "), value,
          guess.empty() ? "" : fmt::format("; did you mean \"{}\"?", guess));
  }

  /// Names the keys of the object being read that are no parameters of `owner`.
  void close_frame(const std::string& owner) {
    if (!frame().spec.json().is_object()) return;
    const auto& known = frame().known;
    for (const auto& [key, _] : frame().spec.json().items()) {
      const bool is_type = frames_.size() == 1 && key == "type" && names_component();
      if (is_type || std::ranges::count(known, key)) continue;
      const auto guess = nearest(key, known);
      fault("\"{}{}\" is not a parameter of {}{}", frame().prefix, key, owner,
            guess.empty() ? "" : fmt::format("; did you mean \"{}{}\"?", frame().prefix, guess));
    }
  }

  template <class... Args>
  void fault(fmt::format_string<Args...> text, Args&&... args) {
    faults_.push_back(fmt::format(text, std::forward<Args>(args)...));
  }

  std::string component_;
  const ComponentSource* components_;
  bool build_;
  Faults& all_faults_;
  std::vector<Frame> frames_;
  std::vector<Choice> choices_;
  std::vector<std::string> sections_, faults_;
  std::string list_;
};

}  // namespace

ComponentSource::~ComponentSource() = default;
AnyChild::~AnyChild() = default;

Json Spec::read(std::string_view component, const std::function<void(ParamVisitor&)>& visit,
                const ComponentSource* components, bool build, Faults& faults) const {
  SpecReader reader(*this, component, components, build, faults);
  visit(reader);
  return reader.finish();
}

void Spec::fill(std::string_view component, const std::function<void(ParamVisitor&)>& visit,
                const ComponentSource& components) const {
  Faults faults;
  read(component, visit, &components, true, faults);
  faults.throw_if_any();
}

}  // namespace marginalia
