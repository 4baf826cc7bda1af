#pragma once

#include <cstdint>
#include <vector>

#include <marginalia/family.h>
#include <marginalia/inference/tree.h>
#include <marginalia/stream.h>

namespace marginalia::circuit {

/// A tree of hidden variables, each with one visible variable below it:
///   p(x) = sum_z prod_i p(z_i | z_parent(i)) p(x_i | z_i),   z_i in {0, ..., H-1}
/// which is a smooth, decomposable circuit: a sum over z_i above a product of x_i and the subtrees.
/// B rows, D variables, H hidden values, K levels.
class HiddenTree {
 public:
  struct Shape {
    std::int64_t latents;
    double smoothing;  ///< rows added to the data, spread evenly over the tables
    bool resampled;    ///< the tree is of rows drawn with replacement
  };
  HiddenTree(const marginalia::StateSpace& space, const Shape& shape);

  bool started() const { return pairs_.defined(); }
  /// Along the Chow-Liu tree of the data. Hidden value h begins as a blend of a training row and
  /// of the single marginals, and mostly as its neighbours do.
  void start(const marginalia::Dataset& dataset, marginalia::Stream& stream);

  /// The E step: adds the expected counts of full rows, int64 [B, D].  -> the sum of their log p.
  double expect(const Tensor& x);
  /// Puts the sums over all ranks in the place of what was expected here.
  void reduce(marginalia::Step& step);
  /// The M step from what was expected since the last one: statistics, which are means a row, move
  /// the share `rate` of the way to those of the rows seen (Cappe and Moulines 2009, eq. 6);
  /// 1 is EM.
  void maximise(double rate);

  // In float64; or with products in float32, which take half the time.
  Tensor log_marginal(const Evidence& known, bool in_float32) const;      ///< float64 [B]
  Tensor log_conditionals(const Evidence& known, bool in_float32) const;  ///< float64 [B, D, K]
  Tensor sample(const Evidence& known, marginalia::Stream& stream) const;
  /// x of the most probable z and x_U: int64 [B, D].
  Tensor most_probable(const Tensor& partial) const;
  /// log sum_z max_{x_U} of the product: float64 [B].
  Tensor max_bound(const Tensor& partial) const;
  void visit(marginalia::StateVisitor& v);

 private:
  /// The two tables in the type of the products.
  struct Tables {
    Tensor transition;  // [D, H, H]: p(z_i = h | z_parent = g) at [i, g, h]; roots: any g
    Tensor emission;    // [D, K + 1, H]: p(x_i = k | z_i = h) at [i, k, h]; 1 at K, for unknown
  };
  /// What a row's upward pass leaves behind, up to factors a row that are in log_p.
  struct Beliefs {
    std::vector<Tensor> leaf;      // of x_i alone, by z_i: [B, H]; undefined: 1, or x_i is known
    std::vector<Tensor> evidence;  // of all known at and below i, by z_i: [B, H]
    std::vector<Tensor> message;   // the same by z_parent(i): [B, H]
    Tensor log_p;                  // float64 [B]
  };

  void derive();
  /// Where variable i is restricted, p(x_i is allowed | z_i): [B, H]; undefined: in no row.
  Tensor leaf(const Tables& tables, const Evidence& known, std::int64_t i) const;
  Beliefs up(const Tables& tables, const Evidence& known) const;
  /// Calls at(i, p(z_i | x) [B, H], p(z_parent | x) / message_i [B, H]), parents first.
  template <class Function>
  void down(const Tables& tables, const Beliefs& beliefs, const Function& at) const;
  std::int64_t rows_at_once(std::int64_t cells) const;

  marginalia::StateSpace space_;
  std::int64_t D_, H_, K_;
  double smoothing_;
  bool resampled_;
  Tensor parent_, order_;             // int64 [D]
  Tensor pairs_, emissions_;          // float32 [D, H, H], [D, H, K]: means of joint probabilities
  Tensor data_rows_;                  // float64 [1]: N, which smoothing is set against
  Tensor new_pairs_, new_emissions_;  // sums since the last M step, over seen_ rows
  double seen_ = 0;
  Tables exact_, fast_;  // float64, float32
  Tables greatest_;      // float64, max_k p(x_i = k | z_i) at K
  std::vector<std::int64_t> along_, above_;
  std::vector<std::vector<std::int64_t>> children_;
};

}  // namespace marginalia::circuit
