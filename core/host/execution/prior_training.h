#pragma once

#include "host/experiment/experiment.h"
#include "records/runs/run_directory.h"
#include "run.h"

namespace marginalia::execution {

/// The prior of the experiment's networks; null where they have none.
Family* prior_of(const Experiment& experiment);

/// Gives the prior, where there is one, what it has learned: of its run, or by training it in
/// folders prior/ of `run`, finished ones as they are. Says how far its training rows are from the
/// validation rows, and what it costs beside a network's pass.  -> false: told to stop.
bool train_prior(Experiment& experiment, RunDirectory& run, const Hooks& hooks);

}  // namespace marginalia::execution
