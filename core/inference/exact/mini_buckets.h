#pragma once

#include <cstdint>
#include <vector>

#include <marginalia/api.h>

#include "elimination_plan.h"
#include "pseudo_tree.h"

namespace marginalia::elimination {

/// Max-sum elimination in which a bucket whose message would be too large is parted into
/// mini-buckets, each maximised by itself: an upper bound on log f, and what bounds every part of
/// the pseudo tree once what stands above it is known. The mini-buckets of a bucket are first made
/// to agree on its variable: the mean of their max-marginals replaces each (moment matching).
/// Dechter and Rish (2003), doi:10.1145/636865.636866; Ihler, Flerova, Dechter and Otten (2012),
/// arXiv:1210.4878.
class MARGINALIA_API MiniBuckets {
 public:
  struct Message {
    std::int64_t from;                ///< the variable it maximised
    std::vector<std::int64_t> scope;  ///< what it is over, first eliminated first
    std::vector<double> values;       ///< nats, the last variable fastest
  };

  /// All variables of `model` are unknown, of two values or more. most: entries of a message, but
  /// that no bucket is smaller than one table.
  MiniBuckets(const FactorModel& model, const PseudoTree& tree, double most);

  double upper() const { return upper_; }      ///< on log f, nats
  bool is_exact() const { return is_exact_; }  ///< whether no bucket was parted
  const std::vector<Message>& messages() const { return messages_; }

 private:
  struct Source {
    bool is_factor;
    std::size_t index;
  };
  using Part = std::vector<Source>;
  const std::vector<std::int64_t>& scope(const Source& source) const;
  const double* table(const Source& source) const;
  std::vector<Part> parts(std::int64_t variable, double most) const;
  PlanStep step(std::int64_t variable, const Part& part) const;
  std::vector<double> maxima(const PlanStep& step, const std::vector<const double*>& tables) const;
  void send(std::int64_t variable, double most);
  void keep(std::int64_t variable, const PlanStep& step, std::vector<double> values);

  const FactorModel& model_;
  const PseudoTree& tree_;
  std::vector<std::vector<Source>> buckets_;  // [D], by variable
  std::vector<Message> messages_;
  double upper_ = 0;
  bool is_exact_ = true;
};

}  // namespace marginalia::elimination
