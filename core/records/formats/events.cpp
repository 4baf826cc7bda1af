/// \file
/// TensorBoard event files: records end to end, each one
///
///   length (8 bytes)  masked(crc32c(length)) (4)  event (length)  masked(crc32c(event)) (4)
///   masked(c) = ((c >> 15) | (c << 17)) + 0xa282ead8  mod 2^32
///
/// little endian throughout; an event is a protocol buffer, in which we use
///
///   Event:       double wall_time = 1, int64 step = 2, and one of
///                string file_version = 3, Summary summary = 5, SessionLog session_log = 7
///   Summary:     repeated Value value = 1
///   Value:       string tag = 1, float simple_value = 2
///   SessionLog:  enum status = 1, of which START = 1 voids earlier values from that step on
///
/// Source: TensorFlow, core/lib/io/record_writer.h, core/util/event.proto and
/// core/framework/summary.proto; CRC-32C: RFC 3720, appendix B.4.
#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <ctime>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>
#include <boost/crc.hpp>

#include <marginalia/files.h>

#include "events.h"

namespace marginalia {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie");

namespace {

constexpr std::string_view kFilePrefix = "events.out.tfevents.", kFileSuffix = ".marginalia";
constexpr std::size_t kHead = 12, kTail = 4;    // bytes of a record before and after its event
constexpr std::size_t kPendingLimit = 1 << 16;  // bytes that wait before they are written

// Keys of protocol buffer fields: number * 8 + wire type (0 varint, 1 fixed64, 2 bytes, 5 fixed32).
constexpr char kWallTime = 0x09, kStep = 0x10, kFileVersion = 0x1a, kSummary = 0x2a;
constexpr char kSessionLog = 0x3a, kValue = 0x0a, kTag = 0x0a, kSimpleValue = 0x15;
constexpr char kStatus = 0x08, kStart = 1;

template <class Number>
std::string fixed(Number number) {
  std::string bytes(sizeof number, '\0');
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

template <class Number>
Number number_at(std::string_view bytes, std::size_t offset) {
  Number number;
  std::memcpy(&number, bytes.substr(offset, sizeof number).data(), sizeof number);
  return number;
}

std::string varint(std::uint64_t number) {
  std::string bytes;
  for (; number >= 0x80; number >>= 7)
    bytes += static_cast<char>(number | 0x80);
  return bytes + static_cast<char>(number);
}

std::string field(char key, const std::string& bytes) {
  return key + bytes;
}

/// A field of text or of a message.
std::string sized(char key, std::string_view bytes) {
  return field(key, varint(bytes.size())).append(bytes);
}

std::string now() {
  const auto time = std::chrono::system_clock::now().time_since_epoch();
  return field(kWallTime, fixed(std::chrono::duration<double>(time).count()));
}

std::string at_step(std::int64_t step) {
  return now() + field(kStep, varint(static_cast<std::uint64_t>(step)));
}

std::uint32_t masked(std::uint32_t crc) {
  return std::rotr(crc, 15) + 0xa282ead8u;
}

std::string record(std::string_view event) {
  const auto length = fixed(std::uint64_t{event.size()});
  return length + fixed(masked(crc32c(length))) + std::string(event) + fixed(masked(crc32c(event)));
}

/// Size of the record at the start of `bytes`; 0 where no whole record stands.
std::size_t record_at_start(std::string_view bytes) {
  if (bytes.size() < kHead + kTail) return 0;
  const auto length = number_at<std::uint64_t>(bytes, 0);
  if (length > bytes.size() - kHead - kTail) return 0;
  const bool whole = number_at<std::uint32_t>(bytes, 8) == masked(crc32c(bytes.substr(0, 8))) &&
                     number_at<std::uint32_t>(bytes, kHead + length) ==
                         masked(crc32c(bytes.substr(kHead, length)));
  return whole ? kHead + length + kTail : 0;
}

/// Size of all whole records at the start of `bytes`.
std::size_t whole_records(std::string_view bytes) {
  std::size_t whole = 0;
  while (const auto size = record_at_start(bytes.substr(whole)))
    whole += size;
  return whole;
}

/// The seconds in the name of an event file of ours; none for other files.
std::optional<std::int64_t> seconds_in(const fs::directory_entry& entry) {
  const auto name = entry.path().filename().string();
  if (!name.starts_with(kFilePrefix) || !name.ends_with(kFileSuffix) || !entry.is_regular_file())
    return {};
  std::int64_t seconds = 0;
  const auto [end, error] =
      std::from_chars(name.data() + kFilePrefix.size(), name.data() + name.size(), seconds);
  if (error != std::errc() || *end != '.') return {};
  return seconds;
}

/// The newest event file of ours in `folder`; empty when there is none.
fs::path newest(const fs::path& folder) try {
  std::pair<std::int64_t, fs::path> best{-1, ""};
  for (const auto& entry : fs::directory_iterator(folder))
    if (const auto seconds = seconds_in(entry))
      best = std::max(best, std::pair(*seconds, entry.path()));
  return best.second;
} catch (const fs::filesystem_error& e) {
  throw Error(fmt::format("{}: cannot be read: {}", folder.string(), e.code().message()));
}

std::string new_name() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return fmt::format("{}{}.{}{}", kFilePrefix, std::time(nullptr), host.data(), kFileSuffix);
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

EventFile::EventFile(const fs::path& folder, std::int64_t last_step) : file_(newest(folder)) {
  if (file_.empty())
    file_ = folder / new_name();
  else
    size_ = whole_records(read_text(file_));
  out_ = decltype(out_)(std::fopen(file_.c_str(), "abe"), &std::fclose);
  if (!out_ || ftruncate(fileno(out_.get()), static_cast<off_t>(size_)) != 0)
    throw cannot_write(file_, errno);
  std::setvbuf(out_.get(), nullptr, _IONBF, 0);  // pending_ is the buffer
  if (size_ == 0)
    append(now() + sized(kFileVersion, "brain.Event:2"));
  else if (last_step < std::numeric_limits<std::int64_t>::max())
    append(at_step(last_step + 1) + sized(kSessionLog, std::string{kStatus, kStart}));
  flush();
}

EventFile::~EventFile() {
  try {
    flush();
  } catch (const Error&) {
    // a destructor has no one to tell; who needs to know calls flush() first
  }
}

void EventFile::scalar(std::int64_t step, std::string_view tag, double value) {
  const auto entry = sized(kTag, tag) + field(kSimpleValue, fixed(static_cast<float>(value)));
  append(at_step(step) + sized(kSummary, sized(kValue, entry)));
}

void EventFile::append(std::string_view event) {
  pending_ += record(event);
  if (pending_.size() > kPendingLimit) flush();
}

void EventFile::flush() {
  if (std::fwrite(pending_.data(), 1, pending_.size(), out_.get()) != pending_.size()) {
    const int error = errno;
    // The file ends in a whole record again, and a later flush tries once more.
    if (ftruncate(fileno(out_.get()), static_cast<off_t>(size_)) != 0)
      throw cannot_write(file_, errno);
    throw cannot_write(file_, error);
  }
  size_ += pending_.size();
  pending_.clear();
}

}  // namespace marginalia
