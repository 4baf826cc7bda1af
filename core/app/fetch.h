#pragma once

#include <filesystem>
#include <string>

#include <marginalia/source.h>

namespace marginalia::app {

/// Fetches a source to its place below `data`: to FILE.part first, going on from one that is there;
/// only a file with the right digest gets its name. What is fetched, and how far it is, goes to
/// stderr. Throws Error with the reason; what came of it stays as FILE.part, to go on from.
void fetch(const PublicFile& source, const std::filesystem::path& data, const std::string& url);

}  // namespace marginalia::app
