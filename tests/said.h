#pragma once

#include <fcntl.h>
#include <unistd.h>
#include <cstdio>
#include <string>

#include <marginalia/files.h>

#include "marginalia_test.h"

namespace marginalia::test {

/// What `action` says on stderr.
template <class F>
std::string said(F action) {
  const TempDir folder;
  const auto file = folder / "stderr";
  std::fflush(stderr);
  const int kept = ::dup(STDERR_FILENO);
  const int to = ::open(file.c_str(), O_WRONLY | O_CREAT, 0600);
  ::dup2(to, STDERR_FILENO);
  ::close(to);
  action();
  std::fflush(stderr);
  ::dup2(kept, STDERR_FILENO);
  ::close(kept);
  return read_text(file);
}

}  // namespace marginalia::test
