#pragma once

#include <optional>

#include <marginalia/metric.h>

namespace marginalia::measure {

/// E_p[log f(x)], nats, where the energy has exact answers: by listing the states of a small space,
/// else as the derivative of log sum_x f(x)^b at b = 1, by elimination. None where neither is
/// cheap.
std::optional<double> exact_mean_log_density(const Evaluation& evaluation);

}  // namespace marginalia::measure
