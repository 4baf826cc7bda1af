#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <marginalia/files.h>

#include "text.h"

namespace marginalia {

namespace fs = std::filesystem;

namespace {

std::string reason(int error) {
  return std::generic_category().message(error);
}

/// What would be right, after a write that failed with `error`.
const char* remedy(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "free some space there, or choose another folder";
    case EFBIG:
      return "raise the limit on file sizes (ulimit -f), or choose another file system";
    case ENOENT:
    case ENOTDIR:
      return "create its folder first";
    case EACCES:
    case EPERM:
    case EROFS:
      return "choose a folder that you may write to";
    default:
      return "check the disk, or choose another folder";
  }
}

fs::path find_folder(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

/// A name beside `file` that was free, and that `create` has taken: it returns what the system call
/// did, negative with errno when it failed.
template <class Create>
fs::path take_name_beside(const fs::path& file, Create create) {
  for (int attempt = 0;; ++attempt) {
    auto name = file;
    name += fmt::format(".tmp-{}-{}", getpid(), attempt);
    if (create(name.c_str()) >= 0) return name;
    if (errno != EEXIST) throw cannot_write(file, errno);
  }
}

/// Makes the names in file's folder survive a power cut.
void sync_folder(const fs::path& file) {
  const int folder = open(find_folder(file).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) throw cannot_write(file, errno);
  const int error = fsync(folder) == 0 ? 0 : errno;
  close(folder);
  if (error != 0 && error != EINVAL)
    throw cannot_write(file, error);  // EINVAL: it has no such sync
}

/// Puts `temporary` in the place of `file`, or removes it.
void put_in_place(const fs::path& temporary, const fs::path& file) {
  if (rename(temporary.c_str(), file.c_str()) != 0) {
    const int error = errno;
    unlink(temporary.c_str());
    throw cannot_write(file, error);
  }
  sync_folder(file);
}

}  // namespace

Error cannot_write(const fs::path& file, int error) {
  return Error(
      fmt::format("{}: cannot be written: {}; {}", file.string(), reason(error), remedy(error)));
}

std::string read_text(const fs::path& file) {
  const auto fail = [&] {
    return Error(fmt::format("{}: cannot be read: {}", file.string(), reason(errno)));
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(std::fopen(file.c_str(), "rbe"),
                                                           &std::fclose);
  if (!in) throw fail();
  std::string text;
  std::array<char, 1 << 16> piece;
  while (const auto count = std::fread(piece.data(), 1, piece.size(), in.get()))
    text.append(piece.data(), count);
  if (std::ferror(in.get()) != 0) throw fail();
  return text;
}

void write_atomically(const fs::path& file, std::string_view bytes) {
  AtomicFile out(file);
  out.append(bytes.data(), bytes.size());
  out.commit();
}

void link_atomically(const fs::path& target, const fs::path& link) {
  if (target.is_absolute())
    throw Error(fmt::format("{}: cannot link to \"{}\"; name it relative to the link's folder",
                            link.string(), target.string()));
  std::error_code ignored;
  if (!fs::exists(find_folder(link) / target, ignored))
    throw Error(fmt::format("{}: cannot link to \"{}\", which is not there; write it first",
                            link.string(), target.string()));
  put_in_place(
      take_name_beside(link, [&](const char* name) { return symlink(target.c_str(), name); }),
      link);
}

AtomicFile::AtomicFile(fs::path file) : file_(std::move(file)) {
  std::error_code ignored;
  const auto status = fs::symlink_status(file_, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status) && !fs::is_symlink(status))
    throw Error(fmt::format("{}: cannot be written: a folder or device; name a file",
                            file_.string()));  // root could replace /dev/null
  temporary_ = take_name_beside(file_, [&](const char* name) {
    return descriptor_ = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  });
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(temporary_.c_str());
}

void AtomicFile::append(const void* bytes, std::size_t count) {
  write_at(size_, bytes, count);
  size_ += count;
}

void AtomicFile::overwrite(std::uint64_t offset, std::string_view bytes) {
  write_at(offset, bytes.data(), bytes.size());
}

void AtomicFile::write_at(std::uint64_t offset, const void* bytes, std::size_t count) {
  const auto* from = static_cast<const char*>(bytes);
  while (count > 0) {
    const auto written = pwrite(descriptor_, from, count, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) throw cannot_write(file_, written < 0 ? errno : EIO);
    from += written;
    offset += static_cast<std::uint64_t>(written);
    count -= static_cast<std::size_t>(written);
  }
}

void AtomicFile::commit() {
  if (fsync(descriptor_) != 0) throw cannot_write(file_, errno);
  close(std::exchange(descriptor_, -1));
  put_in_place(temporary_, file_);
}

struct Sha256::State {
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
};

static void require(int ok) {
  if (ok != 1) throw Error("OpenSSL: SHA-256 is not available; see its configuration");
}

Sha256::Sha256() : state_(std::make_unique<State>()) {
  require(EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr));
}

Sha256::~Sha256() = default;

void Sha256::add(const void* bytes, std::size_t count) {
  require(EVP_DigestUpdate(state_->context.get(), bytes, count));
}

std::string Sha256::hex() const {
  const State copy;  // the end mark goes into a copy, so that more bytes can follow
  require(EVP_MD_CTX_copy_ex(copy.context.get(), state_->context.get()));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  require(EVP_DigestFinal_ex(copy.context.get(), digest.data(), &size));
  return marginalia::hex({reinterpret_cast<const char*>(digest.data()), size});
}

std::string sha256_hex(std::string_view bytes) {
  Sha256 sha;
  sha.add(bytes.data(), bytes.size());
  return sha.hex();
}

}  // namespace marginalia
