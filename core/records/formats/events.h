#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

namespace marginalia {

/// CRC-32C (Castagnoli) of `bytes`.
std::uint32_t crc32c(std::string_view bytes);

/// Scalars in the form that TensorBoard reads.
class EventFile {
 public:
  /// Appends to the newest event file of ours in `folder`, after its last whole record, or starts
  /// events.out.tfevents.SECONDS.HOST.marginalia. A run resumed after `last_step` gives it here:
  /// TensorBoard then forgets what was logged of later steps. Nothing that was read is rewritten,
  /// so a TensorBoard may watch meanwhile.
  explicit EventFile(const std::filesystem::path& folder,
                     std::int64_t last_step = std::numeric_limits<std::int64_t>::max());
  ~EventFile();  ///< flushes, and says nothing if that fails
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  void scalar(std::int64_t step, std::string_view tag, double value);  ///< kept as float32
  void flush();  ///< hands all records to the system, so that a running TensorBoard sees them

  const std::filesystem::path& path() const { return file_; }

 private:
  void append(std::string_view event);

  std::filesystem::path file_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> out_{nullptr, &std::fclose};
  std::size_t size_ = 0;  // bytes of whole records in the file
  std::string pending_;   // whole records not in it yet
};

}  // namespace marginalia
