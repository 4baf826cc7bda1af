#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <marginalia/api.h>
#include <marginalia/json.h>

namespace marginalia {

/// Radii around log-marginals such that, for queries of a stated law,
///   P(|answer - log p(x_S)| <= radius) >= confidence.
/// Source: Vovk, Gammerman and Shafer (2005), Algorithmic Learning in a Random World, sect. 4.5.
struct MARGINALIA_API ConformalRadii {
  /// Queries about from..to variables.
  struct Bin {
    std::int64_t from, to;
    double radius;       ///< nats; infinite where too few queries were seen
    std::int64_t count;  ///< of those seen
  };
  double confidence = NAN;
  std::string law;  ///< of the queries, in words
  std::vector<Bin> bins = {};

  /// The radius of a query about `size` variables; none where no finite radius is known.
  std::optional<double> radius(std::int64_t size) const;
  /// {"confidence", "law", "radii": [{"from", "to", "radius", "count"}, ...]}: what a measurement
  /// holds beside its number.
  Json to_json() const;
  /// None of JSON that does not hold all that to_json() writes.
  static std::optional<ConformalRadii> from_json(const Json& json);
};

}  // namespace marginalia
