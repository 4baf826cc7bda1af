#include <ATen/CPUGeneratorImpl.h>
#include <torch/types.h>

#include <marginalia/random.h>
#include <marginalia/stream.h>

namespace marginalia {

/// FNV-1a over the name, then splitmix64 over what the stream stands for: equal inputs give equal
/// streams on every machine.
static std::uint64_t derive(std::uint64_t seed, std::string_view name, std::uint64_t index) {
  std::uint64_t h = 14695981039346656037ULL;
  for (const unsigned char c : name)
    h = (h ^ c) * 1099511628211ULL;
  for (const auto part : {seed, index})
    h = mixed_bits(h + part + SplitMix64::kStep);
  return h;
}

Stream::Stream(std::uint64_t seed, std::string_view name, std::uint64_t index)
    : generator_(at::detail::createCPUGenerator(derive(seed, name, index))) {}

Tensor Stream::uniform(at::IntArrayRef sizes) {
  return torch::rand(sizes, generator_, torch::TensorOptions().dtype(torch::kFloat));
}

Tensor Stream::integers(std::int64_t high, at::IntArrayRef sizes) {
  return torch::randint(high, sizes, generator_, torch::TensorOptions().dtype(torch::kLong));
}

Tensor Stream::permutations(std::int64_t rows, std::int64_t length) {
  const auto keys =
      torch::rand({rows, length}, generator_, torch::TensorOptions().dtype(torch::kDouble));
  return keys.argsort(std::int64_t{1});
}

std::uint64_t Stream::seed() {
  return static_cast<std::uint64_t>(integers(std::int64_t{1} << 62, {1}).item<std::int64_t>());
}

Tensor Stream::state() const {
  return generator_.get_state();
}
void Stream::set_state(const Tensor& state) {
  generator_.set_state(state);
}

Stream& Streams::at(const std::string& name) {
  return streams_.try_emplace(name, seed_, name).first->second;
}

std::map<std::string, Tensor> Streams::state() const {
  std::map<std::string, Tensor> states;
  for (const auto& [name, stream] : streams_)
    states.emplace(name, stream.state());
  return states;
}

void Streams::set_state(const std::map<std::string, Tensor>& states) {
  streams_.clear();
  for (const auto& [name, state] : states)
    at(name).set_state(state);
}

}  // namespace marginalia
