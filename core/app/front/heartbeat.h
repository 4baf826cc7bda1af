#pragma once

#include <string>

namespace marginalia::app {

/// The variable by which a launcher lends a rank the pipe that it listens at: "PROCESS:DESCRIPTOR".
/// PROCESS is the rank's own, so that what it starts in turn does not take itself for one.
constexpr const char* kHeartbeatVariable = "MARGINALIA_HEARTBEAT";

/// What the variable says in this process, of the pipe's end to write to.
std::string describe_heartbeat(int descriptor);

/// Where a launcher listens: starts a thread that writes a byte every second for as long as this
/// process lives and runs, however long it computes.
void beat_for_launcher();

}  // namespace marginalia::app
