#pragma once

#include <bit>
#include <cstdint>

/// Before a function whose inner loops the compiler can vectorise: compiles it for several
/// instruction sets, one of which is chosen when the library is loaded. Sanitizers do not go with
/// that, nor does clang with functions of templates.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define MARGINALIA_KERNEL \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MARGINALIA_KERNEL
#endif

namespace marginalia {

/// exp(x) to 2e-7 relative by Cody and Waite's reduction. GCC vectorises loops over it
/// with -fno-trapping-math.
inline float exponential(float x) {
  x = x < -87 ? -87 : (x > 88 ? 88 : x);
  constexpr float kRound = 12582912;  // 1.5 * 2^23: adding it leaves the nearest integer
  const float n = (x * 1.44269504F + kRound) - kRound;
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = (p * r + 1) * r + 1;
  return p * std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
}

}  // namespace marginalia
