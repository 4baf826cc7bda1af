#pragma once

#include "../request.h"

namespace marginalia::app {

/// Starts this program once for each rank, with torchrun's variables (RANK, WORLD_SIZE, LOCAL_RANK,
/// LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT), and waits for all.
///
/// Rank 0 speaks for itself; lines of the others come on stderr, behind their rank. SIGINT and
/// SIGTERM are passed on to all as SIGTERM, each time again. When a rank fails all are ended; ranks
/// are told likewise when this process dies. Where a rank is gone without a word, or shows no sign
/// of life, all go on from the last checkpoint, as often as the request allows.
///
/// request: what a.words ask for.  -> 0, or what the first that failed ended with. Throws SpecError
/// where ranks cannot be, or $MASTER_PORT is taken.
int launch(const LaunchArguments& a, const Request& request);

}  // namespace marginalia::app
