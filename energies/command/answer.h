#pragma once

#include <string>

namespace marginalia::command {

/// The number that a program's line answers with: a decimal number, or an object whose
/// "log_density" is one; -inf for a forbidden state, which null, -inf and -Infinity stand for, in
/// any case, alone or in the object. NaN where the line is no answer.
double parse_answer(const std::string& line);

}  // namespace marginalia::command
