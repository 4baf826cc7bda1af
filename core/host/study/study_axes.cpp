#include "study_axes.h"

#include <algorithm>

#include <fmt/format.h>

namespace marginalia::study {
namespace {

/// "grid": {"energy.side": [4, 6], ...}: an axis a key.
void read_grid(const Spec& grid, std::vector<Axis>& axes, Faults& faults) {
  if (!grid.json().is_object())
    return faults.add(grid.where() + ": must be an object of lists, as {\"energy.side\": [4, 6]}");
  for (const auto& [key, values] : grid.json().items()) {
    if (!values.is_array() || values.empty()) {
      faults.add(fmt::format("{}: \"{}\" must be a list of values, not {}", grid.where(), key,
                             values.dump()));
      continue;
    }
    Axis axis{{key}, {}};
    for (const auto& value : values)
      axis.points.push_back({value});
    axes.push_back(std::move(axis));
  }
}

/// One object of equally long lists, walked together.
void read_zip(const Spec& zip, std::vector<Axis>& axes, Faults& faults) {
  if (!zip.json().is_object() || zip.json().empty())
    return faults.add(zip.where() + ": must be an object of equally long lists");
  Axis axis;
  std::string lengths;
  std::size_t shortest = SIZE_MAX, longest = 0;
  for (const auto& [key, values] : zip.json().items()) {
    if (!values.is_array())
      return faults.add(fmt::format("{}: \"{}\" must be a list of values, not {}", zip.where(), key,
                                    values.dump()));
    axis.keys.push_back(key);
    lengths += fmt::format("{}\"{}\" has {}", lengths.empty() ? "" : ", ", key, values.size());
    shortest = std::min(shortest, values.size());
    longest = std::max(longest, values.size());
  }
  if (shortest != longest || longest == 0)
    return faults.add(
        fmt::format("{}: lists must be equally long and not empty; {}", zip.where(), lengths));
  for (std::size_t i = 0; i < longest; ++i) {
    axis.points.emplace_back();
    for (const auto& key : axis.keys)
      axis.points.back().push_back(zip.json().at(key).at(i));
  }
  axes.push_back(std::move(axis));
}

/// "seeds": 3 for 0, 1, 2; or a list.
void read_seeds(const Spec& seeds, std::vector<Axis>& axes, Faults& faults) {
  const auto& json = seeds.json();
  Axis axis{{"seed"}, {}};
  const auto count = whole_number(json);
  if (count && *count <= 100'000)
    for (std::uint64_t seed = 0; std::int64_t(seed) < *count; ++seed)
      axis.points.push_back({Json(seed)});
  if (json.is_array())
    for (const auto& seed : json) {  // 1.0 is 1, also in the names of folders
      const auto whole = whole_number(seed);
      axis.points.push_back({whole ? Json(*whole) : seed});
    }
  if (axis.points.empty())
    faults.add(fmt::format("{}: must be a number of seeds above 0 or a list of them, not {}",
                           seeds.where(), json.dump()));
  else
    axes.push_back(std::move(axis));
}

/// A value in a folder's name: letters, digits, dots and signs; else its place in the list.
std::string name_of_value(const Json& value, std::size_t place) {
  constexpr std::size_t kLongest = 24;
  auto text = value.is_string() ? value.get<std::string>() : value.dump();
  if (value.is_object() && value.contains("type") && value.at("type").is_string())
    text = value.at("type").get<std::string>();
  else if (value.is_structured() || value.is_null())
    return fmt::format("{}", place);
  std::ranges::replace_if(
      text,
      [](char c) {
        return !std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-' && c != '_';
      },
      '_');
  return text.substr(0, kLongest);
}

}  // namespace

std::vector<Axis> read_axes(const Spec& manifest, Faults& faults) {
  std::vector<Axis> axes;
  if (manifest.has("grid")) read_grid(manifest.child("grid"), axes, faults);
  if (manifest.has("zip")) {
    const auto zip = manifest.child("zip");
    if (!zip.json().is_array()) read_zip(zip, axes, faults);
    for (std::size_t i = 0; zip.json().is_array() && i < zip.json().size(); ++i)
      read_zip(zip.element(i), axes, faults);
  }
  if (manifest.has("seeds")) read_seeds(manifest.child("seeds"), axes, faults);
  std::vector<std::string> seen;
  for (const auto& axis : axes)
    for (const auto& key : axis.keys) {
      if (std::ranges::count(seen, key))
        faults.add(fmt::format("{}: \"{}\" is named twice among grid, zip and seeds",
                               manifest.where(), key));
      seen.push_back(key);
    }
  return axes;
}

double count_points(const std::vector<Axis>& axes) {
  double count = 1;
  for (const auto& axis : axes)
    count *= double(axis.points.size());
  return count;
}

std::vector<Point> list_points(const std::vector<Axis>& axes) {
  std::vector<std::string> keys;
  for (const auto& axis : axes)
    keys.insert(keys.end(), axis.keys.begin(), axis.keys.end());
  std::vector<Point> points(1);
  for (const auto& axis : axes) {
    std::vector<Point> longer;
    for (const auto& point : points)
      for (std::size_t i = 0; i < axis.points.size(); ++i) {
        auto next = point;
        for (std::size_t k = 0; k < axis.keys.size(); ++k) {
          next.settings[axis.keys[k]] = axis.points[i][k];
          auto key = short_key(axis.keys[k], keys);
          std::ranges::replace(key, ' ', '_');
          next.name += fmt::format("-{}{}", key, name_of_value(axis.points[i][k], i));
        }
        longer.push_back(std::move(next));
      }
    points = std::move(longer);
  }
  return points;
}

std::string short_key(const std::string& key, const std::vector<std::string>& keys) {
  for (auto dot = key.rfind('.'); dot != std::string::npos && dot > 0;
       dot = key.rfind('.', dot - 1)) {
    const auto tail = key.substr(dot);  // ".side"
    const auto same = std::ranges::count_if(
        keys, [&](const std::string& other) { return ("." + other).ends_with(tail); });
    if (same <= 1) {
      auto words = tail.substr(1);
      std::ranges::replace(words, '.', ' ');
      return words;
    }
  }
  auto words = key;
  std::ranges::replace(words, '.', ' ');
  return words;
}

std::string short_value(const Json& value) {
  if (value.is_object() && value.contains("type") && value.at("type").is_string())
    return value.at("type").get<std::string>();
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace marginalia::study
