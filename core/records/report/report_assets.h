#pragma once

#include <string_view>

namespace marginalia {

/// The bytes of core/records/report/page/<name>, put into the library at build time by
/// page/embed.cmake; empty when no such file was embedded.
std::string_view report_asset(std::string_view name);

}  // namespace marginalia
