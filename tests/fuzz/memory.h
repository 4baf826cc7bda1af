#pragma once

#include <cstddef>

namespace marginalia::fuzz {

/// Forgets the most that was held.
void reset_peak();
/// The most bytes that operator new has held at a time since then, less what it held at that time.
std::size_t peak_bytes();

}  // namespace marginalia::fuzz
