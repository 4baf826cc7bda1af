#include <algorithm>
#include <charconv>
#include <cmath>

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

/// JSON has no NaN and no infinity: they are written as text.
static Json recorded_to_json(const std::map<std::string, RecordedValues>& recorded) {
  Json json = Json::object();
  for (const auto& [name, values] : recorded)
    json[name] = {
        std::isfinite(values.sum) ? Json(values.sum) : Json(fmt::format("{}", values.sum)),
        values.count};
  return json;
}

static std::map<std::string, RecordedValues> recorded_from_json(const Json& json) {
  std::map<std::string, RecordedValues> recorded;
  for (const auto& [name, values] : json.items())
    recorded[name] = {
        values[0].is_string() ? std::stod(values[0].get<std::string>()) : values[0].get<double>(),
        values[1]};
  return recorded;
}

Json TrainingState::to_json() const {
  return {{"step", step},
          {"seconds", seconds},
          {"energy_evaluations", energy_evaluations},
          {"passes", passes},
          {"rows_consumed", rows_consumed},
          {"best_step", best_step},
          {"best_value", best_value},
          {"evaluations_since_best", evaluations_since_best},
          {"recorded", recorded_to_json(recorded)}};
}

TrainingState TrainingState::from_json(const Json& json) {
  return {
      json.at("step"),
      json.at("seconds"),
      json.at("energy_evaluations"),
      json.at("passes"),
      json.at("rows_consumed"),
      json.at("best_step"),
      json.at("best_value"),
      json.at("evaluations_since_best"),
      recorded_from_json(json.value("recorded", Json::object()))};  // older checkpoints have none
}

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

void visit_all(const Trained& trained, StateVisitor& visitor) {
  trained.family.visit(visitor);
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

void save_checkpoint(const fs::path& folder, const Trained& trained, const TrainingState& state,
                     const Json& spec, bool best, std::int64_t keep) {
  TensorCollector writer;
  visit_all(trained, writer);
  for (auto& [name, tensor] : trained.streams.state())
    writer.tensors.emplace("stream." + name, tensor);
  const auto name = fmt::format("step_{:06}.safetensors", state.step);
  write_safetensors(folder / name, {writer.tensors,
                                    {{"marginalia_checkpoint", kCheckpointFormat},
                                     {"training", state.to_json().dump()},
                                     {"spec", spec.dump()}}});
  link_atomically(name, folder / "last.safetensors");
  if (best) link_atomically(name, folder / "best.safetensors");
  remove_old(folder, keep);
}

TrainingState load_checkpoint(const fs::path& file, const Trained& trained) {
  const auto content = read_checkpoint(file);
  StateReader reader(content, file);
  visit_all(trained, reader);
  std::map<std::string, Tensor> streams;
  for (const auto& [name, tensor] : content.tensors)
    if (name.starts_with("stream.")) streams.emplace(name.substr(7), tensor);
  trained.streams.set_state(streams);
  return TrainingState::from_json(Json::parse(content.metadata.at("training")));
}

/// Names of parameters follow the module's; averages stand in for them where there are any.
static TensorFile with_averages(TensorFile content) {
  for (const auto& [name, tensor] : TensorFile(content).tensors)
    if (name.starts_with("average.")) content.tensors[name.substr(8)] = tensor;
  return content;
}

std::int64_t load_model(const fs::path& file, Family& family) {
  const auto content = with_averages(read_checkpoint(file));
  StateReader reader(content, file);
  family.visit(reader);
  return TrainingState::from_json(Json::parse(content.metadata.at("training"))).step;
}

fs::path find_checkpoint(const fs::path& from) {
  if (!fs::is_directory(from)) return from;
  const auto best = from / "checkpoints" / "best.safetensors";
  return fs::exists(best) ? best : from / "checkpoints" / "last.safetensors";
}

std::int64_t initialise(const fs::path& from, Family& family) {
  const auto file = find_checkpoint(from);
  const auto content = with_averages(read_checkpoint(file));
  torch::NoGradGuard no_grad;
  std::int64_t copied = 0;
  for (auto& group : family.parameters())
    for (auto& [name, parameter] : group.parameters)
      if (const auto it = content.tensors.find(name);
          it != content.tensors.end() && it->second.sizes() == parameter.sizes()) {
        parameter.copy_(it->second);
        ++copied;
      }
  if (copied == 0)
    throw Error(
        fmt::format("{}: none of its tensors fits this family's by name and shape", file.string()));
  return copied;
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
