#include "study_manifest.h"

#include <algorithm>
#include <cctype>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>

#include "sdk/base/text.h"

namespace marginalia::study {

namespace fs = std::filesystem;

namespace {

constexpr double kMaxEver = 100'000;  // experiments, whatever is asked

const std::vector<std::string> kKeys{"marginalia_study", "note",    "base",  "settings",
                                     "variants",         "grid",    "zip",   "seeds",
                                     "experiments",      "compare", "budget"};

/// Names become folders, and words of a shell.
void check_name(const std::string& name, const std::string& where, Faults& faults) {
  constexpr std::size_t kLongest = 64;
  const auto fits = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
  };
  if (name.empty() || name.size() > kLongest || name.front() == '-' || name.front() == '.' ||
      !std::ranges::all_of(name, fits))
    faults.add(fmt::format("{}: \"{}\" must be up to {} letters, digits, - _ . and begin with a "
                           "letter or digit: it names folders",
                           where, name, kLongest));
}

void make_names_unique(std::vector<Draft>& drafts) {
  constexpr std::size_t kLongest = 120;
  std::set<std::string> taken;
  for (auto& draft : drafts) {
    const auto stem = draft.name.substr(0, kLongest);
    draft.name = stem;
    for (int n = 2; !taken.insert(draft.name).second; ++n)
      draft.name = fmt::format("{}-{}", stem, n);
  }
}

}  // namespace

std::vector<std::string> to_settings(const Changes& changes) {
  std::vector<std::string> all;
  for (const auto& [key, value] : changes.items())
    if (key != "name" && key != "variant" && key != "base") all.push_back(key + "=" + value.dump());
  return all;
}

Manifest::Manifest(const Spec& spec, fs::path file, Faults& faults)
    : spec_(spec), json_(spec.json()), file_(std::move(file)), where_(file_.string()) {
  check_keys(faults);
  faults.throw_if_any();
  read_bases(faults);
  axes_ = read_axes(spec_, faults);
  check_group("variants", false, faults);
  check_group("experiments", true, faults);
  if (has("settings") && !json_.at("settings").is_object())
    faults.add(where_ + ": /settings: must be an object of changes to the base");
  check_variants(faults);
  for (const auto& entry : read_group("experiments"))
    if (entry.json().is_object()) check_entry(entry, faults);
}

void Manifest::check_keys(Faults& faults) const {
  if (!json_.is_object()) return faults.add(where_ + ": /: a study is a JSON object");
  if (!json_.contains("marginalia_study"))
    faults.add(fmt::format("{}: /: needs \"marginalia_study\": {}, the version of the format; an "
                           "experiment's spec goes to \"base\"",
                           where_, kSpecFormat));
  else if (json_.at("marginalia_study") != 1 && json_.at("marginalia_study") != kSpecFormat)
    faults.add(fmt::format("{}: /: \"marginalia_study\" must be {}, or 1, not {}", where_,
                           kSpecFormat, json_.at("marginalia_study").dump()));
  for (const auto& [key, _] : json_.items()) {
    if (std::ranges::count(kKeys, key)) continue;
    const auto guess = nearest(key, kKeys);
    faults.add(fmt::format("{}: /: \"{}\" is not a key of a study{}\n  it takes: {}", where_, key,
                           guess.empty() ? "" : fmt::format("; did you mean \"{}\"?", guess),
                           fmt::join(kKeys, ", ")));
  }
}

/// The base of the study, and those that variants name instead.
void Manifest::read_bases(Faults& faults) {
  if (has("base"))
    read_base(spec_.child("base"), faults);
  else
    faults.add(where_ + ": /: needs \"base\": a spec, or the path of one from this file");
  for (const auto* group : {"variants", "experiments"})
    for (const auto& changes : read_group(group))
      if (changes.json().is_object() && changes.has("base"))
        read_base(changes.child("base"), faults);
}

void Manifest::read_base(const Spec& base, Faults& faults) {
  const auto key = base.json().dump();
  if (bases_.contains(key)) return;
  auto& entry = bases_[key];
  entry.paths = {fs::absolute(file_).parent_path(), spec_.paths().data};
  entry.stem = file_.stem().string();
  if (base.json().is_object()) {
    entry.spec = base.json();
  } else if (base.json().is_string()) {
    const auto path = file_.parent_path() / base.json().get<std::string>();
    try {
      entry.spec = Spec::from_file(path).json();
      entry.stem = path.stem().string();
      entry.paths.beside = fs::absolute(path).parent_path().lexically_normal();
    } catch (const SpecError& e) {
      faults.add(fmt::format("{}: {}", base.where(), e.what()));
    }
  } else {
    faults.add(fmt::format("{}: must be a spec or the path of one, not {}", base.where(), key));
  }
  if (!entry.spec.is_object())
    faults.add(fmt::format("{}: a spec is a JSON object", base.where()));
  else if (entry.spec.contains("budget"))
    faults.add(
        fmt::format("{}: \"budget\" is not a key of a spec; it belongs into \"training\", or "
                    "into the study",
                    base.where()));
}

const Base& Manifest::find_base(const Changes& changes) const {
  return bases_.at(changes.value("base", json_.at("base")).dump());
}

/// The entries of "variants" or "experiments" with their places; empty where it has none.
std::vector<Spec> Manifest::read_group(const char* name) const {
  std::vector<Spec> all;
  if (!has(name)) return all;
  const auto group = spec_.child(name);
  if (group.json().is_object())
    for (const auto& [key, value] : group.json().items())
      if (!value.is_null()) all.push_back(group.child(key));  // check_variants refuses null
  if (group.json().is_array())
    for (std::size_t i = 0; i < group.json().size(); ++i)
      all.push_back(group.element(i));
  return all;
}

void Manifest::check_group(const char* name, bool is_list, Faults& faults) const {
  if (!has(name)) return;
  const auto group = spec_.child(name);
  if (is_list ? !group.json().is_array() : !group.json().is_object())
    faults.add(fmt::format("{}: must be {}", group.where(),
                           is_list ? "a list of objects" : "an object of named changes"));
  for (const auto& changes : read_group(name))
    if (!changes.json().is_object())
      faults.add(fmt::format("{}: must be an object of changes to the base, not {}",
                             changes.where(), changes.json().dump()));
}

void Manifest::check_variants(Faults& faults) const {
  if (!has("variants") || !json_.at("variants").is_object()) return;
  for (const auto& [name, change] : json_.at("variants").items()) {
    check_name(name, where_ + ": /variants", faults);
    if (change.is_null())
      faults.add(fmt::format("{}: /variants: \"{}\" must be an object of changes to the base, {{}} "
                             "for none",
                             where_, name));
  }
}

void Manifest::check_entry(const Spec& entry, Faults& faults) const {
  const auto name = entry.json().value("name", Json());
  if (!name.is_string())
    faults.add(entry.where() + ": needs a \"name\"");
  else
    check_name(name.get<std::string>(), entry.where(), faults);
  if (!entry.has("variant")) return;
  std::vector<std::string> known;
  if (has("variants"))
    for (const auto& [variant, _] : json_.at("variants").items())
      known.push_back(variant);
  const auto variant = short_value(entry.json().at("variant"));
  if (!std::ranges::count(known, variant))
    faults.add(fmt::format("{}: {}", entry.where(), unknown_name("variant", variant, known)));
}

/// Whether variants are crossed with the axes: not where a list alone says what to run.
bool Manifest::has_product() const {
  return has("variants") || !axes_.empty() || !has("experiments");
}

void Manifest::check_count(double most) const {
  const auto variants = has("variants") ? read_group("variants").size() : 1;
  const auto count = (has_product() ? double(variants) * count_points(axes_) : 0) +
                     double(read_group("experiments").size());
  if (count == 0)
    throw SpecError(where_ + ": /: yields no experiments; name some variants, a grid, or a list");
  if (count > kMaxEver)
    throw SpecError(fmt::format("{}: /: yields {:.0f} experiments, and no study may have more than "
                                "{:.0f}",
                                where_, count, kMaxEver));
  if (count > most)
    throw SpecError(fmt::format("{}: /: yields {:.0f} experiments, more than {:.0f}; give --yes to "
                                "run so many, or see them with --dry-run",
                                where_, count, most));
}

/// What is changed for every experiment, then what its variant changes.
std::vector<Changes> Manifest::changes_with(Changes variant) const {
  std::vector<Changes> all{json_.value("settings", Json::object())};
  if (has("budget")) all.push_back({{"budget", json_.at("budget")}});
  variant.erase("base");
  all.push_back(std::move(variant));
  return all;
}

void Manifest::add_product(std::vector<Draft>& drafts) const {
  std::vector<std::pair<std::string, Changes>> variants;
  if (has("variants"))
    for (const auto& [name, change] : json_.at("variants").items())
      variants.emplace_back(name, change);
  else
    variants.emplace_back("", Changes::object());
  const auto points = list_points(axes_);
  for (const auto& [name, change] : variants)
    for (const auto& point : points) {
      const auto& base = find_base(change);
      auto changes = changes_with(change);
      changes.push_back(point.settings);
      drafts.push_back({(name.empty() ? base.stem : name) + point.name, name, point.settings,
                        std::move(changes), &base});
    }
}

void Manifest::add_list(std::vector<Draft>& drafts) const {
  for (auto entry : json_.value("experiments", Json::array())) {
    const auto name = entry.at("name").get<std::string>();
    const auto variant = entry.contains("variant") && !entry.at("variant").is_null()
                             ? short_value(entry.at("variant"))
                             : "";
    const auto of_variant = variant.empty() ? Changes::object() : json_.at("variants").at(variant);
    const auto& base = find_base(entry.contains("base") ? entry : of_variant);
    for (const auto* key : {"name", "variant", "base"})
      entry.erase(key);
    auto changes = changes_with(of_variant);
    changes.push_back(entry);
    drafts.push_back({name, variant.empty() ? name : variant, entry, std::move(changes), &base});
  }
}

std::vector<Draft> Manifest::drafts() const {
  std::vector<Draft> drafts;
  if (has_product()) add_product(drafts);
  if (has("experiments")) add_list(drafts);
  make_names_unique(drafts);
  return drafts;
}

}  // namespace marginalia::study
