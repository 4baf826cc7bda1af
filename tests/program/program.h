#pragma once

#include <sys/wait.h>

#include <string>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "marginalia_test.h"

namespace marginalia::test {

/// What a call of the program left behind.
struct Result {
  int code;
  std::string out, err;
};

/// Runs `command` in a shell, the last of its parts with `input` on stdin.
inline Result run_shell(const std::string& command, const std::string& input = "") {
  const TempDir folder;
  write_atomically(folder / "in", input);
  const auto redirected = fmt::format("{} < '{}' > '{}' 2> '{}'", command, (folder / "in").string(),
                                      (folder / "out").string(), (folder / "err").string());
  const int status = std::system(redirected.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          read_text(folder / "out"), read_text(folder / "err")};
}

/// Runs `marginalia ARGUMENTS`, as typed.
inline Result run_marginalia(const std::string& arguments, const std::string& input = "") {
  return run_shell(fmt::format("'{}' {}", MARGINALIA_PROGRAM, arguments), input);
}

/// Runs `command` in the background of a shell until the shell command `reached` succeeds, sends it
/// `signal`, and waits for it.  -> its exit code; 1 where it ended by itself.
inline int run_until(const std::string& command, const std::string& reached,
                     const std::string& signal) {
  const auto script = fmt::format("{} & run=$!; until {}; do kill -0 $run || exit 1; sleep 0.1; "
                                  "done; kill -{} $run; wait $run",
                                  command, reached, signal);
  const int status = std::system(script.c_str());
  return WEXITSTATUS(status);
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace marginalia::test
