#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/spec.h>

namespace marginalia {

namespace fs = std::filesystem;

static std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

fs::path default_data_directory() {
  if (const auto data = environment("MARGINALIA_DATA"); !data.empty()) return data;
  return fs::path(environment("HOME")) / ".cache" / "marginalia";
}

fs::path default_cache_directory() {
  if (const auto cache = environment("MARGINALIA_CACHE"); !cache.empty()) return cache;
  return fs::path(environment("HOME")) / ".cache" / "marginalia";
}

void Faults::throw_if_any() const {
  if (!texts_.empty()) throw SpecError(fmt::format("{}", fmt::join(texts_, "\n")));
}

Spec::Spec(std::shared_ptr<const Json> node, std::string file, std::string pointer, DataPaths paths)
    : node_(std::move(node)),
      file_(std::move(file)),
      pointer_(std::move(pointer)),
      paths_(std::move(paths)) {}

Spec Spec::from_file(const fs::path& file, const fs::path& data) {
  std::ifstream in(file);
  if (!in || fs::is_directory(file))
    throw SpecError(fmt::format("{}: cannot be read: {}", file.string(),
                                fs::is_directory(file) ? "it is a folder" : std::strerror(errno)));
  std::stringstream text;
  text << in.rdbuf();
  return from_text(text.str(), file.string(),
                   {fs::absolute(file).parent_path(), data, default_cache_directory()});
}

/// Refuses an object in which a key stands twice: JSON parsers keep the last one silently.
class DuplicateKeys {
 public:
  bool operator()(int, Json::parse_event_t event, Json& value) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key && !keys_.back().insert(value.get<std::string>()).second)
      throw SpecError(fmt::format("\"{}\" stands twice in one object", value.get<std::string>()));
    return true;
  }

 private:
  std::vector<std::set<std::string>> keys_;
};

Spec Spec::from_text(std::string_view text, std::string file, DataPaths paths) {
  try {
    DuplicateKeys duplicates;
    const auto callback = [&](int depth, Json::parse_event_t event, Json& value) {
      return duplicates(depth, event, value);
    };
    auto document = std::make_shared<Json>(Json::parse(text, callback, true, true));
    return {std::move(document), std::move(file), "", std::move(paths)};
  } catch (const nlohmann::json::exception& e) {
    throw SpecError(fmt::format("{}: not JSON: {}", file, e.what()));
  } catch (const SpecError& e) {
    throw SpecError(fmt::format("{}: {}", file, e.what()));
  }
}

bool Spec::has(std::string_view key) const {
  const auto it = node_->find(key);
  return it != node_->end() && !it->is_null();
}

Spec Spec::child(std::string_view key) const {
  if (!has(key)) throw SpecError(fmt::format("{}: needs \"{}\"", where(), key));
  return {{node_, &*node_->find(key)}, file_, fmt::format("{}/{}", pointer_, key), paths_};
}

Spec Spec::element(std::size_t index) const {
  return {{node_, &node_->at(index)}, file_, fmt::format("{}/{}", pointer_, index), paths_};
}

Spec Spec::as_component() const {
  if (!node_->is_string()) return *this;
  return {std::make_shared<Json>(Json{{"type", *node_}}), file_, pointer_, paths_};
}

std::string Spec::type() const {
  if (!node_->is_object())
    throw SpecError(
        fmt::format("{}: must be an object with \"type\", not {}", where(), node_->dump()));
  const auto type = child("type");
  if (!type.json().is_string())
    throw SpecError(fmt::format("{}: must be a string, not {}", type.where(), type.json().dump()));
  return type.json().get<std::string>();
}

std::string Spec::where() const {
  return fmt::format("{}: {}", file_, pointer_.empty() ? "/" : pointer_);
}

/// A setting's value: JSON where it parses as such, else the bare word.
static Json value_of(const std::string& text) {
  const auto parsed = Json::parse(text, nullptr, false);
  return parsed.is_discarded() ? Json(text) : parsed;
}

static void apply(Json& document, const std::string& setting) {
  const auto equals = setting.find('=');
  if (equals == std::string::npos || equals == 0)
    throw SpecError(
        fmt::format("\"{}\": a setting is key=value, as in training.steps=100", setting));
  Json* node = &document;
  std::stringstream keys(setting.substr(0, equals));
  std::string key, next;
  std::getline(keys, key, '.');
  while (std::getline(keys, next, '.')) {
    node = &(*node)[key];
    if (node->is_null()) *node = Json::object();
    if (!node->is_object())
      throw SpecError(fmt::format("\"{}\": \"{}\" is {}, not an object with keys of its own",
                                  setting, key, node->dump()));
    key = next;
  }
  if (const auto value = value_of(setting.substr(equals + 1)); value.is_null())
    node->erase(key);
  else
    (*node)[key] = value;
}

Spec Spec::with(const std::vector<std::string>& settings) const {
  if (!settings.empty() && !node_->is_object())
    throw SpecError(fmt::format("{}: a spec is a JSON object", where()));
  auto document = std::make_shared<Json>(*node_);
  for (const auto& setting : settings)
    apply(*document, setting);
  return {std::move(document), file_, pointer_, paths_};
}

/// Levenshtein distance: how many single-character edits turn `a` into `b`.
static std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto edit = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = std::exchange(row[j], edit);
    }
  }
  return row.back();
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  const auto best = std::ranges::min_element(candidates, {},
                                             [&](const auto& c) { return edit_distance(word, c); });
  return best != candidates.end() && edit_distance(word, *best) <= 1 + word.size() / 3 ? *best : "";
}

std::string unknown_name(std::string_view kind, std::string_view name,
                         const std::vector<std::string>& known) {
  const auto guess = nearest(name, known);
  return fmt::format("no {} is called \"{}\"{}\n  there is: {}", kind, name,
                     guess.empty() ? "" : fmt::format("; did you mean \"{}\"?", guess),
                     known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")));
}

}  // namespace marginalia
