#pragma once

#include <CLI/CLI.hpp>

#include "../request.h"

namespace marginalia::app {

/// Adds every verb of the program with its options, which fill `request`.
void add_verbs(CLI::App& program, Request& request);

}  // namespace marginalia::app
