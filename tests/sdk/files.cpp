#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <marginalia/files.h>

#include "marginalia_test.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

/// No file of this process grows beyond `bytes` meanwhile. Nothing may be printed under it.
struct FileSizeLimit {
  explicit FileSizeLimit(rlim_t bytes) : handler(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit limit{bytes, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
  }
  void (*handler)(int);
  rlimit before{};
};

/// A disk of 64 KiB at `path`, where the system lets us have one.
struct TinyDisk {
  explicit TinyDisk(const fs::path& at) : path(at) {
    fs::create_directory(path);
    mounted = mount("tmpfs", path.c_str(), "tmpfs", 0, "size=64k") == 0;
    if (!mounted)
      MESSAGE("no disk to fill here, a full one is not tested: ",
              std::string(std::strerror(errno)));
  }
  ~TinyDisk() {
    if (mounted) umount2(path.c_str(), MNT_DETACH);
  }
  fs::path path;
  bool mounted;
};

std::ptrdiff_t count_entries(const fs::path& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

}  // namespace

TEST_CASE("a file reads as it was written, whatever its bytes") {
  const test::TempDir dir;
  std::string bytes;
  for (int i = 0; i < 200'000; ++i)
    bytes += static_cast<char>(i * i);
  write_atomically(dir / "a", bytes);
  CHECK(read_text(dir / "a") == bytes);
  write_atomically(dir / "a", "");
  CHECK(read_text(dir / "a") == "");
  CHECK(count_entries(dir.path()) == 1);
}

TEST_CASE("what cannot be read is named with the system's reason") {
  const test::TempDir dir;
  CHECK(test::refusal([&] { read_text(dir / "none"); }) ==
        (dir / "none").string() + ": cannot be read: No such file or directory");
  CHECK(test::refusal([&] { read_text(dir.path()); }) ==
        dir.path().string() + ": cannot be read: Is a directory");
}

TEST_CASE("a written file gets the mode of any new file") {
  const test::TempDir dir;
  write_atomically(dir / "a", "x");
  std::ofstream(dir / "b") << "x";
  CHECK(fs::status(dir / "a").permissions() == fs::status(dir / "b").permissions());
}

TEST_CASE("what is not a file to write is refused and left alone") {
  const test::TempDir dir;
  const auto missing = dir / "no folder" / "a";
  CHECK(test::refusal([&] { write_atomically(missing, "x"); }) ==
        missing.string() +
            ": cannot be written: No such file or directory; create its folder first");
  CHECK(test::refusal([&] { write_atomically(dir.path(), "x"); }) ==
        dir.path().string() + ": cannot be written: a folder or device; name a file");
  const auto pipe = dir / "pipe";  // stands for /dev/null, which a test must not risk
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(test::refusal([&] { write_atomically(pipe, "x"); }) ==
        pipe.string() + ": cannot be written: a folder or device; name a file");
  CHECK(fs::is_fifo(pipe));
}

TEST_CASE("a write that fails leaves the old file and no temporary") {
  const test::TempDir dir;
  const auto file = dir / "a";
  write_atomically(file, "old");
  std::string message;
  {
    const FileSizeLimit limit(4096);
    message = test::refusal([&] { write_atomically(file, std::string(10'000, 'n')); });
  }
  CHECK(message == file.string() +
                       ": cannot be written: File too large; raise the limit on file sizes "
                       "(ulimit -f), or choose another file system");
  CHECK(read_text(file) == "old");
  CHECK(count_entries(dir.path()) == 1);
}

TEST_CASE("a full disk leaves the old file and no temporary") {
  const test::TempDir dir;
  const TinyDisk disk(dir / "disk");
  if (!disk.mounted) return;
  const auto file = disk.path / "a";
  write_atomically(file, "old");
  CHECK(test::refusal([&] { write_atomically(file, std::string(100'000, 'n')); }) ==
        file.string() +
            ": cannot be written: No space left on device; free some space there, or choose "
            "another folder");
  CHECK(read_text(file) == "old");
  CHECK(count_entries(disk.path) == 1);
}

TEST_CASE("an atomic file does not appear before commit, nor without it") {
  const test::TempDir dir;
  {
    AtomicFile out(dir / "a");
    out.append("hello world", 11);
    out.overwrite(6, "earth");
    out.append("!", 1);
    CHECK_FALSE(fs::exists(dir / "a"));
    out.commit();
    CHECK(read_text(dir / "a") == "hello earth!");
  }
  {
    AtomicFile out(dir / "a");
    out.append("other", 5);
    CHECK(count_entries(dir.path()) == 2);
  }
  CHECK(count_entries(dir.path()) == 1);
  CHECK(read_text(dir / "a") == "hello earth!");
}

TEST_CASE("two writers of one file do not mix") {
  const test::TempDir dir;
  AtomicFile one(dir / "a"), two(dir / "a");
  one.append("1111", 4);
  two.append("22", 2);
  one.commit();
  CHECK(read_text(dir / "a") == "1111");
  two.commit();
  CHECK(read_text(dir / "a") == "22");
}

TEST_CASE("a temporary left by a killed process does not stop the next") {
  const test::TempDir dir;
  std::ofstream(dir / fmt::format("a.tmp-{}-0", getpid())) << "torn";
  write_atomically(dir / "a", "whole");
  CHECK(read_text(dir / "a") == "whole");
}

TEST_CASE("a reader sees the old file or the new one, never part of one") {
  const test::TempDir dir;
  const auto file = dir / "a", link = dir / "last";
  write_atomically(file, std::string(50'000, '0'));
  link_atomically("a", link);
  bool whole = true;
  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) {
      const auto text = test::refusal([&] {
        const auto bytes = read_text(link);
        throw Error(bytes);  // the bytes, or why there are none
      });
      whole = whole && text == std::string(50'000, text[0]);
    }
  });
  for (int i = 1; i <= 50; ++i) {
    const auto name = fmt::format("b{}", i % 2);
    write_atomically(dir / name, std::string(50'000, static_cast<char>('0' + i % 10)));
    link_atomically(name, link);
  }
  done = true;
  reader.join();
  CHECK(whole);
}

TEST_CASE("a link names its neighbour by a relative name, and is replaced in one step") {
  const test::TempDir dir;
  const auto link = dir / "last";
  write_atomically(dir / "one", "1");
  write_atomically(dir / "two", "2");
  link_atomically("one", link);
  CHECK(read_text(link) == "1");
  link_atomically("two", link);
  CHECK(fs::read_symlink(link) == "two");
  CHECK(read_text(link) == "2");
  CHECK(count_entries(dir.path()) == 3);

  CHECK(test::refusal([&] { link_atomically("three", link); }) ==
        link.string() + ": cannot link to \"three\", which is not there; write it first");
  CHECK(test::refusal([&] { link_atomically(dir / "one", link); }) ==
        fmt::format("{}: cannot link to \"{}\"; name it relative to the link's folder",
                    link.string(), (dir / "one").string()));
  CHECK(read_text(link) == "2");

  fs::create_directory(dir / "folder");
  CHECK(test::refusal([&] { link_atomically("one", dir / "folder"); }) != "accepted");
  CHECK(count_entries(dir.path()) == 4);  // the temporary link is gone
}

// FIPS 180-2, appendix B, and the digest of nothing.
TEST_CASE("sha256 gives the published digests") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 sha;
  const std::string piece(1000, 'a');
  for (int i = 0; i < 1000; ++i) {
    if (i == 500) CHECK(sha.hex() == sha256_hex(std::string(500'000, 'a')));  // and goes on
    sha.add(piece.data(), piece.size());
  }
  CHECK(sha.hex() == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
