#include <dlfcn.h>

#include <map>

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fmt/format.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <marginalia/build_stamp.h>
#include <marginalia/precision.h>

#include "cli.h"
#include "host/ranks/rendezvous.h"

namespace marginalia::app {
namespace {

std::string first_line_with(const std::string& text, const std::string& what) {
  const auto at = text.find(what);
  if (at == std::string::npos) return "unknown";
  const auto end = text.find_first_of(",\n", at);
  return text.substr(at, end - at);
}

/// LibTorch's word for its BLAS, and the kernels that an OpenBLAS has chosen for this processor.
std::string blas_text(const std::string& config) {
  auto* const name = reinterpret_cast<char* (*)()>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  const auto text = first_line_with(config, "BLAS_INFO");
  return name ? fmt::format("{}, OpenBLAS with its {} kernels", text, name()) : text;
}

/// The libraries that plugins can do without: their versions, or that they are missing.
std::map<std::string, std::string> optional_parts(const Registry& registry) {
  std::map<std::string, std::string> parts;
  for (const auto* description : registry.descriptions())
    for (const auto& part : description->parts)
      parts[part.name] = part.version.empty() ? "missing: " + part.remedy : part.version;
  return parts;
}

void row(const char* what, const std::string& is) {
  fmt::print("{:<12} {}\n", what, is);
}

void tell_build() {
  const auto config = at::show_config();
  row("marginalia", fmt::format("{}, commit {}", MARGINALIA_VERSION,
                                commit_text().empty() ? "unknown" : commit_text()));
  row("build", kBuildStamp);
  row("blas", blas_text(config));
  row("oneDNN", first_line_with(config, "MKL-DNN"));
  row("cpu", first_line_with(config, "CPU capability"));
}

void tell_machine(Session& session) {
  const auto& asked = session.options.threads;
  const auto* policy = std::getenv("OMP_WAIT_POLICY");
  row("threads", fmt::format("{} in use, {} available; OMP_WAIT_POLICY={}", at::get_num_threads(),
                             asked > 0 ? asked : usable_processors(), policy ? policy : ""));
  row("cuda", torch::cuda::is_available()
                  ? fmt::format("{} device(s)", torch::cuda::device_count())
                  : "none seen: this LibTorch has no CUDA, or there is no device; for one, build "
                    "against a CUDA LibTorch with -DCMAKE_PREFIX_PATH");
  row("ranks", why_no_ranks().empty() ? "by c10d with Gloo" : "none: " + why_no_ranks());
  for (const auto& [name, is] : optional_parts(session.registry()))
    row(name.c_str(), is);
  const auto data = session.data();
  const auto* missing =
      fs::is_directory(data) ? "" : " (does not exist; give --data or set MARGINALIA_DATA)";
  row("data", data.string() + missing);
}

/// A large product tells whether a real BLAS is behind LibTorch: the reference one is 50x slower.
void tell_products(at::Device device) {
  const auto rate = product_rate(at::kFloat, device);
  row("matmul",
      fmt::format("{:.0f} GFLOP/s in float32, {:.3g} in bfloat16, {:.3g} in float64{}", rate,
                  product_rate(at::kBFloat16, device), product_rate(at::kDouble, device),
                  rate < 10 ? "; slow: install libopenblas0-openmp" : ""));
  const auto bfloat16 = bfloat16_on(device);
  row("precision",
      fmt::format("auto trains in {} on {}: bfloat16 is {} in hardware, {}",
                  automatic_precision(device), device.str(),
                  bfloat16.in_hardware ? "multiplied" : "not multiplied", bfloat16.why));
}

void tell_plugins(const PluginHost& host) {
  for (const auto& folder : host.folders())
    row("plugins in", folder.string());
  for (const auto& plugin : host.loaded())
    row("", fmt::format("{} {}", plugin.name, plugin.version));
  for (const auto& why : host.refused())
    row("refused", why);
}

}  // namespace

void doctor(Session& session) {
  tell_build();
  tell_machine(session);
  const auto& device = session.options.device;
  tell_products(device_named(device.empty() ? "auto" : device, "--device"));
  tell_plugins(session.host());
}

}  // namespace marginalia::app
