#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <marginalia/api.h>
#include <marginalia/error.h>

namespace marginalia {

/// All bytes of a file, or of a pipe up to its end.
MARGINALIA_API std::string read_text(const std::filesystem::path& file);

/// Puts `bytes` at `file`, all of them or none, as AtomicFile does.
MARGINALIA_API void write_atomically(const std::filesystem::path& file, std::string_view bytes);

/// Makes `link` a symbolic link to `target`, which exists and is named relative to link's folder:
/// whoever opens `link` meanwhile gets what it named before or what it names now.
MARGINALIA_API void link_atomically(const std::filesystem::path& target,
                                    const std::filesystem::path& link);

/// A file that appears whole or not at all.
///
/// The bytes go to a temporary in the same folder; commit() puts it in the place of `file`. Until
/// then, and whenever anything fails, what was at `file` stays as it was, and the temporary goes
/// with this object.
class MARGINALIA_API AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path file);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void append(const void* bytes, std::size_t count);
  void overwrite(std::uint64_t offset, std::string_view bytes);
  /// The last call: synced to the disk, renamed, and the folder synced. Only if that last sync
  /// fails is the new file in place and an Error thrown all the same.
  void commit();

 private:
  void write_at(std::uint64_t offset, const void* bytes, std::size_t count);

  std::filesystem::path file_, temporary_;
  std::uint64_t size_ = 0;
  int descriptor_ = -1;
};

/// For writers of other kinds: the Error when writing `file` failed with the errno `error`.
MARGINALIA_API Error cannot_write(const std::filesystem::path& file, int error);

/// SHA-256 of bytes that come in pieces.
class MARGINALIA_API Sha256 {
 public:
  Sha256();
  ~Sha256();

  void add(const void* bytes, std::size_t count);
  std::string hex() const;  ///< of all bytes so far: 64 digits, lower case

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// SHA-256 of `bytes`: 64 digits, lower case.
MARGINALIA_API std::string sha256_hex(std::string_view bytes);

/// All bytes of a plain file, of a gzipped one unpacked, or of the one file in a zip archive; told
/// apart by their first bytes. Throws SpecError where there is no such file, it is damaged, or a
/// line of it is longer than `longest_line` bytes: before more than that of it is read.
MARGINALIA_API std::string read_unpacked(const std::filesystem::path& file,
                                         std::size_t longest_line = std::string::npos);

/// Whether the file holds its bytes as they are: neither gzipped, nor a zip archive, nor empty.
MARGINALIA_API bool is_plain(const std::filesystem::path& file);

/// `file`, `file`.gz or `file`.zip, whichever is there first; an empty path if none is.
MARGINALIA_API std::filesystem::path find_packed(const std::filesystem::path& file);

}  // namespace marginalia
