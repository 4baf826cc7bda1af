#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <marginalia/api.h>

namespace marginalia {

/// A public file that a dataset or an energy reads. Its class lists its own in
/// `static std::vector<PublicFile> sources()`.
struct PublicFile {
  std::string file;    ///< where it belongs, below the data directory: "mnist/t10k...-ubyte.gz"
  std::string url;     ///< where it is published
  std::int64_t bytes;  ///< that it has there; 0: not known
  std::string digest;  ///< "sha256:HEX" or "md5:HEX", of its bytes there or unpacked
  std::string or_file = {};    ///< another form of the same content that is read too
  std::string or_digest = {};  ///< and its digest; without another form, a second digest of the
                               ///< file itself, which goes round with other ends of lines
};

enum class FileState { kMissing, kPartial, kPresent, kVerified, kDamaged };

/// What there is of a source.
struct LocalCopy {
  FileState state = FileState::kMissing;
  std::filesystem::path file;  ///< the copy that is there; of kPartial what was fetched of it
  std::string why;             ///< of kDamaged
};

/// The copy of `source` below `data`, packed or not, in either form. Not opened: at best kPresent.
MARGINALIA_API LocalCopy find(const PublicFile& source, const std::filesystem::path& data);
/// The same, opened and compared with the digest: kVerified or kDamaged where it is there.
MARGINALIA_API LocalCopy verify(const PublicFile& source, const std::filesystem::path& data);

/// Whether `bytes` have `digest`, "ALGORITHM:HEX" of any algorithm that OpenSSL knows.
MARGINALIA_API bool has_digest(std::string_view bytes, const std::string& digest);

/// The end of a message about files of `component` that are missing: each, packed or not, with its
/// public source and checksum where one of `sources` is it, and the command that fetches them.
MARGINALIA_API std::string list_missing(const std::string& component,
                                        const std::vector<PublicFile>& sources,
                                        const std::vector<std::filesystem::path>& missing);

}  // namespace marginalia
