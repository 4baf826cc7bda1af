#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <marginalia/family.h>
#include <marginalia/stream.h>

#include "host/experiment/experiment.h"
#include "host/formats/safetensors.h"
#include "optimizer.h"
#include "training_state.h"

namespace marginalia {

/// The parameters' exponential moving average (Polyak and Juditsky 1992), with a warm-up over the
/// t = 1, 2, ... updates of each:  average <- d average + (1 - d) parameter,
/// d = min(decay, t / (9 + t)).  A parameter that needs no gradient any more is put at its average.
class MovingAverage {
 public:
  MovingAverage(double decay, const std::vector<ParameterGroup>& groups);
  /// updates: how often the optimiser has moved each parameter.
  void update(const std::vector<std::int64_t>& updates);
  void swap();                        ///< exchanges parameters and averages; twice is nothing
  void visit(StateVisitor& visitor);  ///< "average.*"

 private:
  double decay_;
  std::vector<std::string> names_;
  std::vector<Tensor> parameters_, averages_;
};

/// What a checkpoint is made of; the parts are borrowed.
struct Trained {
  Family& family;
  Family* prior;  ///< null where there is none
  Optimizer& optimizer;
  MovingAverage& average;
  Streams& streams;
};

/// How far training is where a checkpoint is made.
struct Progressed {
  std::int64_t step;
  std::vector<std::string> states;  ///< TrainingState::to_text() of each rank
  bool best;                        ///< of those before
};

/// step_000500.safetensors in `folder`; points last.safetensors at it, and best.safetensors when it
/// is the best. Then removes all but the newest `keep`, and what "best" names.
void save_checkpoint(const std::filesystem::path& folder, const Trained& trained,
                     const Progressed& at, const Json& spec, std::int64_t keep);
/// Fills `trained` from a checkpoint.  -> the state of `rank`.
TrainingState load_checkpoint(const std::filesystem::path& file, const Trained& trained,
                              int rank = 0);
/// What answers: of a run its best checkpoint, where evaluation.select named one, else its last; a
/// file as it is.
std::filesystem::path find_checkpoint(const std::filesystem::path& from);
/// Fills a family for answering: its average where one was kept; and the prior of its networks,
/// where they have one.  -> the step.
std::int64_t load_model(const std::filesystem::path& file, Family& family, Family* prior = nullptr);
/// Averages stand in for the parameters of a checkpoint that has some: "model.X" is
/// "average.model.X".
void put_averages(TensorFile& content);

/// The newest checkpoint of `folder` that can be read; the reasons for passing over newer ones go
/// to `refused`. Empty when there is none.
std::filesystem::path newest_checkpoint(const std::filesystem::path& folder,
                                        std::vector<std::string>& refused);

}  // namespace marginalia
