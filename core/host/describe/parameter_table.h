#pragma once

#include <functional>
#include <string>

#include <marginalia/params.h>

namespace marginalia {

/// The parameters that `visit` walks, at their defaults, as a Markdown table, and each choice among
/// them as one of its own.
std::string parameter_table(const std::function<void(ParamVisitor&)>& visit);

}  // namespace marginalia
