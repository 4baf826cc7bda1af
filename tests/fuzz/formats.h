#pragma once

#include <string_view>
#include <vector>

namespace marginalia::fuzz {

/// A format of files, and the function that reads it: it returns, or throws what refuses says.
struct Format {
  const char* name;
  void (*read)(std::string_view bytes);
};

const std::vector<Format>& formats();

/// Reads `bytes`. -> whether they were accepted; false where the reader refused them in its way.
/// Any other exception passes through.
bool try_format(const Format& format, std::string_view bytes);

/// The format of that name; throws std::invalid_argument with those there are.
const Format& find_format(std::string_view name);

}  // namespace marginalia::fuzz
