/// \file
/// A reward that PyTorch exported:  log f(x) = scale * forward(x)
///
/// forward is that of any scripted or traced module: int64 [B, D], or the one-hot of the values as
/// float32 [B, D, K]  ->  [B] or [B, 1] in any floating type. It runs in evaluation mode, without
/// gradients, and without the profiling executor, whose fused code would round later answers
/// otherwise than the first ones.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <mutex>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/cuda.h>
#include <torch/types.h>
#include <torch/version.h>

#include <marginalia/energy.h>
#include <marginalia/plugin.h>

#include "declared_space.h"

using namespace marginalia;

namespace {

class TorchScript final : public Energy {
 public:
  static constexpr const char* kName = "torchscript";
  static constexpr const char* kSummary = "a scripted or traced PyTorch module, from its file";
  static constexpr const char* kFormula = "log f(x) = scale * forward(x)";
  static constexpr const char* kExample =
      R"({"file": "rewards/motif.pt", "space": {"variables": 6, "levels": 4}, "scale": 0.5})";

  struct Params {
    FilePath file;
    DeclaredSpace space;
    std::string input = "ids", device = "cpu";
    std::int64_t batch_size = 1024;
    double scale = 1;
    void visit(ParamVisitor& p) {
      p("file", file, {.doc = "of torch.jit.save, or of a module's save()"});
      p.section("space", space, "the states that it scores");
      p("input", input,
        {.doc = "what forward takes: values as int64 [B, D], or their one-hot as float32 [B, D, K]",
         .one_of = {"ids", "one_hot"}});
      p("device", device, {.doc = "where it runs", .one_of = {"cpu", "cuda"}});
      p("batch_size", batch_size, {.doc = "B, states scored at once at most", .min = 1});
      p("scale", scale, {.doc = "factor of what forward gives, an inverse temperature"});
    }
  };

  explicit TorchScript(const Params& params);
  const StateSpace& space() const override { return space_; }

 private:
  Tensor compute_log_density(const Tensor& x) const override;
  Tensor score(const Tensor& x) const;
  [[noreturn]] void refuse(const std::string& why) const;

  Params params_;
  StateSpace space_;
  at::Device device_;
  mutable std::mutex mutex_;  // a script may write to its own attributes
  mutable torch::jit::Module module_;
};

at::Device parse_device(const std::string& name) {
  if (name == "cuda" && !torch::cuda::is_available())
    throw SpecError("\"device\": \"cuda\": this LibTorch sees no CUDA device; use cpu");
  return at::Device(name);
}

torch::jit::Module load(const FilePath& file, at::Device device) {
  if (!file) throw SpecError("needs \"file\", a module that torch.jit.save has written");
  const auto name = file.existing().string();
  try {
    return torch::jit::load(name, device);
  } catch (const std::exception& e) {
    throw SpecError(
        fmt::format("{}: cannot be read as TorchScript; write it with "
                    "torch.jit.script(module).save(FILE), in a PyTorch no newer than {}:\n{}",
                    name, TORCH_VERSION, describe_error(e)));
  }
}

TorchScript::TorchScript(const Params& params)
    : params_(params),
      space_(params.space.build()),
      device_(parse_device(params.device)),
      module_(load(params.file, device_)) {
  const auto method = module_.find_method("forward");
  if (!method) refuse("the module has no forward; give it one");
  using torch::jit::ExecutorExecutionMode;
  torch::jit::toGraphFunction(method->function())
      ._set_initial_executor_execution_mode(ExecutorExecutionMode::SIMPLE);
  module_.eval();
  try {
    std::vector<double> answers;  // all of one state
    for (const std::int64_t rows : {1, 2}) {
      const auto value = score(torch::zeros({rows, space_.dimension()}, torch::kLong)).cpu();
      answers.insert(answers.end(), value.data_ptr<double>(), value.data_ptr<double>() + rows);
    }
    for (const auto answer : answers) {
      if (std::isnan(answer) || answer == INFINITY)
        refuse(fmt::format("forward gave {} for the state of zeros; log f must be finite, or -inf "
                           "for a forbidden state",
                           std::isnan(answer) ? "NaN" : "infinity"));
      if (std::abs(answer - answers[0]) > 1e-4 * (1 + std::abs(answer)))
        refuse(fmt::format("forward gave {:.6g} and {:.6g} for the same state, alone and in a "
                           "batch; log f must be a function",
                           answers[0], answer));
    }
  } catch (const Error& e) {
    throw SpecError(e.what());
  }
}

void TorchScript::refuse(const std::string& why) const {
  throw Error(fmt::format("{}: {}", params_.file.found.string(), why));
}

std::string describe_value(const at::IValue& value) {
  if (!value.isTensor()) return value.tagKind();
  const auto& tensor = value.toTensor();
  return fmt::format("{} [{}]", at::toString(tensor.scalar_type()),
                     fmt::join(tensor.sizes(), ", "));
}

/// x: int64 [B, D]  ->  float64 [B], where the module runs.
Tensor TorchScript::score(const Tensor& x) const {
  const auto B = x.size(0);
  auto input = x.to(device_);
  if (params_.input == "one_hot")
    input = torch::one_hot(input, space_.levels()).to(torch::kFloat);  // [B, D, K]
  const torch::NoGradGuard no_grad;
  at::IValue answer;
  try {
    answer = module_.forward({input});
  } catch (const std::exception& e) {
    refuse(fmt::format("forward failed on {}:\n{}", describe_value(input), describe_error(e)));
  }
  if (answer.isTensor()) {
    const auto& value = answer.toTensor();
    const bool flat = value.dim() == 1 || (value.dim() == 2 && value.size(1) == 1);
    if (value.is_floating_point() && flat && value.size(0) == B)
      return value.reshape({B}).to(torch::kDouble);
  }
  refuse(fmt::format("forward gave {} for {}; it must give one number a state: Float [{}] or "
                     "Float [{}, 1]",
                     describe_value(answer), describe_value(input), B, B));
}

Tensor TorchScript::compute_log_density(const Tensor& x) const {
  const std::lock_guard lock(mutex_);
  auto result = torch::empty({x.size(0)}, x.options().dtype(torch::kDouble));
  try {
    for (std::int64_t begin = 0; begin < x.size(0); begin += params_.batch_size) {
      const auto end = std::min(begin + params_.batch_size, x.size(0));
      result.slice(0, begin, end).copy_(score(x.slice(0, begin, end)));
    }
  } catch (const Error& e) {
    throw Error(fmt::format("{}: {}", label(), e.what()));
  }
  return result * params_.scale;
}

}  // namespace

MARGINALIA_PLUGIN(TorchScript);
