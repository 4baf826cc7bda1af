#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

#include <marginalia/registry.h>

namespace marginalia {

/// A manifest whose changes are said in the words of today's specs. What is named beside it, as the
/// path of a base, is left alone. Throws SpecError with the place for what has no such words, and
/// for an axis that today takes more than one key: it becomes variants, by hand.
Json upgraded_study(const std::filesystem::path& file, const std::filesystem::path& data,
                    const Registry& registry);

}  // namespace marginalia
