#include "settings.h"

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "spec_walker.h"

namespace marginalia {
namespace {

/// The places of all parameters that are texts.
class TextFinder final : public SpecWalker {
 public:
  using SpecWalker::SpecWalker;
  std::vector<std::string> found{"/note", "/device"};

  using SpecWalker::operator();
  void operator()(const char* name, std::string&, Of<std::string>) override {
    found.push_back(place(name));
  }
  void operator()(const char* name, FilePath&, Of<std::string>) override {
    found.push_back(place(name));
  }
};

/// What settings give as values, by their places; of several for one place, or for one above it,
/// the last holds.
std::map<std::string, std::string> collect_words(const std::vector<std::string>& settings) {
  std::map<std::string, std::string> words;
  for (const auto& setting : settings) {
    const auto equals = setting.find('=');
    std::string place = "/";
    place += setting.substr(0, equals);
    std::ranges::replace(place, '.', '/');
    std::erase_if(words, [&](const auto& word) { return word.first.starts_with(place + "/"); });
    words[place] = setting.substr(equals + 1);
  }
  return words;
}

}  // namespace

Spec with_settings(const Spec& spec, const std::vector<std::string>& settings,
                   const Registry& registry) {
  const auto changed = spec.with(settings);
  auto json = changed.json();
  TextFinder texts(registry);
  if (!settings.empty()) texts.walk_spec(json);
  const auto words = collect_words(settings);
  for (const auto& place : texts.found) {
    const auto word = words.find(place);
    const Json::json_pointer at(place);
    if (word != words.end() && json.contains(at) && !json.at(at).is_string())
      json.at(at) = word->second;
  }
  return changed.with_document(std::move(json));
}

}  // namespace marginalia
