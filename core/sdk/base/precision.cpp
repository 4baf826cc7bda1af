#include <dlfcn.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <ATen/Context.h>
#include <fmt/format.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/precision.h>

#include "clock.h"

namespace marginalia {
namespace {

/// What of a processor bears on bfloat16.
struct Processor {
  bool avx512 = false;  ///< F, BW, VL and DQ, which oneDNN's kernels need
  bool avx512_bf16 = false, amx_bf16 = false;
};

Processor this_processor() {
  Processor has;
#if defined(__x86_64__)
  // These ask the system as well whether it keeps the registers.
  has.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) has.avx512_bf16 = (a >> 5) & 1;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) has.amx_bf16 = (d >> 22) & 1;
#endif
  return has;
}

/// A variable of the environment, in capitals where it is set.
std::string read_in_capitals(const char* variable) {
  const auto* value = std::getenv(variable);
  std::string text = value ? value : "";
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

/// What oneDNN may use, and the words for its limit.
struct OneDnnLimit {
  bool avx512 = true, bf16 = true;
  std::string words;
};

/// Asks oneDNN itself where its functions can be seen; otherwise reads the variables that oneDNN
/// reads.
OneDnnLimit limit_of_onednn() {
  OneDnnLimit limit{true, true, "limited by oneDNN"};
  std::string name;
  for (const auto* variable : {"DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA"})  // the last one wins
    if (const auto value = read_in_capitals(variable); !value.empty()) {
      name = value;
      limit.words = fmt::format("limited by {}={}", variable, std::getenv(variable));
    }
  if (auto* const function = dlsym(RTLD_DEFAULT, "dnnl_get_effective_cpu_isa")) {
    constexpr int kAvx512Core = 0x27, kBf16 = 0xe7;  // dnnl_cpu_isa_t: a bit more each
    const int isa = reinterpret_cast<int (*)()>(function)();
    limit.avx512 = (isa & kAvx512Core) == kAvx512Core;
    limit.bf16 = (isa & kBf16) == kBf16;
  } else if (!name.empty() && name != "ALL" && name != "DEFAULT") {
    const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
    limit.avx512 = has("AVX512_CORE") || has("AVX10");
    limit.bf16 = has("BF16") || has("FP16") || has("AMX") || has("AVX10");
  }
  return limit;
}

/// The words for a limit that LibTorch or this program was set; "" for none.
std::string limit_of_environment() {
  const auto words = [](const char* variable) {
    return fmt::format("limited by {}={}", variable, std::getenv(variable));
  };
  constexpr const char *kOwn = "MARGINALIA_MAX_CPU_ISA", *kAten = "ATEN_CPU_CAPABILITY";
  if (const auto own = read_in_capitals(kOwn); !own.empty()) {
    if (own != "AVX2" && own != "AVX512")
      throw SpecError(
          fmt::format("{}: must be avx2 or avx512, not \"{}\"", kOwn, std::getenv(kOwn)));
    return words(kOwn);
  }
  const auto aten = read_in_capitals(kAten);
  return aten == "AVX2" || aten == "DEFAULT" ? words(kAten) : "";
}

}  // namespace

Bfloat16 bfloat16_on(at::Device device) {
  if (device.is_cuda()) return {true, "CUDA"};
  if (!device.is_cpu()) return {false, fmt::format("unknown of {}", device.str())};
  const auto limit = limit_of_environment();
  const auto processor = this_processor();
  if (!processor.avx512 || !(processor.avx512_bf16 || processor.amx_bf16))
    return {false, "no AVX512_BF16 or AMX"};
  if (!limit.empty()) return {false, limit};
  if (const auto onednn = limit_of_onednn(); !onednn.bf16) return {false, onednn.words};
  return {true, processor.amx_bf16 ? "AMX" : "AVX512_BF16"};
}

std::string automatic_precision(at::Device device) {
  return bfloat16_on(device).in_hardware ? "bfloat16" : "float32";
}

at::ScalarType type_named(const std::string& precision) {
  if (precision == "float32") return at::kFloat;
  if (precision == "bfloat16") return at::kBFloat16;
  if (precision == "float64") return at::kDouble;
  throw Error(fmt::format("\"{}\" is not a precision to multiply in", precision));
}

void allow_bfloat16() {
  // LibTorch offers oneDNN products of bfloat16 by the processor's AVX-512 alone.
  if (this_processor().avx512 && !limit_of_onednn().avx512)
    at::globalContext().setUserEnabledMkldnn(false);
}

double product_rate(at::ScalarType type, at::Device device) {
  constexpr double kEnough = 0.02;  // seconds of a product; eight times as long is not waited for
  constexpr int kTries = 8;         // beside busy processes most are interrupted
  torch::NoGradGuard no_grad;
  if (type == at::kBFloat16) allow_bfloat16();
  const auto measure_seconds = [&](const torch::Tensor& a) {
    const auto start = Clock::now();
    a.mm(a);
    if (device.is_cuda()) torch::cuda::synchronize();
    return seconds_since(start);
  };
  double rate = 0;
  for (std::int64_t n = 128; n <= 1024; n *= 2) {
    const auto a = torch::ones({n, n}, torch::TensorOptions(device).dtype(type));
    measure_seconds(a);  // kernels are made at the first call
    double least = measure_seconds(a), spent = least;
    for (int i = 1; i < kTries && spent < kEnough; ++i) {
      const auto seconds = measure_seconds(a);
      least = std::min(least, seconds);
      spent += seconds;
    }
    rate = std::max(rate, 2 * double(n) * double(n) * double(n) / least / 1e9);
    if (least > kEnough) break;
  }
  return rate;
}

}  // namespace marginalia
