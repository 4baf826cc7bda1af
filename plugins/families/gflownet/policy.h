#pragma once

#include <optional>
#include <string>

#include <marginalia/family.h>
#include <marginalia/inference/any_order.h>

#include "shared/families/role_network.h"

namespace marginalia::gflownet {

using marginalia::RoleNetwork;
using marginalia::Stream;
using marginalia::Tensor;

/// How training strays from the policy that it trains: each choice is drawn from
///   (1 - uniform) softmax(log p / temperature) + uniform / number of possible choices.
struct Exploration {
  double uniform = 0, temperature = 1;
};
/// log_p: [..., N], -inf where impossible  ->  the log of that law.
Tensor explored(const Tensor& log_p, const Exploration& exploration);

/// Full states and the orders in which they were, or might have been, revealed.
struct Paths {
  Tensor states;  ///< int64 [B, D]
  Tensor orders;  ///< int64 [B, D], the variable revealed t-th; what was given comes first
};

/// s_t of every path for t = first..last: int64 [B (last - first + 1), D], those of a row together.
Tensor states_along(const Paths& paths, std::int64_t first, std::int64_t last);

/// The order in which a policy reveals variables: o and b of balance.h.
enum class Ordering { kRandom, kForward, kBackward, kLearned };
Ordering ordering_named(const std::string& name);
std::string to_string(Ordering ordering);

/// P_F and P_B: which variable is next, and its value.
class Policy {
 public:
  /// conditional: has kLogits; position: has kPositionLogits, none unless the order is learned.
  Policy(Ordering ordering, bool learned_backward, RoleNetwork conditional,
         std::optional<RoleNetwork> position);

  Ordering ordering() const { return ordering_; }
  /// log p(x_i = k | x_S): float32 [B, D, K], on the device.
  Tensor log_conditionals(const Tensor& partial) const {
    return conditional_.log_conditionals(partial);
  }
  /// The same plus log((D - t) o(i | x_S)), of a learned order.
  Tensor weighted_conditionals(const Tensor& partial) const;

  /// Each row completed, and the passes a row.  partial: int64 [B, D], all with as many unknown.
  struct Walk {
    Paths paths;
    std::int64_t passes;
  };
  Walk complete(const Tensor& partial, const Exploration& exploration, Stream& stream) const;
  /// Paths that end in `states`: orders drawn backwards, uniformly or as fixed.
  Paths back_from(const Tensor& states, Stream& stream) const;

  /// l_t of balance.h for t = first..D - 1: [B, D - first].  logits: [B (D - first), D, K], at
  /// states_along(paths, first, D - 1).
  Tensor links(const Paths& paths, std::int64_t first, const Tensor& logits) const;
  /// The same from passes of its own: B (D - first) of them, and as many of `position`.
  Tensor links(const Paths& paths, std::int64_t first) const;
  /// The same with a uniform b, whatever b was learned: what paths of back_from() are drawn by.
  Tensor links_of_uniform(const Paths& paths, std::int64_t first) const;
  std::int64_t networks() const { return position_ ? 2 : 1; }

 private:
  Walk by_learned_order(Tensor x, const Exploration& exploration, Stream& stream) const;
  /// log p(x_i | s_t) of every link: [B, D - first].
  Tensor value_links(const Paths& paths, std::int64_t first, const Tensor& logits) const;
  Tensor order_links(const Paths& paths, std::int64_t first, bool learned_backward) const;
  /// log o(i | x_S) of unknown variables, or log b(i | x_S) of known ones; -inf for others. [B, D]
  Tensor log_positions(const Tensor& logits, const Tensor& partial, bool forward) const;

  Ordering ordering_;
  bool learned_backward_;
  RoleNetwork conditional_;
  std::optional<RoleNetwork> position_;
};

}  // namespace marginalia::gflownet
