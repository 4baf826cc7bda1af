// unet and transformer against a re-statement in PyTorch (restate.py), on the same weights.
#include <cstdlib>

#include <marginalia/network.h>

#include "host/formats/safetensors.h"
#include "marginalia_test.h"

using namespace marginalia;

namespace {

/// Whether Debian's python3-torch is installed; says so when not.
bool has_pytorch() {
  static const bool found = std::system("/usr/bin/python3 -c 'import torch' 2>/dev/null") == 0;
  if (!found) test::skip("/usr/bin/python3 has no torch; apt install python3-torch");
  return found;
}

int restate(const std::string& spec_text, const StateSpace& space) {
  torch::manual_seed(1);
  auto spec = Spec::from_text(spec_text, "spec.json");
  const NetworkContext context{space, kLogits | kLogMarginal | kCausalLogits};
  const auto network = test::loaded_registry().make<Network>(spec, context);
  network->eval();
  torch::NoGradGuard no_grad;
  TensorFile file;
  for (auto& entry : network->named_parameters()) {
    entry.value().add_(0.05 * torch::randn_like(entry.value()));  // none at its initial zero
    file.tensors[entry.key()] = entry.value().detach();
  }
  const auto full = torch::randint(space.levels(), {5, space.dimension()}, torch::kLong);
  auto partial = full.masked_fill(torch::rand(full.sizes()) < 0.5, kUnknown);
  partial[0].fill_(kUnknown);
  partial[1].copy_(full[1]);
  Stream stream(3, "test");
  const auto order = stream.permutations(5, space.dimension());
  const auto heads = network->evaluate({partial}, network->heads() & (kLogits | kLogMarginal));
  file.tensors["input"] = partial;
  file.tensors["full"] = full;
  file.tensors["order"] = order;
  file.tensors["answer.logits"] = heads.logits;
  file.tensors["answer.log_marginal"] = heads.log_marginal;
  if (network->heads() & kCausalLogits)
    file.tensors["answer.causal_logits"] =
        network->evaluate({full, order}, kCausalLogits).causal_logits;
  auto json = spec.json();
  json["levels"] = space.levels();
  file.metadata["spec"] = json.dump();
  file.metadata["shape"] = Json(space.shape).dump();
  const test::TempDir folder;
  write_safetensors(folder / "network.safetensors", file);
  const auto command =
      "/usr/bin/python3 " MARGINALIA_RESTATE " " + (folder / "network.safetensors").string();
  return std::system(command.c_str());
}

}  // namespace

TEST_CASE("unet agrees with its re-statement in PyTorch to 1e-4") {
  if (!has_pytorch()) return;
  CHECK(
      restate(R"({"type": "unet", "channels": 8, "multipliers": [1, 2, 2], "depth": 2, "groups": 4,
                    "dense": 32, "activation": "relu", "attention": "none"})",
              StateSpace::uniform(11 * 9, 2, {11, 9})) == 0);
  CHECK(restate(R"({"type": "unet", "channels": 8, "multipliers": [1], "depth": 2, "groups": 2,
                    "dense": 16, "activation": "silu", "attention": "weave"})",
                StateSpace::uniform(36, 5, {6, 6})) == 0);
}

TEST_CASE("transformer agrees with its re-statement in PyTorch to 1e-4") {
  if (!has_pytorch()) return;
  CHECK(restate(R"({"type": "transformer", "channels": 16, "depth": 3, "heads": 2, "widening": 4,
                    "marginal_depth": 0, "positions": "sinusoidal", "pooling": "mean"})",
                StateSpace::uniform(23, 7)) == 0);
  CHECK(restate(R"({"type": "transformer", "channels": 16, "depth": 2, "heads": 4, "widening": 2,
                    "marginal_depth": 2, "positions": "rotary", "pooling": "class"})",
                StateSpace::uniform(17, 3)) == 0);
}
