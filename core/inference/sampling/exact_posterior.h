#pragma once

#include <memory>
#include <string>
#include <vector>

#include <marginalia/energy.h>
#include <marginalia/inference/enumeration.h>

#include "coupling.h"

namespace marginalia {

/// Exact posterior samples of an energy by whichever way there is: its own sampler, coupling from
/// the past where its factors are pairwise and attract, its oracle, in this order.
class MARGINALIA_API ExactPosterior {
 public:
  /// energy: outlives this.
  explicit ExactPosterior(const Energy& energy);

  /// The ways for one query, tried in turn: one that has failed is not tried again.
  class MARGINALIA_API Draws {
   public:
    /// `count` independent completions of the query's state: int64 [count, D]. Throws Error with
    /// the reasons of all ways where none is left, and where one that gave samples gives no more:
    /// those of another would not be independent of its failure.
    Tensor sample(std::int64_t count, Stream& stream);
    const std::string& method() const { return method_; }  ///< of the last samples

   private:
    friend class ExactPosterior;
    const ExactPosterior* source_ = nullptr;
    Tensor state_;
    std::size_t next_ = 0;
    bool yielded_ = false;
    std::string method_, reasons_;
  };
  Draws draws(const Tensor& state) const;  ///< state: int64 [D]
  /// Whether there is any way to try; if not, why.
  const std::string& reason() const { return reason_; }
  bool any() const { return !ways_.empty(); }

 private:
  struct Way {
    const PosteriorSampler* sampler;  // or
    const Oracle* oracle;
  };
  std::unique_ptr<MonotoneCoupling> coupling_;
  std::unique_ptr<ExactAnswers> exact_;
  std::vector<Way> ways_;
  std::string reason_;
};

}  // namespace marginalia
