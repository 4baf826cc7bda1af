#pragma once

#include "../request.h"

namespace marginalia::app {

/// Loads the part of the program that needs LibTorch, and has it serve the request.
/// -> the exit code; what went wrong has been said.
int serve_by_torch(const Request& request);

/// What the plugins offer: kept from the last time, or found by loading them all.
Catalogue load_catalogue(const Options& options);

/// Another part of the program has said what went wrong, and how to end.
struct Ended {
  int code;
};

}  // namespace marginalia::app
