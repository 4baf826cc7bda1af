#pragma once

#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/files.h>

#include "program.h"

namespace marginalia::test {

/// `marginalia ARGUMENTS` through a shell, in `folder`, with `before` in front: PATH=... say.
inline Result call(const std::filesystem::path& folder, const std::string& arguments,
                   const std::string& before = "") {
  return run_shell(
      fmt::format("cd '{}' && {} '{}' {}", folder.string(), before, MARGINALIA_PROGRAM, arguments));
}

inline int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

/// Belief propagation needs no training: a run takes as long as the program takes to start.
inline constexpr const char* kManifest = R"({"marginalia_study": 1,
  "base": {"marginalia": 1, "energy": {"type": "ising", "side": 3},
           "family": {"type": "belief_propagation"}, "training": {"steps": 1},
           "evaluation": {"rows": 20, "metrics": [
             {"type": "marginal_error", "queries": 5, "sizes": [50]}]}},
  "variants": {"full": {}, "short": {"family": {"type": "belief_propagation", "rounds": 1}}},
  "seeds": 2})";

inline Json read_record(const std::filesystem::path& run) {
  return Json::parse(read_text(run / "run.json"));
}

}  // namespace marginalia::test
