#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <openssl/evp.h>

#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/source.h>

#include "text.h"

namespace marginalia {

namespace fs = std::filesystem;

namespace {

/// A file's name without the ending that says how it is packed.
fs::path unpacked_name(const fs::path& file) {
  const auto ending = file.extension();
  return ending == ".gz" || ending == ".zip" ? fs::path(file).replace_extension() : file;
}

fs::path add_part_suffix(fs::path file) {
  return file += ".part";
}

}  // namespace

bool has_digest(std::string_view bytes, const std::string& digest) {
  const auto colon = digest.find(':');
  const auto* algorithm = EVP_get_digestbyname(digest.substr(0, colon).c_str());
  if (colon == digest.npos || !algorithm)
    throw Error(
        fmt::format("\"{}\" is not a digest; one is \"sha256:HEX\" or \"md5:HEX\"", digest));
  std::array<unsigned char, EVP_MAX_MD_SIZE> value;
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), value.data(), &size, algorithm, nullptr) != 1)
    throw Error(fmt::format("OpenSSL: {} is not available; see its configuration",
                            digest.substr(0, colon)));
  return hex({reinterpret_cast<const char*>(value.data()), size}) == digest.substr(colon + 1);
}

LocalCopy find(const PublicFile& source, const fs::path& data) {
  for (const auto& name : {source.file, source.or_file}) {
    if (name.empty()) continue;
    if (const auto file = find_packed(data / unpacked_name(name)); !file.empty())
      return {FileState::kPresent, file, ""};
  }
  if (const auto part = add_part_suffix(data / source.file); fs::exists(part))
    return {FileState::kPartial, part, ""};
  return {};
}

LocalCopy verify(const PublicFile& source, const fs::path& data) {
  auto holding = find(source, data);
  if (holding.state != FileState::kPresent) return holding;
  const bool other = unpacked_name(holding.file) != data / unpacked_name(source.file);
  const auto& digest = other ? source.or_digest : source.digest;
  holding.state = FileState::kVerified;
  try {
    if (has_digest(read_text(holding.file), digest)) return holding;
    const auto unpacked = read_unpacked(holding.file);
    if (has_digest(unpacked, digest)) return holding;
    const bool has_second = source.or_file.empty() && !source.or_digest.empty();
    if (has_second && has_digest(unpacked, source.or_digest)) return holding;
    holding.why = fmt::format("{}: is not the published file, whose digest is {}",
                              holding.file.string(), digest);
  } catch (const Error& e) {
    holding.why = e.what();
  }
  holding.state = FileState::kDamaged;
  return holding;
}

std::string list_missing(const std::string& component, const std::vector<PublicFile>& sources,
                         const std::vector<fs::path>& missing) {
  std::string text;
  bool public_file = false;
  for (const auto& file : missing) {
    text += fmt::format("\n  - {}, or that with .gz or .zip", unpacked_name(file).string());
    const auto source = std::ranges::find_if(sources, [&](const PublicFile& s) {
      return unpacked_name(s.file).filename() == unpacked_name(file).filename();
    });
    if (source == sources.end()) continue;
    public_file = true;
    text += fmt::format("\n    from {} ({})", source->url, source->digest);
  }
  if (public_file) text += fmt::format("\n  fetch with: marginalia data fetch {}", component);
  return text + "\n  or name the data directory where they are with --data DIR or $MARGINALIA_DATA";
}

}  // namespace marginalia
