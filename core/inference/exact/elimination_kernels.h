#pragma once

#include <cstdint>

/// Inner loops of elimination, over n entries that lie side by side. Tables of sums hold values,
/// tables of maxima logs.
namespace marginalia::elimination {

/// Least and greatest of what is above 0; greatest is 0 where nothing is.
struct Extremes {
  double least, greatest;
};
Extremes find_extremes(const double* x, std::int64_t n);

/// out = c x y, out = c x y z  -> the sum of it
double multiply_and_sum(double* out, double c, const double* x, const double* y, std::int64_t n);
double multiply_and_sum(double* out, double c, const double* x, const double* y, const double* z,
                        std::int64_t n);
void add(double* out, const double* x, std::int64_t n);  ///< out += x
void add_constant(double* out, double c, std::int64_t n);
void add_scaled(double* out, double c, const double* x, std::int64_t n);  ///< out += c x
/// out += c x y
void add_product(double* out, double c, const double* x, const double* y, std::int64_t n);
void multiply(double* out, const double* x, const double* y, std::int64_t n);  ///< out = x y
void scale(double* out, double c, const double* x, std::int64_t n);            ///< out = c x
/// out = x / out, 0 where out is 0
void divide_into(double* out, const double* x, std::int64_t n);

void raise_constant(double* out, double c, std::int64_t n);                  ///< out = max(out, c)
void raise_shifted(double* out, double c, const double* x, std::int64_t n);  ///< max(out, c + x)
/// out = max(out, c + x + y)
void raise_sum(double* out, double c, const double* x, const double* y, std::int64_t n);
void add_into(double* out, const double* x, const double* y, std::int64_t n);  ///< out = x + y

/// out[i] = table[places[i]]
void gather(double* out, const double* table, const std::int32_t* places, std::int64_t n);
/// table[places[i]] += x[i], where `run` neighbours have the same place
void scatter_add(double* table, const std::int32_t* places, std::int64_t run, const double* x,
                 std::int64_t n);

}  // namespace marginalia::elimination
