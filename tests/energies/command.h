#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "marginalia_test.h"

namespace marginalia::test {

inline const std::string kRewards = MARGINALIA_TEST_DATA "/rewards";
inline const std::string kCommandSays = "energy command (plugin command): ";

/// A spec of the energy `command`; `more` is JSON text, from its comma on.
inline std::string command_spec(const std::vector<std::string>& command, const std::string& space,
                                const std::string& more = "") {
  return fmt::format(R"({{"type": "command", "command": {}, "directory": "{}", "space": {} {}}})",
                     Json(command).dump(), kRewards, space, more);
}

/// tests/data/rewards/unruly.py on three variables of four levels.
inline std::string unruly(const std::vector<std::string>& arguments, const std::string& more = "") {
  std::vector<std::string> command{"python3", "unruly.py"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command_spec(command, R"({"variables": 3, "levels": 4})", more);
}

/// Whether a process has ended; a zombie has.
inline bool ended(int process) {
  std::ifstream state(fmt::format("/proc/{}/stat", process));
  const std::string text((std::istreambuf_iterator<char>(state)), {});
  return text.empty() || text.find(") Z ") != std::string::npos;
}

}  // namespace marginalia::test
