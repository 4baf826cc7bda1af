// The same formats for libFuzzer; MARGINALIA_FUZZ_FORMAT names the one.
#include <cstdint>
#include <cstdlib>

#include "formats.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  static const auto& format = []() -> const auto& {
    const auto* const name = std::getenv("MARGINALIA_FUZZ_FORMAT");
    return marginalia::fuzz::find_format(name ? name : "");
  }
  ();
  marginalia::fuzz::try_format(format, {reinterpret_cast<const char*>(bytes), count});
  return 0;
}
