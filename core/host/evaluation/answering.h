#pragma once

#include <ATen/core/grad_mode.h>

#include <marginalia/family.h>

namespace marginalia {

/// While it stands, a family answers and is not trained; then it is trained again.
class Answering {
 public:
  explicit Answering(Family& family) : family_(family) { family_.set_training(false); }
  ~Answering() { family_.set_training(true); }
  Answering(const Answering&) = delete;
  Answering& operator=(const Answering&) = delete;

  Answer operator()(const Query& query, Stream& stream) const {
    return family_.answer(query, stream);
  }

 private:
  at::NoGradGuard no_grad_;
  Family& family_;
};

}  // namespace marginalia
