#pragma once

#include <cstdint>

#include <marginalia/api.h>
#include <marginalia/factors.h>

namespace marginalia::elimination {

/// The same density in other factors, whose separate maxima come closer to the maximum of f: round
/// after round, the max-marginals of all factors of a variable are replaced by their mean, which
/// leaves their sum as it is. Ihler, Flerova, Dechter and Otten (2012), arXiv:1210.4878 (factor
/// graph linear programming); Globerson and Jaakkola (2007), NIPS 20.
MARGINALIA_API FactorModel levelled(FactorModel model, std::int64_t rounds);

/// sum_a max phi_a, which no log f exceeds.
MARGINALIA_API double sum_of_maxima(const FactorModel& model);

}  // namespace marginalia::elimination
