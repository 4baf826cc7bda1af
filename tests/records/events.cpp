#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <marginalia/files.h>

#include "marginalia_test.h"
#include "records/formats/events.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

/// CRC-32C bit by bit, to hold against the one under test.
std::uint32_t slow_crc32c(std::string_view bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const unsigned char byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit)
      crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
  }
  return ~crc;
}

/// Any protocol buffer message, field by field.
struct Message {
  explicit Message(std::string_view text) : rest(text) {}

  std::uint64_t little_endian(std::size_t count) {
    REQUIRE(rest.size() >= count);
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < count; ++i)
      number |= std::uint64_t{static_cast<unsigned char>(rest[i])} << (8 * i);
    rest.remove_prefix(count);
    return number;
  }
  std::uint64_t varint() {
    std::uint64_t number = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = little_endian(1);
      number |= (byte & 0x7f) << shift;
      if (byte < 0x80) return number;
    }
  }
  std::string_view text() {
    const auto size = varint();
    REQUIRE(rest.size() >= size);
    const auto bytes = rest.substr(0, size);
    rest.remove_prefix(size);
    return bytes;
  }

  std::string_view rest;
};

struct Event {
  double wall_time = 0;
  std::int64_t step = 0;
  std::string version, tag;
  float value = 0;
  bool start = false;
};

void parse_value(std::string_view bytes, Event& event) {
  for (Message m(bytes); !m.rest.empty();)
    switch (m.varint()) {
      case 1 << 3 | 2:
        event.tag = m.text();
        break;
      case 2 << 3 | 5: {
        const auto bits = static_cast<std::uint32_t>(m.little_endian(4));
        std::memcpy(&event.value, &bits, 4);
        break;
      }
      default:
        FAIL("a field that Summary.Value does not have");
    }
}

Event parse_event(std::string_view bytes) {
  Event event;
  for (Message m(bytes); !m.rest.empty();)
    switch (m.varint()) {
      case 1 << 3 | 1: {
        const auto bits = m.little_endian(8);
        std::memcpy(&event.wall_time, &bits, 8);
        break;
      }
      case 2 << 3 | 0:
        event.step = static_cast<std::int64_t>(m.varint());
        break;
      case 3 << 3 | 2:
        event.version = m.text();
        break;
      case 7 << 3 | 2:
        event.start = m.text() == std::string_view("\x08\x01");
        break;
      case 5 << 3 | 2: {
        Message summary(m.text());
        REQUIRE(summary.varint() == (1 << 3 | 2));
        parse_value(summary.text(), event);
        CHECK(summary.rest.empty());
        break;
      }
      default:
        FAIL("a field that Event does not have");
    }
  return event;
}

/// The events of a file, each record checked, as TensorBoard counts them: a START voids what
/// stands before it of its step and later ones. Fails on anything left over.
std::vector<Event> events_in(const fs::path& file) {
  const auto masked = [](std::string_view bytes) {
    const auto crc = slow_crc32c(bytes);
    return static_cast<std::uint32_t>((crc >> 15 | crc << 17) + 0xa282ead8u);
  };
  const auto bytes = read_text(file);
  std::vector<Event> events;
  for (Message m(bytes); !m.rest.empty();) {
    const auto length_bytes = m.rest.substr(0, 8);
    const auto length = m.little_endian(8);
    REQUIRE(m.little_endian(4) == masked(length_bytes));
    REQUIRE(m.rest.size() >= length + 4);
    const auto event = m.rest.substr(0, length);
    m.rest.remove_prefix(length);
    REQUIRE(m.little_endian(4) == masked(event));
    events.push_back(parse_event(event));
    if (const auto last = events.back(); last.start)
      std::erase_if(events, [&](const Event& e) { return e.step >= last.step; });
  }
  return events;
}

/// "version; tag step value; ...", which is all but the times.
std::string summary(const fs::path& file) {
  std::string text;
  for (const auto& e : events_in(file))
    text += e.version.empty() ? fmt::format("; {} {} {}", e.tag, e.step, e.value) : e.version;
  return text;
}

}  // namespace

// RFC 3720, appendix B.4, and the check value of the Castagnoli polynomial.
TEST_CASE("crc32c gives the published values") {
  std::string up, down;
  for (int i = 0; i < 32; ++i) {
    up += static_cast<char>(i);
    down += static_cast<char>(31 - i);
  }
  for (const auto& [bytes, crc] :
       std::vector<std::pair<std::string, std::uint32_t>>{{"123456789", 0xE3069283},
                                                          {std::string(32, '\0'), 0x8A9136AA},
                                                          {std::string(32, '\xff'), 0x62A8AB43},
                                                          {up, 0x46DD794E},
                                                          {down, 0x113FDB5C},
                                                          {"", 0}}) {
    CHECK(crc32c(bytes) == crc);
    CHECK(slow_crc32c(bytes) == crc);
  }
}

TEST_CASE("an event file begins as TensorFlow's do") {
  const test::TempDir dir;
  const EventFile out(dir.path());
  const auto name = out.path().filename().string();
  CHECK(name.starts_with("events.out.tfevents."));
  CHECK(name.ends_with(".marginalia"));
  const auto bytes = read_text(out.path());
  REQUIRE(bytes.size() == 12 + 24 + 4);
  // The length of a version event, 24, and its masked checksum: the first bytes of any such file.
  CHECK(bytes.substr(0, 12) == std::string("\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22", 12));
  CHECK(bytes.substr(21, 15) == "\x1a\x0d"
                                "brain.Event:2");
}

TEST_CASE("an independent reader finds the scalars that were written") {
  const test::TempDir dir;
  const auto before = static_cast<double>(std::time(nullptr));
  EventFile out(dir.path());
  out.scalar(0, "loss", 0.5);
  out.scalar(1, "loss", -1e30);
  out.scalar(127, "nll/one_pass", 1.0 / 3);
  out.scalar(std::int64_t{1} << 40, std::string(300, 't'), 0);
  out.scalar(-1, "", std::nan(""));
  out.flush();

  const auto events = events_in(out.path());
  REQUIRE(events.size() == 6);
  CHECK(events[0].version == "brain.Event:2");
  for (const auto& event : events) {
    CHECK(event.wall_time >= before);
    CHECK(event.wall_time <= before + 60);
  }
  CHECK(events[1].tag == "loss");
  CHECK(events[1].step == 0);
  CHECK(events[1].value == 0.5f);
  CHECK(events[2].value == -1e30f);
  CHECK(events[3].tag == "nll/one_pass");
  CHECK(events[3].step == 127);
  CHECK(events[3].value == 1.0f / 3);
  CHECK(events[4].step == std::int64_t{1} << 40);
  CHECK(events[4].tag == std::string(300, 't'));
  CHECK(events[5].step == -1);
  CHECK(std::isnan(events[5].value));
}

TEST_CASE("scalars reach the file when flushed, when many, and at the end") {
  const test::TempDir dir;
  fs::path file;
  {
    EventFile out(dir.path());
    file = out.path();
    out.scalar(1, "a", 1);
    CHECK(summary(file) == "brain.Event:2");
    out.flush();
    CHECK(summary(file) == "brain.Event:2; a 1 1");
    for (int step = 2; step <= 5000; ++step)
      out.scalar(step, "a", 1);
    CHECK(fs::file_size(file) > 100'000);
  }
  CHECK(events_in(file).size() == 5001);
}

TEST_CASE("a resumed run goes on in the newest file of ours") {
  const test::TempDir dir;
  const auto older = dir / "events.out.tfevents.999999999.host.marginalia";
  const auto newer = dir / "events.out.tfevents.1700000000.host.marginalia";
  for (const auto& file : {older, newer, dir / "events.out.tfevents.1800000000.host",
                           dir / "events.out.tfevents.x.marginalia"})
    write_atomically(file, "");
  fs::create_directory(dir / "events.out.tfevents.1900000000.host.marginalia");

  { EventFile(dir.path()).scalar(1, "a", 1); }
  { EventFile(dir.path()).scalar(2, "a", 2); }
  CHECK(summary(newer) == "brain.Event:2; a 1 1; a 2 2");
  CHECK(fs::file_size(older) == 0);
}

TEST_CASE("a resumed run has every step once, and rewrites nothing") {
  const test::TempDir dir;
  fs::path file;
  {
    EventFile out(dir.path());
    file = out.path();
    for (const int step : {0, 100, 200, 300})
      out.scalar(step, "a", step);
  }
  const auto before = read_text(file);
  EventFile out(dir.path(), 200);
  CHECK(out.path() == file);
  out.scalar(300, "a", 3);
  out.flush();
  CHECK(summary(file) == "brain.Event:2; a 0 0; a 100 100; a 200 200; a 300 3");
  CHECK(read_text(file).starts_with(before));
}

TEST_CASE("an end torn anywhere is dropped, and whole records are kept") {
  const test::TempDir dir;
  const EventFile first(dir.path());
  const auto file = first.path();
  { EventFile(dir.path()).scalar(1, "a", 1); }
  const auto kept = fs::file_size(file);
  { EventFile(dir.path()).scalar(2, "b", 2); }
  const auto bytes = read_text(file);
  for (auto size = kept; size < bytes.size(); ++size) {
    CAPTURE(size);
    write_atomically(file, bytes.substr(0, size));
    EventFile(dir.path()).scalar(3, "c", 3);
    REQUIRE(summary(file) == "brain.Event:2; a 1 1; c 3 3");
  }
  auto altered = bytes;
  altered.back() ^= 1;
  write_atomically(file, altered);
  EventFile(dir.path()).scalar(3, "c", 3);
  CHECK(summary(file) == "brain.Event:2; a 1 1; c 3 3");
  write_atomically(file, "no event file");
  EventFile(dir.path()).scalar(3, "c", 3);
  CHECK(summary(file) == "brain.Event:2; c 3 3");
}

TEST_CASE("what cannot be written is said, and the file still ends in a whole record") {
  const test::TempDir dir;
  std::string refused;
  EventFile out(dir.path());
  {
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit limit{100, before.rlim_max};
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      for (int step = 0; step < 3; ++step)
        out.scalar(step, "a", step);
      out.flush();
    } catch (const Error& e) {
      refused = e.what();
    }
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
  }
  CHECK(refused == out.path().string() +
                       ": cannot be written: File too large; raise the limit on file sizes "
                       "(ulimit -f), or choose another file system");
  CHECK(summary(out.path()) == "brain.Event:2");
  out.flush();
  CHECK(summary(out.path()) == "brain.Event:2; a 0 0; a 1 1; a 2 2");
}

TEST_CASE("a folder that is not there is named") {
  std::string refused;
  try {
    EventFile("/no/such/folder");
  } catch (const Error& e) {
    refused = e.what();
  }
  CHECK(refused == "/no/such/folder: cannot be read: No such file or directory");
}
