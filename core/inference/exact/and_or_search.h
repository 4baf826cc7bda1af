#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <unordered_map>
#include <vector>

#include <marginalia/api.h>

#include "mini_buckets.h"
#include "pseudo_tree.h"

namespace marginalia::elimination {

/// Depth-first branch and bound over the AND/OR tree of a pseudo tree, under the bounds of
/// mini-buckets. What a subtree came to is kept by its context. Marinescu and Dechter (2009),
/// doi:10.1016/j.artint.2009.07.003.
class MARGINALIA_API AndOrSearch {
 public:
  /// stop(): asked now and then; true ends the search. kept: GiB for what subtrees came to.
  AndOrSearch(const FactorModel& model, const PseudoTree& tree, const MiniBuckets& bounds,
              std::function<bool()> stop, double kept);

  /// Whether there is a state with log f > above; `x` [D] is then the most probable one. Nothing is
  /// told where it was stopped.
  bool find(double above, std::int64_t* x);
  bool stopped() const { return stopped_; }

  /// One way down the tree, each variable by its bound plus noise of this scale (nats, Gumbel);
  /// false where it ends at a variable without a possible value. x: [D]
  bool dive(double noise, std::mt19937_64& random, std::int64_t* x);

 private:
  struct Slot {
    std::int64_t variable, stride;
  };
  struct Term {  // a table, read where its variables are
    const double* values;
    std::size_t first, end;  // of slots_
  };
  struct Kept {
    double value;                      // exact where there is a state, else what nothing exceeds
    std::vector<std::uint16_t> state;  // of the subtree
  };
  struct Frame {                       // of one variable on the path
    std::vector<double> upper, below;  // [K], [K, children]
    std::vector<std::int64_t> values;  // best first
    std::vector<std::uint16_t> state;
  };
  struct Found {
    double value;
    bool exact;
  };

  Term term(const std::vector<std::int64_t>& scope, const double* values);
  void number(std::int64_t variable);
  double at(const Term& term) const;
  double below(std::int64_t child) const;
  void look_ahead(std::int64_t variable, Frame& frame);
  std::uint64_t key(std::int64_t variable) const;
  Found solve(std::int64_t variable, double above);
  Found search(std::int64_t variable, double above);
  Found try_value(std::int64_t variable, std::int64_t k, double best);
  void keep(std::int64_t variable, const Found& found);

  const FactorModel& model_;
  const PseudoTree& tree_;
  std::function<bool()> stop_;
  std::vector<Slot> slots_;
  std::vector<std::vector<Term>> local_, crossing_;  // [D]: factors; what bounds the subtree
  std::vector<std::size_t> first_, end_;             // [D]: places of the subtree in states
  std::vector<char> keeps_;                          // [D]: whether its context comes again
  std::vector<std::unordered_map<std::uint64_t, Kept>> kept_;
  std::vector<Frame> frames_;
  std::vector<std::int64_t> x_;
  std::vector<std::uint16_t> state_;  // by place
  double bytes_left_;
  std::int64_t nodes_ = 0;
  bool stopped_ = false;
};

}  // namespace marginalia::elimination
