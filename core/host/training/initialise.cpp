#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/error.h>

#include "checkpoint.h"
#include "initialise.h"

namespace marginalia {

namespace fs = std::filesystem;

namespace {

std::string refusal(const std::string& what) {
  return "/training: \"init\": " + what;
}

/// The names, of which the first few are told.
std::string join_some(const std::vector<std::string>& names) {
  constexpr std::size_t kTold = 8;
  const auto told = std::min(names.size(), kTold);
  auto text =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + std::ptrdiff_t(told), ", "));
  if (told < names.size()) text += fmt::format(" and {} more", names.size() - told);
  return text;
}

TensorFile read_tensors(const fs::path& from, const fs::path& file) {
  if (!fs::exists(file))
    throw SpecError(refusal(fmt::format("{} is neither a run nor a checkpoint; train that run "
                                        "first, or name another by training.init=RUN",
                                        from.string())));
  try {
    return read_safetensors(file, Digest::kIfPresent);
  } catch (const Error& e) {
    throw SpecError(refusal(e.what()));
  }
}

/// Of a checkpoint the model alone, its averages where there are some; another file as it is.
void keep_model(TensorFile& content) {
  if (!content.metadata.contains("marginalia_checkpoint")) return;
  put_averages(content);
  std::erase_if(content.tensors, [](const auto& one) { return !one.first.starts_with("model."); });
}

/// Why a tensor does not go into a parameter; empty where it does.
std::string misfit(const Tensor& tensor, const Tensor* parameter) {
  if (!parameter) return "no parameter of this name";
  if (!tensor.is_floating_point())
    return fmt::format("{}, no floating point", c10::toString(tensor.scalar_type()));
  if (tensor.sizes() == parameter->sizes()) return "";
  return fmt::format("[{}], here [{}]", fmt::join(tensor.sizes(), ", "),
                     fmt::join(parameter->sizes(), ", "));
}

void put(const fs::path& file, const std::string& name, const Tensor& tensor, Tensor& parameter) {
  const auto converted = tensor.to(parameter.scalar_type());
  if (converted.isfinite().logical_or(tensor.isfinite().logical_not()).all().item<bool>()) {
    parameter.copy_(converted);
    return;
  }
  throw SpecError(
      refusal(fmt::format("{}: tensor \"{}\" has numbers that are too large for {}", file.string(),
                          name, c10::toString(parameter.scalar_type()))));
}

}  // namespace

std::string Initialised::text() const {
  auto text = fmt::format("{}: {} tensor{} taken", file.string(), taken.size(),
                          taken.size() == 1 ? "" : "s");
  if (!left.empty()) text += "; not taken: " + join_some(left);
  if (!untouched.empty()) text += "; left as they began: " + join_some(untouched);
  return text;
}

Initialised initialise(const fs::path& from, Family& family) {
  Initialised all;
  all.file = find_checkpoint(from);
  auto content = read_tensors(from, all.file);
  keep_model(content);
  std::map<std::string, Tensor> parameters;
  for (const auto& group : family.parameters())
    parameters.insert(group.parameters.begin(), group.parameters.end());
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : content.tensors) {
    const auto parameter = parameters.find(name);
    const bool known = parameter != parameters.end();
    const auto why = misfit(tensor, known ? &parameter->second : nullptr);
    if (!why.empty()) {
      all.left.push_back(fmt::format("{} ({})", name, why));
      continue;
    }
    put(all.file, name, tensor, parameter->second);
    all.taken.push_back(name);
  }
  for (const auto& [name, dtype] : content.passed_over)
    all.left.push_back(fmt::format("{} ({}, not known here)", name, dtype));
  for (const auto& [name, _] : parameters)
    if (!std::ranges::count(all.taken, name)) all.untouched.push_back(name);
  if (all.taken.empty())
    throw SpecError(refusal(
        fmt::format("{}: none of its tensors fits this family's by name and shape{}",
                    all.file.string(), all.left.empty() ? "" : "; it has " + join_some(all.left))));
  return all;
}

}  // namespace marginalia
