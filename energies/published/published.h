#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <marginalia/source.h>

/// A file of a collection, by its name there.
struct PublishedFile {
  const char* name;
  std::int64_t bytes;
  const char* sha256;
  const char* second_sha256 = nullptr;  ///< of another copy of it that goes round
};

/// Adds the files of a collection: each is published as ADDRESS/NAME, with `ending` there, and
/// belongs to FOLDER/NAME with `local_ending`.
template <std::size_t N>
void add_published(std::vector<marginalia::PublicFile>& all, const PublishedFile (&files)[N],
                   const std::string& folder, const std::string& address,
                   const std::string& ending = "", const std::string& local_ending = "") {
  for (const auto& file : files)
    all.push_back({fmt::format("{}/{}{}", folder, file.name, local_ending),
                   fmt::format("{}/{}{}", address, file.name, ending), file.bytes,
                   fmt::format("sha256:{}", file.sha256), "",
                   file.second_sha256 ? fmt::format("sha256:{}", file.second_sha256) : ""});
}
