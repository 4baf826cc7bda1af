#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>

#include "checkpoint.h"
#include "tensor_collector.h"

namespace marginalia {

namespace fs = std::filesystem;

static constexpr const char* kCheckpointFormat = "1";

MovingAverage::MovingAverage(double decay, const std::vector<ParameterGroup>& groups)
    : decay_(decay) {
  if (decay <= 0) return;
  for (const auto& group : groups)
    for (const auto& [name, parameter] : group.parameters) {
      names_.push_back(name);
      parameters_.push_back(parameter);
      averages_.push_back(parameter.detach().clone());
    }
}

void MovingAverage::update(const std::vector<std::int64_t>& updates) {
  torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    const auto t = double(updates.at(i));
    if (!parameters_[i].requires_grad())
      parameters_[i].copy_(averages_[i]);
    else if (t > 0)
      averages_[i].lerp_(parameters_[i], 1 - std::min(decay_, t / (9 + t)));
  }
}

void MovingAverage::swap() {
  torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    const auto kept = parameters_[i].detach().clone();
    parameters_[i].copy_(averages_[i]);
    averages_[i].copy_(kept);
  }
}

void MovingAverage::visit(StateVisitor& visitor) {
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    visitor("average." + names_[i], averages_[i]);
    averages_[i] = averages_[i].to(parameters_[i].options());  // of another precision before
  }
}

namespace {

/// Puts it back.
class StateReader final : public StateVisitor {
 public:
  StateReader(const TensorFile& content, const fs::path& file) : content_(content), file_(file) {}
  void operator()(const std::string& name, Tensor& tensor) override {
    const auto it = content_.tensors.find(name);
    const auto device = tensor.defined() ? tensor.device() : at::Device(at::kCPU);
    tensor = it == content_.tensors.end() ? Tensor() : it->second.clone().to(device);
  }

 private:
  void parameter(const std::string& name, Tensor& tensor) override {
    torch::NoGradGuard no_grad;
    const auto it = content_.tensors.find(name);
    if (it == content_.tensors.end() || it->second.sizes() != tensor.sizes())
      throw Error(fmt::format("{}: does not fit this spec: tensor \"{}\" is {}; it was written by "
                              "another model",
                              file_.string(), name,
                              it == content_.tensors.end() ? "missing" : "of another shape"));
    tensor.copy_(it->second);
  }
  const TensorFile& content_;
  const fs::path& file_;
};

TensorFile read_checkpoint(const fs::path& file) {
  auto content = read_safetensors(file);
  const auto format = content.metadata.find("marginalia_checkpoint");
  if (format == content.metadata.end())
    throw Error(fmt::format("{}: no checkpoint of Marginalia", file.string()));
  if (format->second != kCheckpointFormat)
    throw Error(fmt::format("{}: checkpoint format {}, this program reads {}", file.string(),
                            format->second, kCheckpointFormat));
  return content;
}

/// Under which name a checkpoint has the training state of a rank.
std::string key_of_rank(std::size_t rank) {
  return rank == 0 ? "training" : fmt::format("training.{}", rank);
}

TrainingState training_state(const TensorFile& content, const fs::path& file, int rank = 0) {
  const auto text = content.metadata.find(key_of_rank(std::size_t(rank)));
  if (text == content.metadata.end())
    throw Error(fmt::format("{}: says nothing of its training{}", file.string(),
                            rank == 0 ? "" : fmt::format(" by rank {}", rank)));
  try {
    return TrainingState::from_text(text->second);
  } catch (const Error& e) {
    throw Error(fmt::format("{}: {}", file.string(), e.what()));
  }
}

void visit_prior(Family* prior, StateVisitor& visitor) {
  if (!prior) return;
  PrefixedVisitor prefixed(visitor, "prior.");
  prior->visit(prefixed);
}

void visit_all(const Trained& trained, StateVisitor& visitor) {
  trained.family.visit(visitor);
  visit_prior(trained.prior, visitor);
  trained.optimizer.visit(visitor);
  trained.average.visit(visitor);
}

/// The step in "step_000500.safetensors", or -1.
std::int64_t parse_step(const fs::path& file) {
  const auto name = file.filename().string();
  std::int64_t step = -1;
  if (name.starts_with("step_") && name.ends_with(".safetensors"))
    std::from_chars(name.data() + 5, name.data() + name.size(), step);
  return step;
}

/// Whole checkpoints of a folder, newest first.
std::vector<fs::path> list_checkpoints(const fs::path& folder) {
  std::vector<fs::path> files;
  if (fs::is_directory(folder))
    for (const auto& entry : fs::directory_iterator(folder))
      if (parse_step(entry.path()) >= 0 && !entry.is_symlink()) files.push_back(entry.path());
  std::ranges::sort(files, std::ranges::greater(), parse_step);
  return files;
}

void remove_old(const fs::path& folder, std::int64_t keep) {
  std::error_code none;
  const auto best = fs::read_symlink(folder / "best.safetensors", none);
  auto files = list_checkpoints(folder);
  for (std::size_t i = std::size_t(keep); i < files.size(); ++i)
    if (files[i].filename() != best) fs::remove(files[i], none);
}

}  // namespace

void save_checkpoint(const fs::path& folder, const Trained& trained, const Progressed& at,
                     const Json& spec, std::int64_t keep) {
  TensorCollector writer;
  visit_all(trained, writer);
  for (auto& [name, tensor] : trained.streams.state())
    writer.tensors.emplace("stream." + name, tensor);
  const auto name = fmt::format("step_{:06}.safetensors", at.step);
  std::map<std::string, std::string> metadata{{"marginalia_checkpoint", kCheckpointFormat},
                                              {"spec", spec.dump()}};
  for (std::size_t rank = 0; rank < at.states.size(); ++rank)
    metadata[key_of_rank(rank)] = at.states[rank];
  write_safetensors(folder / name, {writer.tensors, metadata});
  link_atomically(name, folder / "last.safetensors");
  if (at.best) link_atomically(name, folder / "best.safetensors");
  remove_old(folder, keep);
}

TrainingState load_checkpoint(const fs::path& file, const Trained& trained, int rank) {
  const auto content = read_checkpoint(file);
  StateReader reader(content, file);
  visit_all(trained, reader);
  std::map<std::string, Tensor> streams;
  for (const auto& [name, tensor] : content.tensors)
    if (name.starts_with("stream.")) streams.emplace(name.substr(7), tensor);
  trained.streams.set_state(streams);
  return training_state(content, file, rank);
}

void put_averages(TensorFile& content) {
  constexpr std::string_view kPrefix = "average.";
  for (const auto& [name, tensor] : TensorFile(content).tensors)
    if (name.starts_with(kPrefix)) content.tensors[name.substr(kPrefix.size())] = tensor;
}

std::int64_t load_model(const fs::path& file, Family& family, Family* prior) {
  auto content = read_checkpoint(file);
  put_averages(content);
  StateReader reader(content, file);
  family.visit(reader);
  visit_prior(prior, reader);
  return training_state(content, file).step;
}

fs::path find_checkpoint(const fs::path& from) {
  if (!fs::is_directory(from)) return from;
  const auto best = from / "checkpoints" / "best.safetensors";
  return fs::exists(best) ? best : from / "checkpoints" / "last.safetensors";
}

fs::path newest_checkpoint(const fs::path& folder, std::vector<std::string>& refused) {
  for (const auto& file : list_checkpoints(folder)) {
    try {
      read_checkpoint(file);
      return file;
    } catch (const Error& e) {
      refused.emplace_back(e.what());
    }
  }
  return {};
}

}  // namespace marginalia
