#pragma once

#include <string>

#include <marginalia/api.h>
#include <marginalia/stream.h>
#include <marginalia/tensor.h>

namespace marginalia {

/// Exact samples of p(x_U | x_S) under any evidence: what the upper side of a certificate needs.
class MARGINALIA_API PosteriorSampler {
 public:
  virtual ~PosteriorSampler();
  virtual std::string method() const = 0;  ///< "coupling from the past"

  /// Each row completed, independently of the others.  partial: int64 [B, D]  ->  int64 [B, D].
  /// Throws Error, saying which limit was met, where exact samples could not be had within it.
  virtual Tensor sample(const Tensor& partial, Stream& stream) const = 0;
};

}  // namespace marginalia
