/// \file
/// Correlations of two lists of N numbers; NaN where one of them does not vary, or holds a NaN.
#pragma once

#include <vector>

namespace marginalia::measure {

using Numbers = std::vector<double>;

double pearson(const Numbers& x, const Numbers& y);
/// Pearson's of the ranks; ties share the mean of their ranks.
double spearman(const Numbers& x, const Numbers& y);
/// tau-b = (concordant - discordant) / sqrt((pairs - ties in x) (pairs - ties in y)), in
/// O(N log N).  Source: Knight (1966), doi:10.1080/01621459.1966.10480879
double kendall(const Numbers& x, const Numbers& y);

}  // namespace marginalia::measure
