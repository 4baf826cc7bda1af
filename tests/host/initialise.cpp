#include <cmath>
#include <cstring>
#include <fstream>
#include <map>

#include <fmt/format.h>

#include "built.h"
#include "host/formats/safetensors.h"
#include "host/training/initialise.h"
#include "host/training/trainer.h"
#include "records/runs/run_directory.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

using Tensors = std::map<std::string, Tensor>;

Experiment small_model(const std::string& more = "") {
  return test::built(R"({"marginalia": 2, "seed": 5, "energy": {"type": "ising", "side": 3},
      "network": {"type": "mlp", "hidden": 4, "layers": 1}, "family": {"type": "gflownet"},
      "training": {"steps": 3, "batch_size": 4)" +
                     more + "}}");
}

/// The parameters of a family as they are.
Tensors copy_parameters(Family& family) {
  Tensors all;
  for (const auto& group : family.parameters())
    for (const auto& [name, parameter] : group.parameters)
      all[name] = parameter.detach().clone();
  return all;
}

/// Numbers for them that every type of floating point holds exactly.
Tensors numbers_for(const Tensors& parameters) {
  Tensors all;
  for (const auto& [name, parameter] : parameters)
    all[name] = (torch::arange(parameter.numel()).remainder(64).to(torch::kDouble) / 8)
                    .view(parameter.sizes());
  return all;
}

/// A safetensors file as another program writes it, of float32 and, beside it, other types.
void write_foreign(const fs::path& file, const Tensors& tensors,
                   const std::map<std::string, std::pair<std::string, std::int64_t>>& others = {}) {
  Json header = Json::object();
  std::string data;
  const auto add = [&](const std::string& name, const std::string& dtype, const Json& shape,
                       const std::string& bytes) {
    header[name] = {{"dtype", dtype},
                    {"shape", shape},
                    {"data_offsets", {data.size(), data.size() + bytes.size()}}};
    data += bytes;
  };
  for (const auto& [name, of] : others)
    add(name, of.first, {of.second}, std::string(std::size_t(of.second), '\x7f'));
  for (const auto& [name, tensor] : tensors) {
    const auto packed = tensor.to(torch::kFloat).contiguous();
    add(name, "F32", packed.sizes().vec(),
        std::string(static_cast<const char*>(packed.data_ptr()), packed.nbytes()));
  }
  const auto text = header.dump();
  const std::uint64_t size = text.size();
  std::string prefix(8, '\0');
  std::memcpy(prefix.data(), &size, 8);
  std::ofstream(file, std::ios::binary) << prefix << text << data;
}

std::string init_refusal(const fs::path& file) {
  auto experiment = small_model();
  try {
    initialise(file, *experiment.family);
  } catch (const SpecError& e) {
    return e.what();
  }
  return "accepted";
}

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("a model starts from the averages of a run, by name") {
  const test::TempDir folder;
  auto source = small_model(R"(, "moving_average": 0.9)");
  const auto run = RunDirectory::create(folder / "run", false);
  train(source, run, {}, {});
  auto target = small_model();
  const auto all = initialise(folder / "run", *target.family);
  for (const auto& tensor : all.left)  // optimiser, streams and averages are no tensors of a model
    CHECK_MESSAGE(tensor.starts_with("model."), tensor);
  CHECK(all.untouched.empty());
  const auto kept = read_safetensors(run.checkpoints() / "last.safetensors").tensors;
  const auto parameters = copy_parameters(*target.family);
  CHECK(all.taken.size() == parameters.size());
  for (const auto& [name, parameter] : parameters) {
    CAPTURE(name);
    CHECK(parameter.equal(kept.at("average." + name)));
  }
}

TEST_CASE("tensors of every type of floating point are taken, in the parameter's precision") {
  const test::TempDir folder;
  for (const auto type : {torch::kDouble, torch::kFloat, torch::kHalf, torch::kBFloat16})
    for (const auto* precision : {"float32", "float64"}) {
      auto experiment = small_model(fmt::format(R"(, "precision": "{}")", precision));
      const auto wanted = numbers_for(copy_parameters(*experiment.family));
      TensorFile content;
      for (const auto& [name, tensor] : wanted)
        content.tensors[name] = tensor.to(type);
      write_safetensors(folder / "w.safetensors", content);  // with a digest, and no checkpoint
      const auto all = initialise(folder / "w.safetensors", *experiment.family);
      CHECK(all.taken.size() == wanted.size());
      for (const auto& [name, parameter] : copy_parameters(*experiment.family)) {
        CAPTURE(name);
        CHECK(parameter.equal(wanted.at(name).to(parameter.scalar_type())));
      }
    }
}

TEST_CASE("what fits is taken from another program's file, and what does not is named") {
  const test::TempDir folder;
  auto experiment = small_model();
  const auto before = copy_parameters(*experiment.family);
  REQUIRE(before.size() >= 3);
  auto tensors = numbers_for(before);
  const auto wanted = tensors;
  const auto missing = before.begin()->first, reshaped = std::next(before.begin())->first,
             typed = std::next(before.begin(), 2)->first;
  tensors.erase(missing);
  tensors.erase(typed);
  tensors[reshaped] = torch::zeros({2, 7, 1});
  tensors["decoder.weight"] = torch::zeros({2});
  write_foreign(folder / "w.safetensors", tensors,
                {{"scale", {"F8_E4M3", 5}},
                 {"counts", {"U32", 4}},
                 {typed, {"I8", before.at(typed).numel()}}});
  const auto all = initialise(folder / "w.safetensors", *experiment.family);
  const auto text = all.text();
  CAPTURE(text);
  CHECK(mentions(text, fmt::format("w.safetensors: {} tensors taken", before.size() - 3)));
  CHECK(mentions(text, reshaped + " ([2, 7, 1], here ["));
  CHECK(mentions(text, "decoder.weight (no parameter of this name)"));
  CHECK(mentions(text, "scale (F8_E4M3, not known here)"));
  CHECK(mentions(text, "counts (U32, not known here)"));
  CHECK(mentions(text, typed + " (Char, no floating point)"));
  CHECK(all.untouched.size() == 3);
  for (const auto& [name, parameter] : copy_parameters(*experiment.family)) {
    CAPTURE(name);
    const bool kept = name == missing || name == reshaped || name == typed;
    CHECK(parameter.equal(kept ? before.at(name) : wanted.at(name).to(torch::kFloat)));
  }
}

TEST_CASE("what cannot be read, or has nothing that fits, is refused as a wrong request") {
  const test::TempDir folder;
  auto experiment = small_model();
  const auto wanted = numbers_for(copy_parameters(*experiment.family));
  const auto file = folder / "w.safetensors";
  CHECK(mentions(init_refusal(file),
                 "\"init\": " + file.string() + " is neither a run nor a checkpoint"));
  CHECK(mentions(init_refusal(folder.path()),
                 "is neither a run nor a checkpoint"));  // a folder of no run
  std::ofstream(file) << "no tensors here";
  CHECK(mentions(init_refusal(file), "not a safetensors file"));
  write_foreign(file, wanted);
  CHECK(init_refusal(file) == "accepted");
  fs::resize_file(file, fs::file_size(file) - 1);
  CHECK(mentions(init_refusal(file), "torn"));
  write_foreign(file, {{"decoder.weight", torch::zeros({2})}});
  CHECK(mentions(init_refusal(file),
                 "none of its tensors fits this family's by name and shape; it has "
                 "decoder.weight (no parameter of this name)"));
  auto large = wanted;
  large.begin()->second = torch::full_like(large.begin()->second, 1e300, torch::kDouble);
  write_safetensors(file, {large, {}});
  CHECK(mentions(init_refusal(file), "tensor \"" + large.begin()->first +
                                         "\" has numbers that are too large for Float"));
  write_safetensors(file, {wanted, {}});
  std::fstream(file, std::ios::in | std::ios::out | std::ios::ate).seekp(-1, std::ios::end) << 'x';
  CHECK(mentions(init_refusal(file), "altered: sha256 differs"));
}

}  // namespace
