#pragma once

#include <CLI/CLI.hpp>

#include "../request.h"

namespace marginalia::app {

/// Adds every verb of the program with its options, which fill `request`.
void add_verbs(CLI::App& program, Request& request);

/// Reads the options that all verbs and all runs take among the words of a verb that a plugin adds.
/// -> the words that are left, in their order.
std::vector<std::string> take_options(std::vector<std::string> words, Request& request);

}  // namespace marginalia::app
