#pragma once

#include <unistd.h>

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "host/training/trainer.h"

namespace marginalia::app {

/// A bar on a terminal, a line now and then elsewhere. All on stderr.
class Progress {
 public:
  void show(const TrainingState& state, const TrainingParams& params, double progress,
            double loss) {
    const auto left = progress > 0 ? state.seconds * (1 - progress) / progress : 0;
    if (terminal_) {
      const auto filled = static_cast<std::size_t>(std::clamp(progress, 0.0, 1.0) * 30);
      fmt::print(stderr, "\r[{}{}] {}/{}  loss {:.4g}  {:.0f} s, {:.0f} s left \033[K",
                 std::string(filled, '#'), std::string(30 - filled, '.'), state.step, params.steps,
                 loss, state.seconds, left);
      if (progress >= 1) fmt::print(stderr, "\n");
    } else if (progress >= 1 || state.seconds >= next_) {
      fmt::print(stderr, "step {}/{}  loss {:.6g}  {:.1f} s\n", state.step, params.steps, loss,
                 state.seconds);
      next_ = state.seconds + 10;
    }
  }

 private:
  bool terminal_ = isatty(STDERR_FILENO);
  double next_ = 0;
};

}  // namespace marginalia::app
