// marginalia_fuzz [--format NAME]... [--mutants N] [--seconds S] [--seed N] [FILE...]
//
// Feeds readers with the inputs of their corpus and with mutants of them, or with files. Exit
// status 1 where one was a fault; the input is then written to fault-FORMAT in the working folder.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <typeinfo>
#include <vector>

#include <sanitizer/common_interface_defs.h>
#include <sys/time.h>

#include "formats.h"
#include "memory.h"
#include "mutate.h"

namespace fs = std::filesystem;
using namespace marginalia::fuzz;

namespace {

constexpr double kMaxSeconds = 1;
constexpr double kMaxHang = 20;  // after which it is not waited for
constexpr std::size_t kMaxBytes = 256 << 20;

struct Options {
  std::vector<std::string> formats, files;
  std::uint64_t mutants = std::numeric_limits<std::uint64_t>::max(), seed = 1;
  double seconds = std::numeric_limits<double>::infinity();
};

double processor_seconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

std::string read_bytes(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

/// The inputs of a format, by name.
std::vector<std::string> read_corpus(const std::string& format) {
  const auto folder = fs::path(MARGINALIA_FUZZ_CORPUS) / format;
  std::vector<fs::path> files;
  if (fs::is_directory(folder))
    for (const auto& entry : fs::directory_iterator(folder))
      files.push_back(entry.path());
  std::ranges::sort(files);
  if (files.empty()) throw std::invalid_argument(folder.string() + ": has no inputs");
  std::vector<std::string> corpus;
  for (const auto& file : files)
    corpus.push_back(read_bytes(file));
  return corpus;
}

/// What is wrong with how the reader takes `bytes`; empty: nothing.
std::string find_fault(const Format& format, std::string_view bytes, bool& accepted) {
  reset_peak();
  const auto begin = processor_seconds();
  try {
    accepted = try_format(format, bytes);
  } catch (const std::exception& e) {
    return std::string("throws ") + typeid(e).name() + ": " + e.what();
  }
  const auto seconds = processor_seconds() - begin;
  if (seconds > kMaxSeconds) return "takes " + std::to_string(seconds) + " s";
  if (peak_bytes() > kMaxBytes) return "takes " + std::to_string(peak_bytes() >> 20) + " MiB";
  return "";
}

/// What is being read, for when the program does not come back from it.
struct Current {
  std::string_view bytes;
  const char* file = nullptr;
} current;

void keep_current() {
  if (!current.file) return;
  std::ofstream(current.file, std::ios::binary) << current.bytes;
  std::printf("the input is in %s\n", current.file);
  std::fflush(stdout);
}

void stop_hanging(int) {
  std::printf("FAULT: takes more than %.0f s; ", kMaxHang);
  keep_current();
  std::_Exit(1);
}

/// Keeps the input when a sanitizer ends the program, or it reads for too long. What readers say
/// with a word is not shown; sanitizers, which write past the stream, are.
void keep_what_is_fatal() {
  stderr = std::fopen("/dev/null", "w");
  __sanitizer_set_death_callback(keep_current);
  std::signal(SIGVTALRM, stop_hanging);
}

void begin_reading() {
  itimerval timer{};
  timer.it_value.tv_sec = static_cast<time_t>(kMaxHang);
  setitimer(ITIMER_VIRTUAL, &timer, nullptr);
}

/// Feeds one format. -> whether there was no fault.
bool feed(const Format& format, const Options& options) {
  const auto corpus = read_corpus(format.name);
  Mutator mutator(corpus, options.seed);
  const auto begin = processor_seconds();
  const auto file = std::string("fault-") + format.name;
  std::uint64_t count = 0, taken = 0;
  for (; count < corpus.size() + options.mutants; ++count) {
    if (count % 64 == 0 && processor_seconds() - begin > options.seconds) break;
    const auto text = count < corpus.size() ? corpus[count] : mutator.next();
    current = {text, file.c_str()};
    bool accepted = false;
    begin_reading();
    const auto fault = find_fault(format, text, accepted);
    taken += accepted;
    if (fault.empty()) continue;
    std::ofstream(file, std::ios::binary) << text;
    std::printf("%-10s FAULT: %s; the input is in %s\n", format.name, fault.c_str(), file.c_str());
    return false;
  }
  std::printf("%-10s %llu inputs, %llu of them accepted, %.2f processor s\n", format.name,
              static_cast<unsigned long long>(count), static_cast<unsigned long long>(taken),
              processor_seconds() - begin);
  return true;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&] {
      if (i + 1 == argc) throw std::invalid_argument(word + " needs a value");
      return std::string(argv[++i]);
    };
    if (word == "--format")
      options.formats.push_back(value());
    else if (word == "--mutants")
      options.mutants = std::stoull(value());
    else if (word == "--seconds")
      options.seconds = std::stod(value());
    else if (word == "--seed")
      options.seed = std::stoull(value());
    else if (word.starts_with("-"))
      throw std::invalid_argument(word + ": no such option; there are --format, --mutants, "
                                         "--seconds, --seed");
    else
      options.files.push_back(word);
  }
  if (options.formats.empty())
    for (const auto& format : formats())
      options.formats.emplace_back(format.name);
  return options;
}

}  // namespace

int main(int argc, char** argv) try {
  const auto options = parse(argc, argv);
  keep_what_is_fatal();
  bool good = true;
  for (const auto& name : options.formats) {
    const auto& format = find_format(name);
    for (const auto& file : options.files) {
      bool accepted = false;
      const auto fault = find_fault(format, read_bytes(file), accepted);
      std::printf("%s: %s\n", file.c_str(),
                  !fault.empty() ? fault.c_str()
                  : accepted     ? "accepted"
                                 : "refused");
      good = good && fault.empty();
    }
    if (options.files.empty()) good = feed(format, options) && good;
    std::fflush(stdout);
  }
  return good ? 0 : 1;
} catch (const std::exception& e) {
  std::printf("marginalia_fuzz: %s\n", e.what());
  return 2;
}
