#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <memory>
#include <system_error>

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <zlib.h>

#include <marginalia/error.h>
#include <marginalia/files.h>

namespace marginalia {

namespace fs = std::filesystem;

namespace {

constexpr unsigned kPiece = 1 << 20;

SpecError cannot_unpack(const fs::path& file, const std::string& why) {
  return SpecError(
      fmt::format("{}: cannot be unpacked: {}; get the file anew", file.string(), why));
}

/// The first `count` bytes, or fewer where there are no more.
std::string first_bytes(const fs::path& file, std::size_t count) {
  std::error_code ignored;
  if (fs::is_directory(file, ignored))
    throw SpecError(fmt::format("{}: is a folder; name a file in it", file.string()));
  std::ifstream in(file, std::ios::binary);
  if (!in)
    throw SpecError(fmt::format("{}: cannot be read: {}", file.string(),
                                std::generic_category().message(errno)));
  std::string bytes(count, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(count));
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  return bytes;
}

bool is_gzip(const std::string& head) {
  return head.starts_with("\x1f\x8b");
}

bool is_zip(const std::string& head) {
  return head.starts_with("PK\x03\x04");
}

/// Watches the length of lines while a text grows.
class LineLimit {
 public:
  LineLimit(const fs::path& file, std::size_t longest) : file_(file), longest_(longest) {}

  /// text: what it was before, and what has come since. Throws SpecError for a line too long.
  void check(const std::string& text) {
    if (longest_ == std::string::npos) return;
    for (auto end = text.find('\n', seen_); end != text.npos; end = text.find('\n', seen_)) {
      check_line(text, end);
      ++line_;
      start_ = seen_ = end + 1;
    }
    seen_ = text.size();
    check_line(text, seen_);
  }

 private:
  void check_line(const std::string& text, std::size_t end) {
    while (end - start_ > longest_) {
      const auto at = std::min(text.find('\r', start_), end);  // some files end their lines so
      if (at - start_ > longest_)
        throw SpecError(fmt::format("{}:{}: is longer than {} bytes, the most that a line may have",
                                    file_.string(), line_, longest_));
      if (at + 1 >= end) return;  // of \r\n, or the last there is
      ++line_;
      start_ = at + 1;
    }
  }

  const fs::path& file_;
  std::size_t longest_, start_ = 0, seen_ = 0;
  std::int64_t line_ = 1;
};

/// Appends what `read(at, most)` delivers until it delivers nothing; negative: it failed.
template <class Read>
bool append_all(std::string& text, LineLimit& limit, Read read) {
  for (auto count = std::ptrdiff_t{1}; count > 0;) {
    const auto size = text.size();
    text.resize(size + kPiece);
    count = static_cast<std::ptrdiff_t>(read(text.data() + size, kPiece));
    text.resize(size + static_cast<std::size_t>(std::max<std::ptrdiff_t>(count, 0)));
    if (count < 0) return false;
    limit.check(text);
  }
  return true;
}

/// A plain file, or a gzipped one: zlib reads both, and checks the sum at the end.
std::string read_gzip(const fs::path& file, LineLimit limit) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> in(gzopen(file.c_str(), "rb"), &gzclose);
  if (!in) throw cannot_unpack(file, std::generic_category().message(errno));
  gzbuffer(in.get(), 1 << 18);
  std::string text;
  append_all(text, limit, [&](char* at, unsigned most) { return gzread(in.get(), at, most); });
  int error = Z_OK;
  std::string why = gzerror(in.get(), &error);  // also where a gzipped file ends too early
  if (error == Z_OK || error == Z_STREAM_END) return text;
  if (const auto name = file.string() + ": "; why.starts_with(name)) why.erase(0, name.size());
  throw cannot_unpack(file, why);
}

/// The one file in a zip archive; libarchive checks its sum.
std::string read_zip(const fs::path& file, LineLimit limit) {
  const std::unique_ptr<archive, int (*)(archive*)> in(archive_read_new(), &archive_read_free);
  const auto fail = [&] {
    const auto* why = archive_error_string(in.get());
    return cannot_unpack(file, why ? why : "damaged zip archive");
  };
  archive_read_support_format_zip(in.get());
  if (archive_read_open_filename(in.get(), file.c_str(), kPiece) != ARCHIVE_OK) throw fail();
  std::string text;
  int files = 0;
  archive_entry* entry = nullptr;
  int status = ARCHIVE_OK;
  while ((status = archive_read_next_header(in.get(), &entry)) == ARCHIVE_OK) {
    if (archive_entry_filetype(entry) != AE_IFREG) continue;
    if (++files > 1) throw cannot_unpack(file, "holds several files; unpack the one to be read");
    if (!append_all(text, limit,
                    [&](char* at, unsigned most) { return archive_read_data(in.get(), at, most); }))
      throw fail();
  }
  if (status != ARCHIVE_EOF) throw fail();
  if (files == 0) throw cannot_unpack(file, "holds no file");
  return text;
}

}  // namespace

std::string read_unpacked(const fs::path& file, std::size_t longest_line) {
  const LineLimit limit(file, longest_line);
  return is_zip(first_bytes(file, 4)) ? read_zip(file, limit) : read_gzip(file, limit);
}

bool is_plain(const fs::path& file) {
  const auto head = first_bytes(file, 4);
  return !head.empty() && !is_gzip(head) && !is_zip(head);
}

fs::path find_packed(const fs::path& file) {
  for (const auto* ending : {"", ".gz", ".zip"}) {
    auto candidate = file;
    candidate += ending;
    std::error_code ignored;
    if (fs::is_regular_file(candidate, ignored)) return candidate;
  }
  return {};
}

}  // namespace marginalia
