#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include <ATen/core/Generator.h>

#include <marginalia/api.h>
#include <marginalia/tensor.h>

namespace marginalia {

/// A stream of random numbers of its own, derived from a seed and a name (and an index, for
/// workers), so that what one component draws never depends on what another drew.
class MARGINALIA_API Stream {
 public:
  Stream(std::uint64_t seed, std::string_view name, std::uint64_t index = 0);
  /// Drawn from by `at::rand(sizes, stream.generator())` and the like, on the CPU.
  at::Generator& generator() { return generator_; }

  Tensor uniform(at::IntArrayRef sizes);                        ///< float32 in [0, 1)
  Tensor integers(std::int64_t high, at::IntArrayRef sizes);    ///< int64 in [0, high)
  Tensor permutations(std::int64_t rows, std::int64_t length);  ///< int64 [rows, length]
  std::uint64_t seed();                                         ///< for a generator of another kind
  Tensor state() const;                                         ///< uint8, for a checkpoint
  void set_state(const Tensor& state);

 private:
  at::Generator generator_;
};

/// The named streams of one run, made on first use from the run's root seed.
class MARGINALIA_API Streams {
 public:
  explicit Streams(std::uint64_t seed) : seed_(seed) {}
  Stream& at(const std::string& name);
  std::map<std::string, Tensor> state() const;
  void set_state(const std::map<std::string, Tensor>& states);
  std::uint64_t seed() const { return seed_; }

 private:
  std::uint64_t seed_;
  std::map<std::string, Stream> streams_;
};

}  // namespace marginalia
