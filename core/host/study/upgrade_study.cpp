#include "upgrade_study.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include <marginalia/error.h>

#include "host/experiment/upgrade.h"
#include "study_manifest.h"

namespace marginalia {
namespace {

using study::Base;
using study::Changes;

Json::json_pointer pointer_to(std::string dotted) {
  std::ranges::replace(dotted, '.', '/');
  return Json::json_pointer("/" + dotted);
}

/// Keys of a manifest's entries that change nothing in a spec.
bool names_entry(const std::string& key) {
  return key == "name" || key == "variant" || key == "base";
}

/// A spec before and after some changes, both in today's words.
class Difference {
 public:
  Difference(const Json& before, std::vector<Json> after)
      : before_(before), after_(std::move(after)) {}

  /// The values that a key has after the changes; empty where there is no such key any more.
  std::vector<Json> values_at(const std::string& dotted) const {
    std::vector<Json> values;
    for (const auto& spec : after_)
      if (spec.contains(pointer_to(dotted))) values.push_back(spec.at(pointer_to(dotted)));
    return values.size() == after_.size() ? values : std::vector<Json>();
  }

  /// The keys that say what `old` said: those below the object that it stood in, as far as that is
  /// still there, at which something differs; each as deep as it goes with one key.
  std::vector<std::string> keys_beside(const std::string& old) const {
    auto owner = old.substr(0, old.rfind('.'));
    while (!before_.contains(pointer_to(owner)) && owner.find('.') != std::string::npos)
      owner = owner.substr(0, owner.rfind('.'));
    std::vector<std::string> keys;
    for (const auto& key : differing(owner))
      keys.push_back(narrowed(owner + "." + key));
    return keys;
  }

 private:
  std::vector<std::string> differing(const std::string& dotted) const {
    const auto at = pointer_to(dotted);
    std::vector<std::string> keys;
    const auto gather = [&](const Json& spec) {
      if (!spec.contains(at) || !spec.at(at).is_object()) return;
      for (const auto& [key, _] : spec.at(at).items())
        if (!std::ranges::count(keys, key) && differs(at / key)) keys.push_back(key);
    };
    gather(before_);
    std::ranges::for_each(after_, gather);
    return keys;
  }
  bool differs(const Json::json_pointer& at) const {
    return std::ranges::any_of(after_, [&](const Json& spec) {
      return value(spec, at) != value(before_, at) || value(spec, at) != value(after_.front(), at);
    });
  }
  /// Goes down while all are objects of one type and one key alone differs.
  std::string narrowed(std::string dotted) const {
    const auto at = pointer_to(dotted);
    const auto is_object = [&](const Json& spec) { return value(spec, at).is_object(); };
    if (!is_object(before_) || !std::ranges::all_of(after_, is_object)) return dotted;
    const auto keys = differing(dotted);
    return keys.size() == 1 && keys[0] != "type" ? narrowed(dotted + "." + keys[0]) : dotted;
  }
  static Json value(const Json& spec, const Json::json_pointer& at) {
    return spec.contains(at) ? spec.at(at) : Json();
  }

  Json before_;
  std::vector<Json> after_;
};

class Upgrader {
 public:
  Upgrader(const study::Manifest& manifest, const Registry& registry)
      : manifest_(manifest), registry_(registry) {}

  Json changes(const Changes& given, bool on_settings) const {
    const auto before = base(given, on_settings);
    const Difference difference(today(before),
                                std::vector{today(before.with(study::to_settings(given)))});
    Json now = Json::object();
    for (const auto& [key, value] : given.items()) {
      if (names_entry(key) || value.is_null()) {
        now[key] = value;
      } else if (const auto same = difference.values_at(key); !same.empty()) {
        now[key] = same[0];
      } else {
        for (const auto& moved : difference.keys_beside(key))
          if (!given.contains(moved)) now[moved] = find_value(difference, moved);
      }
    }
    return now;
  }

  /// "grid", or an object of "zip": keys to lists of values.
  Json axes(const Json& given) const {
    Json now = Json::object();
    const auto before = base(Changes::object(), true);
    for (const auto& [key, values] : given.items()) {
      std::vector<Json> after;
      for (const auto& value : values) {
        auto change = Changes::object();
        change[key] = value;
        after.push_back(today(before.with(study::to_settings(change))));
      }
      const Difference difference(today(before), std::move(after));
      auto name = key;
      auto list = difference.values_at(key);
      if (list.empty()) {
        const auto keys = difference.keys_beside(key);
        if (keys.size() != 1)
          throw SpecError(fmt::format("{}: \"{}\" is {} keys in format {}; write variants in its "
                                      "place",
                                      manifest_.where(), key, keys.size(), kSpecFormat));
        name = keys[0];
        list = difference.values_at(name);
      }
      now[name] = list;
    }
    return now;
  }

 private:
  static Json find_value(const Difference& difference, const std::string& key) {
    const auto values = difference.values_at(key);
    return values.empty() ? Json() : values[0];
  }
  Spec base(const Changes& changes, bool on_settings) const {
    const auto& base = manifest_.find_base(changes);
    auto json = base.spec;
    json["marginalia"] = 1;  // what is said already as today stays as it is
    const auto spec = Spec::from_text(json.dump(), manifest_.where(), base.paths);
    return on_settings
               ? spec.with(study::to_settings(manifest_.json().value("settings", Json::object())))
               : spec;
  }
  Json today(const Spec& spec) const { return upgraded(spec, registry_).json(); }

  const study::Manifest& manifest_;
  const Registry& registry_;
};

}  // namespace

Json upgraded_study(const std::filesystem::path& file, const std::filesystem::path& data,
                    const Registry& registry) {
  Faults faults;
  const study::Manifest manifest(Spec::from_file(file, data), file, faults);
  faults.throw_if_any();
  const Upgrader upgrader(manifest, registry);
  auto json = manifest.json();
  json["marginalia_study"] = kSpecFormat;
  if (json.at("base").is_object())
    json["base"] =
        upgraded(Spec::from_text(json.at("base").dump(), manifest.where()), registry).json();
  if (json.contains("variants"))
    for (auto& [_, variant] : json.at("variants").items())
      variant = upgrader.changes(variant, true);
  if (json.contains("experiments"))
    for (auto& entry : json.at("experiments"))
      entry = upgrader.changes(entry, true);
  if (json.contains("grid")) json["grid"] = upgrader.axes(json.at("grid"));
  if (json.contains("zip")) {
    auto& zip = json.at("zip");
    if (zip.is_object())
      zip = upgrader.axes(zip);
    else
      for (auto& one : zip)
        one = upgrader.axes(one);
  }
  if (json.contains("settings")) json["settings"] = upgrader.changes(json.at("settings"), false);
  return json;
}

}  // namespace marginalia
