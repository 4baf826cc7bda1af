#pragma once

#include "../request.h"

namespace marginalia::app {

/// Starts this program once for each rank, with torchrun's variables (RANK, WORLD_SIZE, LOCAL_RANK,
/// LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT), and waits for all.
///
/// Rank 0 speaks for itself; lines of the others come on stderr, behind their rank. SIGINT and
/// SIGTERM are passed on to all as SIGTERM, each time again. When a rank fails all are ended; ranks
/// are told likewise when this process dies.  -> 0, or what the first that failed ended with.
/// Throws SpecError where ranks cannot be, or $MASTER_PORT is taken.
int launch(const LaunchArguments& a);

}  // namespace marginalia::app
