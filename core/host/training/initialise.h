#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <marginalia/family.h>

namespace marginalia {

/// Which tensors of a file went into a family's parameters.
struct Initialised {
  std::filesystem::path file;
  std::vector<std::string> taken = {};      ///< names
  std::vector<std::string> left = {};       ///< of the file: "NAME (why)"
  std::vector<std::string> untouched = {};  ///< parameters that nothing of it fits: as they began
  std::string text() const;                 ///< a line that says so, names of the first of each
};

/// Gives `family` every tensor of floating point that `from` has for a parameter, by name and
/// shape, in the parameter's precision. `from` is a run, whose averages come first where it kept
/// some, a checkpoint, or a safetensors file of any program.
/// Throws SpecError where it cannot be read, nothing of it fits, or a number is too large.
Initialised initialise(const std::filesystem::path& from, Family& family);

}  // namespace marginalia
