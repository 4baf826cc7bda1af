#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/spec.h>
#include <marginalia/text_file.h>

#include "sdk/base/json_fault.h"

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

const std::vector<std::string>& component_kinds() {
  static const std::vector<std::string> kinds{"dataset", "energy", "network",
                                              "family",  "metric", "tool"};
  return kinds;
}

void Faults::add_unknown(std::string text) {
  add(std::move(text));
  any_unknown_ = true;
}

void Faults::throw_if_any() const {
  if (texts_.empty()) return;
  const auto text = fmt::format("{}", fmt::join(texts_, "\n"));
  if (any_unknown_) throw UnknownComponent(text);
  throw SpecError(text);
}

std::filesystem::path DataPaths::find(const std::string& given) const {
  for (const auto& folder : {beside, data}) {
    std::error_code ignored;
    if (std::filesystem::exists(folder / given, ignored)) return folder / given;
    if (const auto file = find_packed(folder / given); !file.empty()) return file;
  }
  return data / given;
}

const std::filesystem::path& FilePath::existing() const {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(found, ignored)) return found;
  throw SpecError(fmt::format("{}: there is no such file, nor that with .gz or .zip; a file is "
                              "looked for beside the spec, then in the data directory (--data, "
                              "$MARGINALIA_DATA)",
                              found.string()));
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

Spec Spec::from_text(std::string_view text, std::string file, DataPaths paths) {
  try {
    return {std::make_shared<Json>(parse_json(text)), std::move(file), "", std::move(paths)};
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

static Json parse_value(std::string_view text);

/// "[.5, 1]" and "[red, green]", whose elements are read as settings are; nothing for other text.
static std::optional<Json> parse_list(std::string_view text) {
  if (!text.starts_with('[') || !text.ends_with(']')) return {};
  text = text.substr(1, text.size() - 2);
  if (text.find_first_of("[]{}\"") != text.npos) return {};
  Json list = Json::array();
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find(',', at), text.size());
    const auto element = trim(text.substr(at, end - at));
    if (element.empty()) return {};
    list.push_back(parse_value(element));
    at = end + 1;
  }
  return list;
}

/// A setting's value: JSON where it parses as such, a number in another of its forms, a list of
/// such, else the bare word.
static Json parse_value(std::string_view text) {
  const auto number = parse_number(text);
  if (number.underflow) warn(fmt::format("{} is smaller than any double and taken as 0", text));
  const auto parsed = Json::parse(text, nullptr, false);
  if (parsed.is_structured()) return parse_json_line(text);  // which refuses a key given twice
  if (!parsed.is_discarded()) return parsed;
  if (!number.fault) return number.value;
  if (auto list = parse_list(text)) return *list;
  return std::string(text);
}

/// The object below `key`: a bare name is short for one that has it as "type".
static Json* object_below(Json& parent, const std::string& key, const std::string& setting) {
  auto& node = parent[key];
  if (node.is_null()) node = Json::object();
  if (node.is_string()) node = {{"type", node}};
  if (!node.is_object())
    throw SpecError(fmt::format("\"{}\": \"{}\" is {}, not an object with keys of its own", setting,
                                key, node.dump()));
  return &node;
}

static void apply(Json& document, const std::string& setting) {
  const auto equals = setting.find('=');
  if (equals == std::string::npos || equals == 0)
    throw SpecError(
        fmt::format("\"{}\": a setting is key=value, as in training.steps=100", setting));
  if (!is_utf8(setting)) throw SpecError(fmt::format("\"{}\": is not UTF-8", setting));
  Json* node = &document;
  std::stringstream keys(setting.substr(0, equals));
  std::string key, next;
  std::getline(keys, key, '.');
  while (std::getline(keys, next, '.')) {
    node = object_below(*node, key, setting);
    key = next;
  }
  Json value;
  try {
    value = parse_value(std::string_view(setting).substr(equals + 1));
  } catch (const SpecError& e) {
    throw SpecError(fmt::format("\"{}\": {}", setting, e.what()));
  }
  if (value.is_null())
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

Spec Spec::with_document(Json document) const {
  return {std::make_shared<const Json>(std::move(document)), file_, pointer_, paths_};
}

}  // namespace marginalia
