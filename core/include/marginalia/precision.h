#pragma once

#include <string>

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <marginalia/api.h>

namespace marginalia {

/// Whether a device multiplies bfloat16 in hardware, and why, or why not, in words: "AMX", "CUDA",
/// "limited by ONEDNN_MAX_CPU_ISA=AVX2".
struct Bfloat16 {
  bool in_hardware = false;
  std::string why;
};

/// Whether `device` multiplies bfloat16 in hardware. A CPU needs AVX512_BF16 or AMX, whose use
/// three limits may forbid: oneDNN's (ONEDNN_MAX_CPU_ISA, DNNL_MAX_CPU_ISA), LibTorch's
/// (ATEN_CPU_CAPABILITY) and MARGINALIA_MAX_CPU_ISA, avx2 or avx512, which names the highest
/// instruction set to count with. Throws SpecError where the last is something else.
MARGINALIA_API Bfloat16 bfloat16_on(at::Device device);

/// What "auto" comes to in training: bfloat16 where the device multiplies it in hardware, else
/// float32.
MARGINALIA_API std::string automatic_precision(at::Device device);

/// The type that a precision of a spec names.
MARGINALIA_API at::ScalarType type_named(const std::string& precision);

/// Makes products of bfloat16 possible where oneDNN is limited to less than LibTorch sees in the
/// processor: LibTorch would hand it products that it then has no kernels for. All products go
/// without oneDNN from here on, in that case only.
MARGINALIA_API void allow_bfloat16();

/// GFLOP/s of square products in a type, just measured in a fraction of a second.
MARGINALIA_API double product_rate(at::ScalarType type, at::Device device);

}  // namespace marginalia
