#include "fetch.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <mutex>

#include <curl/curl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <marginalia/error.h>
#include <marginalia/files.h>

#include "sdk/base/clock.h"

namespace marginalia::app {

namespace fs = std::filesystem;

namespace {

/// How far a file is: a bar on a terminal, nothing elsewhere.
class Bar {
 public:
  explicit Bar(std::string name) : name_(std::move(name)), shown_(isatty(2) != 0) {}
  ~Bar() {
    if (shown_ && drawn_) fmt::print(stderr, "\r\x1b[K");
  }

  void draw(std::int64_t have, std::int64_t all) {
    const auto now = Clock::now();
    if (!shown_ || all == 0 || now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    drawn_ = true;
    const auto share = double(have) / double(all);
    const auto filled = static_cast<std::size_t>(std::min(share, 1.0) * 30);
    fmt::print(stderr, "\r\x1b[K{} [{:<30}] {:.1f} of {:.1f} MB", name_, std::string(filled, '='),
               double(have) / 1e6, double(all) / 1e6);
  }

 private:
  std::string name_;
  bool shown_, drawn_ = false;
  Clock::time_point last_;
};

/// One request, written to the end of a partial file.
struct Transfer {
  const fs::path& part;
  const std::string& url;
  Bar& bar;
  std::int64_t begun = 0;  // bytes that were there before
  std::FILE* out = nullptr;
  int write_error = 0;
};

std::size_t take(char* bytes, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  errno = 0;
  const auto written = std::fwrite(bytes, size, count, transfer.out);
  if (written < count) transfer.write_error = errno;
  return written * size;
}

int show(void* user, curl_off_t all, curl_off_t have, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.bar.draw(transfer.begun + have, all == 0 ? 0 : transfer.begun + all);
  return 0;
}

using Handle = std::unique_ptr<CURL, void (*)(CURL*)>;

Handle prepare(Transfer& transfer, char* reason) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  Handle handle(curl_easy_init(), &curl_easy_cleanup);
  if (!handle) throw Error("libcurl cannot be started");
  const auto set = [&](CURLoption option, auto value) {
    curl_easy_setopt(handle.get(), option, value);
  };
  set(CURLOPT_URL, transfer.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 1L);
  set(CURLOPT_MAXREDIRS, 10L);
  set(CURLOPT_FAILONERROR, 1L);  // a page that says 404 is not a file
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_CONNECTTIMEOUT, 30L);
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);  // bytes a second,
  set(CURLOPT_LOW_SPEED_TIME, 60L);  // for that many seconds: given up
  set(CURLOPT_USERAGENT, "marginalia/" MARGINALIA_VERSION);
  set(CURLOPT_ERRORBUFFER, reason);
  set(CURLOPT_WRITEFUNCTION, &take);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, &show);
  set(CURLOPT_XFERINFODATA, &transfer);
  set(CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(transfer.begun));
  return handle;
}

/// Throws the Error of a request that failed.
[[noreturn]] void fail(const Transfer& transfer, CURLcode code, long status, const char* reason) {
  if (transfer.write_error != 0) throw cannot_write(transfer.part, transfer.write_error);
  std::error_code ignored;
  const auto have = fs::file_size(transfer.part, ignored);
  if (have == 0) fs::remove(transfer.part, ignored);
  if (code == CURLE_HTTP_RETURNED_ERROR && (status == 404 || status == 410))
    throw Error(fmt::format("{}: is not there (HTTP {}); it may have moved: name a mirror with "
                            "--from URL_PREFIX, or put the file in its place yourself",
                            transfer.url, status));
  throw Error(fmt::format(
      "{}: {}{}", transfer.url, *reason ? reason : curl_easy_strerror(code),
      !ignored && have > 0
          ? fmt::format("; {} bytes are kept, the same command goes on from there", have)
          : "; try again later, or name a mirror with --from URL_PREFIX"));
}

/// Appends to the partial file what it lacks. `resume`: else it begins anew.
/// -> the bytes that were there before.
std::int64_t transfer_rest(Transfer transfer, bool resume) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(
      std::fopen(transfer.part.c_str(), resume ? "abe" : "wbe"), &std::fclose);
  if (!out) throw cannot_write(transfer.part, errno);
  if (flock(fileno(out.get()), LOCK_EX | LOCK_NB) != 0)
    throw Error(fmt::format("{}: is being fetched by another process; wait for it",
                            transfer.part.string()));
  transfer.out = out.get();
  transfer.begun = resume ? static_cast<std::int64_t>(fs::file_size(transfer.part)) : 0;
  char reason[CURL_ERROR_SIZE] = "";
  const auto handle = prepare(transfer, reason);
  const auto code = curl_easy_perform(handle.get());
  long status = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  if (std::fflush(out.get()) != 0 && transfer.write_error == 0) transfer.write_error = errno;
  if (code == CURLE_OK && transfer.write_error == 0 && fsync(fileno(out.get())) == 0)
    return transfer.begun;
  if (code == CURLE_RANGE_ERROR && resume) return -1;  // the server sends whole files only
  fail(transfer, code, status, reason);
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw cannot_write(folder, error.value());
}

}  // namespace

void fetch(const PublicFile& source, const fs::path& data, const std::string& url) {
  const auto file = data / source.file;
  auto partial = source;
  partial.file += ".part";
  const auto part = data / partial.file;
  make_folder(file.parent_path());
  const bool there = fs::exists(part);
  fmt::print(stderr, "{}: from {} ({})\n", source.file, url,
             there ? fmt::format("from byte {} on", fs::file_size(part))
                   : fmt::format("{:.1f} MB", double(source.bytes) / 1e6));
  Bar bar(source.file);
  for (const bool resume : {true, false}) {
    const auto begun = transfer_rest({part, url, bar}, resume);
    if (begun >= 0 && verify(partial, data).state == FileState::kVerified) {
      fs::rename(part, file);
      return;
    }
    if (begun == 0) break;  // else the beginning may be another file's: once more from there
  }
  const auto why = verify(partial, data).why;
  fs::remove(part);
  throw Error(fmt::format("{}: what came is not the published file: {}; it was not kept; try "
                          "another mirror with --from URL_PREFIX",
                          url, why));
}

}  // namespace marginalia::app
