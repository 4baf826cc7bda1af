#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <string>

#include <marginalia/registry.h>

#include "records/study/study.h"

namespace marginalia {

/// What "auto" comes to in training, of experiments on these devices, as their specs name them.
using ChoosePrecision = std::function<std::string(const std::set<std::string>& devices)>;

/// Reads and expands a manifest, and checks every experiment; builds nothing.
///
/// most: experiments allowed. choose: asked once for all of them; without it "auto" stays. Throws
/// SpecError with all faults at once: those of the manifest, and each fault of the experiments
/// once, with the first that has it.
Study read_study(const std::filesystem::path& file, const std::filesystem::path& data,
                 const Registry& registry, std::int64_t most, const ChoosePrecision& choose = {});

}  // namespace marginalia
