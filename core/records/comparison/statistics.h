#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace marginalia {

/// Mean of n values and its standard error, s / sqrt(n) with s^2 = sum (v - mean)^2 / (n - 1).
struct Summary {
  std::int64_t n = 0;
  double mean = 0;
  std::optional<double> error = {};  ///< none for n < 2
  double freedom = 0;                ///< degrees of freedom of the error, n - 1
};
Summary summarise(const std::vector<double>& values);

/// The mean of the means m_c of C strata, each of equal weight whatever its n, with
///
///   error = sqrt(sum_c se_c^2) / C,   freedom = (sum_c se_c^2)^2 / sum_c (se_c^4 / freedom_c);
///
/// no error where a stratum has none. strata: none is empty. Source of the degrees of freedom:
/// Satterthwaite (1946), doi:10.2307/3002019, and Welch (1947), doi:10.1093/biomet/34.1-2.28.
Summary mean_of_strata(const std::vector<Summary>& strata);

/// Student's t test of a mean difference against 0, two-sided:
/// t = mean / error,  p = 2 P(T > |t|) with the difference's degrees of freedom.
struct PairedTest {
  Summary difference;
  std::optional<double> t, p;
  std::string untested;  ///< why there is no p: fewer than two pairs, or no spread among them
};
/// size: the largest of the numbers that the difference is of, beside which rounding is no spread.
PairedTest t_test(const Summary& difference, double size);
/// Of paired differences d = a - b; a, b: [n], paired by position.
PairedTest paired_t_test(const std::vector<double>& a, const std::vector<double>& b);

/// p-values adjusted for their number by Holm's step-down rule: with p_(1) <= ... <= p_(m),
/// adjusted_(i) = max over j <= i of min(1, (m - j + 1) p_(j)). In the order of `p`.
/// Source: Holm (1979), Scandinavian Journal of Statistics 6, 65-70.
std::vector<double> holm(const std::vector<double>& p);

/// One observation of a loss: at parameters N and data D, or at x alone (D unused).
struct LossPoint {
  double x = 0, data = 0, loss = 0;
};

/// L(x) = E + A x^-alpha, or L(N, D) = E + A N^-alpha + B D^-beta; E, A, B >= 0.
struct PowerLaw {
  double floor = 0;  ///< E
  double scale = 0, exponent = 0;
  double data_scale = 0, data_exponent = 0;  ///< B, beta; 0 in one variable
  double residual = 0;                       ///< rms of (fitted - seen) / seen over the points
  double at(double x, double data = 1) const;
};

/// The power law with the least sum of ((fitted - seen) / seen)^2 over the points, exponents from
/// 0.01 to 4: for given exponents the law is linear in E, A, B, so that only exponents are
/// searched. Throws Error when there are fewer than three different x (or D), or a loss is not
/// positive. Source: Hoffmann et al. (2022), arXiv:2203.15556, eq. 2 and appendix D.3.
PowerLaw fit_power_law(const std::vector<LossPoint>& points, bool with_data);

}  // namespace marginalia
