#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <torch/nn/module.h>

#include <marginalia/component.h>
#include <marginalia/state_space.h>

namespace marginalia {

class Dataset;
class Energy;
class Family;

/// What a network can compute; a set of them is their sum by `|`.
enum Head : unsigned {
  kLogMarginal = 1u << 0,     ///< log p(x_S) up to one constant: [B]
  kLogits = 1u << 1,          ///< of p(x_i | x_S), every i: [B, D, K]
  kExtensions = 1u << 2,      ///< log p(x_S, x_i = k): [B, D, K]
  kPositionLogits = 1u << 3,  ///< which variable comes next: [B, D]
  kCausalLogits = 1u << 4,    ///< of p(x_{order t} | x_{order <t}), one pass: [B, D, K]
  kEmbedding = 1u << 5,       ///< features of the state: [B, C]
  /// Logits of NetworkInput::variable alone: [B, K]. Who has kLogits answers by them; to be offered
  /// where it costs less.
  kLogitsOfOne = 1u << 6,
};
using HeadSet = unsigned;
MARGINALIA_API std::string list_heads(HeadSet heads);  ///< "log_marginal, logits"

/// What a network sees.
struct NetworkInput {
  Tensor partial;        ///< int64 [B, D], kUnknown where summed out
  Tensor order = {};     ///< int64 [B, D], the variable revealed t-th; for causal heads
  Tensor time = {};      ///< float32 [B]; for diffusion families
  Tensor variable = {};  ///< int64 [B], one of each row; for kLogitsOfOne
};

/// What it computed: the heads asked for, the others undefined. Of its type(): float32, or float64.
struct Heads {
  Tensor log_marginal, logits, extensions, position_logits, causal_logits, embedding, logits_of_one;
};

/// The type of what is no product - parameters, sums, outputs - where products are of another.
constexpr at::ScalarType type_beside(at::ScalarType products) {
  return products == at::kBFloat16 ? at::kFloat : products;
}

/// In which type hidden products are done: float32, bfloat16 or float64.
struct Precision {
  at::ScalarType training = at::kFloat, answers = at::kFloat;
  at::ScalarType products(bool is_training) const { return is_training ? training : answers; }
};

/// What a network is built for.
struct NetworkContext {
  StateSpace space;
  HeadSet heads = kLogMarginal | kLogits;  ///< what the family will ask for
  const Energy* energy = nullptr;          ///< for a prior (prior.h); null: none
  const Dataset* dataset = nullptr;        ///< for a prior; null: none
  const Family* prior = nullptr;           ///< for the prior "family"; null: none. Frozen
};

/// An architecture: partial states in, heads out. Parameters that the marginal head alone uses
/// have names that begin with "marginal", so that a family can train them on a frozen trunk.
class MARGINALIA_API Network : public Component, public torch::nn::Module {
 public:
  using Interface = Network;
  using Context = NetworkContext;
  static constexpr const char* kKind = "network";

  explicit Network(const NetworkContext& context);
  ~Network() override;
  virtual HeadSet heads() const = 0;  ///< what it can compute
  /// A colour for each variable, int64 [D] from 0, such that the logits of one never depend on the
  /// value of another of its colour, whatever else is known: they can be revealed in one pass.
  /// Undefined where every variable may see every other.
  virtual Tensor colours() const { return {}; }
  /// The one order, int64 [D], along which it has causal logits. Undefined: any.
  virtual Tensor causal_order() const { return {}; }

  /// The heads in `wanted` and no others. Logits of impossible values are -inf.
  Heads evaluate(const NetworkInput& input, HeadSet wanted);

  /// Training or answering: parameters take the type that is theirs there. From float32 to float64
  /// and back nothing is lost.
  void train(bool on = true) override;

 protected:
  /// The type in which hidden products are computed now, in training or in answers.
  at::ScalarType product_type() const { return precision_.products(is_training()); }
  /// The type of parameters, sums and outputs.
  at::ScalarType type() const { return type_beside(product_type()); }

 private:
  virtual Heads compute(const NetworkInput& input, HeadSet wanted) = 0;
  Tensor impossible_;  // bool [1, D, K] where cardinalities differ, else undefined
  Precision precision_;
  friend MARGINALIA_API void set_precision(Network& network, const Precision& precision);
};

/// Tells a network in which types to multiply, once it is built.
MARGINALIA_API void set_precision(Network& network, const Precision& precision);

/// Turns parameters and buffers of floating point into `type`; each stays the tensor that it is.
MARGINALIA_API void set_type(torch::nn::Module& module, at::ScalarType type);

}  // namespace marginalia
