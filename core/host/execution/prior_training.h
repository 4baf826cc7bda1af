#pragma once

#include <optional>

#include "answer.h"
#include "run.h"

namespace marginalia::execution {

/// The prior of the experiment's networks; null where they have none.
Family* prior_of(const Experiment& experiment);

/// Opens the model that the prior's rows are drawn from, where there is one. Throws SpecError where
/// it is not there, or of other variables.
std::optional<OpenRun> open_drawing_model(const Experiment& experiment,
                                          const Environment& environment, const Hooks& hooks);

/// Gives the prior, where there is one, what it has learned: of its run, or by training it in
/// folders prior/ of `run`, finished ones as they are. Says how far its training rows are from the
/// validation rows.  -> false: told to stop.
bool train_prior(Experiment& experiment, RunDirectory& run, const Environment& environment,
                 const Hooks& hooks);

}  // namespace marginalia::execution
