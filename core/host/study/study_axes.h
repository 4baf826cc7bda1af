#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <marginalia/spec.h>

namespace marginalia::study {

/// Changes to a spec: a key with dots sets one value, one without replaces a whole object, null
/// removes. In the order of writing.
using Changes = Json;

/// Keys that change together, and the values they take: a grid's axis has one key.
struct Axis {
  std::vector<std::string> keys;
  std::vector<std::vector<Json>> points;  ///< [points, keys]
};

/// The axes of "grid", "zip" and "seeds", the seeds last; adds what is wrong with them to `faults`.
std::vector<Axis> read_axes(const Spec& manifest, Faults& faults);

/// A way through the axes: the values of one experiment.
struct Point {
  Changes settings = Json::object();
  std::string name;  ///< "-side4-seed0"
};

/// How many points there are.
double count_points(const std::vector<Axis>& axes);

/// All points, the last axis fastest.
std::vector<Point> list_points(const std::vector<Axis>& axes);

/// "side 4": the last word of a dotted key, or more of them where that is not unique in `keys`.
std::string short_key(const std::string& key, const std::vector<std::string>& keys);

/// A value as it may stand in a row's name.
std::string short_value(const Json& value);

}  // namespace marginalia::study
