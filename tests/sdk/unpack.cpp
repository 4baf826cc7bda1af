#include <marginalia/files.h>

#include <fstream>

#include <marginalia/mapped.h>

#include "datasets/folder.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

/// Bytes that hardly pack.
std::string noise(std::size_t count) {
  std::string text;
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < count; ++i) {
    state = state * 1664525 + 1013904223;
    text += static_cast<char>(state >> 24);
  }
  return text;
}

std::string as_text(const torch::Tensor& bytes) {
  return {reinterpret_cast<const char*>(bytes.data_ptr<std::uint8_t>()),
          std::size_t(bytes.numel())};
}

void flip(const fs::path& file, std::streamoff at) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(at);
  const auto byte = static_cast<char>(stream.get() ^ 1);
  stream.seekp(at);
  stream.put(byte);
}

}  // namespace

TEST_CASE("a file is read alike plain, gzipped and zipped, whole or mapped") {
  const test::Folder folder;
  for (const auto& text : {std::string(), std::string("a"), noise(3000000)}) {
    folder.write("plain", text);
    folder.pack("packed", text);
    folder.zip("zipped", text);
    for (const auto* name : {"plain", "packed", "zipped"}) {
      CAPTURE(name);
      CHECK(read_unpacked(folder.path / name) == text);
      CHECK(as_text(map_unpacked(folder.path / name)) == text);
    }
  }
}

TEST_CASE("a packed file is found under its plain name") {
  const test::Folder folder;
  CHECK(find_packed(folder.path / "a").empty());
  folder.zip("a.zip", "x");
  CHECK(find_packed(folder.path / "a") == folder.path / "a.zip");
  folder.pack("a.gz", "x");
  CHECK(find_packed(folder.path / "a") == folder.path / "a.gz");
  folder.write("a", "x");
  CHECK(find_packed(folder.path / "a") == folder.path / "a");
}

TEST_CASE("a damaged packed file is refused with its name and the reason") {
  const test::Folder folder;
  const auto fault = [&](const std::string& name) {
    const auto text = test::refusal([&] { read_unpacked(folder.path / name); });
    const auto start = (folder.path / name).string() + ": ";
    return text.starts_with(start) ? text.substr(start.size()) : text;
  };
  const auto text = noise(10000);
  folder.pack("cut.gz", text);
  fs::resize_file(folder.path / "cut.gz", 5000);
  CHECK(fault("cut.gz") == "cannot be unpacked: unexpected end of file; get the file anew");
  folder.pack("altered.gz", text);
  flip(folder.path / "altered.gz", 5000);  // noise is stored as it is: only the sum tells
  CHECK(fault("altered.gz") == "cannot be unpacked: incorrect data check; get the file anew");
  folder.zip("cut.zip", text);
  fs::resize_file(folder.path / "cut.zip", 5000);
  CHECK(fault("cut.zip") == "cannot be unpacked: Truncated ZIP file data; get the file anew");
  folder.zip("altered.zip", text);
  flip(folder.path / "altered.zip", 5000);
  CHECK(fault("altered.zip").starts_with("cannot be unpacked: ZIP bad CRC: "));
  CHECK(fault("none") == "cannot be read: No such file or directory");
  CHECK(fault("") == "is a folder; name a file in it");
}

TEST_CASE("a line longer than it may be is refused, before all of it is read") {
  const test::Folder folder;
  const std::size_t longest = 1 << 16;
  const std::string row(longest, 'x');
  for (const auto* end : {"\n", "\r\n", "\r"}) {
    folder.pack("rows.gz", row + end + row + end + row);
    CHECK(read_unpacked(folder.path / "rows.gz", longest + 1).size() > 3 * longest);
  }
  folder.write("long", row + "\n" + row + "xx\n");
  folder.zip("long.zip", row + "\n" + row + "xx\n");
  folder.write("first", row + "xx\r\n" + row + "\r\n");
  folder.pack("old.gz", row + "\r" + row + "\r" + row + "xx");
  const auto fault = [&](const std::string& name) {
    return test::refusal([&] { read_unpacked(folder.path / name, longest + 1); });
  };
  const std::string what = ": is longer than 65537 bytes, the most that a line may have";
  CHECK(fault("long") == (folder.path / "long").string() + ":2" + what);
  CHECK(fault("first") == (folder.path / "first").string() + ":1" + what);
  CHECK(fault("long.zip") == (folder.path / "long.zip").string() + ":2" + what);
  CHECK(fault("old.gz") == (folder.path / "old.gz").string() + ":3" + what);
}
