#include "transfer_matrix.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <functional>
#include <numeric>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/error.h>

namespace marginalia::ising {

using marginalia::Tensor;

namespace {

constexpr std::int64_t kColumns = 16;  // start states carried together

// A weight that gets lost by underflow stands e^-700 below the largest; changing the spins of its
// two ends could at most have regained exp(4 sum_c |J_down|). The same for a long double.
constexpr double kRange = 160, kLongDoubleRange = 2750;

/// Calls f(i) for 0 <= i < count. The costs differ by orders of magnitude, so threads take them one
/// at a time; inside another such loop it is an ordinary one.
template <class F>
void share_out(std::int64_t count, F f) {
  std::atomic<std::int64_t> next{0};
  const auto threads = std::min<std::int64_t>(count, at::get_num_threads());
  at::parallel_for(0, threads, 1, [&](std::int64_t, std::int64_t) {
    for (std::int64_t i; (i = next++) < count;)
      f(i);
  });
}

double log_sum_exp(const std::vector<double>& values) {
  const auto high = *std::ranges::max_element(values);
  return high +
         std::log(std::accumulate(values.begin(), values.end(), 0.0,
                                  [&](double sum, auto v) { return sum + std::exp(v - high); }));
}

/// For each state of the spins in `mask`:  sum_c h_c s_c + sum_c J_c s_c s_{c+1}, the row closed to
/// a ring by J of its last spin.  h, J: [W]; J may be null  ->  [2^popcount(mask)].
std::vector<double> log_weights(Mask mask, std::int64_t W, const double* h, const double* J) {
  std::vector<double> log_weight{0};
  for_each_spin(mask, [&](std::int64_t c) {
    const auto states = log_weight.size();  // of the spins before c; the last one is the top bit
    const double to_last = J && c > 0 && (mask & bit(c - 1)) ? J[c - 1] : 0;
    log_weight.resize(2 * states);
    for (std::size_t s = 0; s < states; ++s) {
      const double tilt = h[c] + (s >= states / 2 ? to_last : -to_last);
      log_weight[s + states] = log_weight[s] + tilt;
      log_weight[s] -= tilt;
    }
  });
  if (J && J[W - 1] != 0 && (mask & bit(0)) && (mask & bit(W - 1)))
    for (std::size_t s = 0; s < log_weight.size(); ++s)
      log_weight[s] += (s & 1) == std::size_t(s >= log_weight.size() / 2) ? J[W - 1] : -J[W - 1];
  return log_weight;
}

/// A_1 T_1 A_2 T_2 ... as far as it has been multiplied, as a table of the states of the free spins
/// of its last row times some columns: the start states `begin` and following of a periodic strip,
/// else one column.
template <class Real>
class Product {
 public:
  Product(const FreeSpins& spins, std::int64_t begin, std::int64_t columns)
      : spins_(spins), mask_(spins.free[0]), columns_(columns) {
    const bool periodic = spins.strip->periodic;
    const auto log_weight = compute_log_weights(0);  // A_1, whose states start the columns
    const auto states = std::int64_t(log_weight.size()), count = periodic ? columns : states;
    log_scale_ = *std::max_element(&log_weight[begin], &log_weight[begin] + count);
    values_.assign(states * columns, 0);
    for (std::int64_t k = 0; k < count; ++k)
      at(begin + k, periodic ? k : 0) = std::exp(Real(log_weight[begin + k] - log_scale_));
  }

  Real& at(std::int64_t state, std::int64_t column) { return values_[state * columns_ + column]; }
  const std::vector<Real>& values() const { return values_; }
  double log_scale() const { return log_scale_; }  // of the values

  /// Multiplies by A_row, and rescales: log_scale takes what the last row grew to.
  void multiply_row(std::int64_t row) {
    const auto log_weight = compute_log_weights(row);
    const double high = *std::ranges::max_element(log_weight);
    Real peak = 0;
    for (std::size_t s = 0; s < log_weight.size(); ++s) {
      const Real weight = std::exp(Real(log_weight[s] - high)) / peak_;
      Real* const value = &values_[s * std::size_t(columns_)];
#pragma omp simd reduction(max : peak)
      for (std::int64_t k = 0; k < columns_; ++k) {
        value[k] *= weight;
        peak = peak > value[k] ? peak : value[k];
      }
    }
    log_scale_ += high + double(std::log(peak_));
    peak_ = peak;
  }

  /// Multiplies by T_row: the spins of the row are summed out, those of the next come in.
  void step_down(std::int64_t row) {
    const auto next = spins_.free[(row + 1) % spins_.strip->rows];
    const auto* J = &spins_.strip->down[spins_.offset(row)];
    for_each_spin(mask_ & ~next, [&](std::int64_t c) { sum_out(c); });
    for_each_spin(mask_ & next, [&](std::int64_t c) { couple(c, J[c]); });
    for_each_spin(next & ~mask_, [&](std::int64_t c) { bring_in(c); });
  }

 private:
  std::vector<double> compute_log_weights(std::int64_t row) const {
    const auto at = spins_.offset(row);
    return log_weights(mask_, spins_.strip->width, &spins_.field[at], &spins_.strip->across[at]);
  }

  /// The distance in values_ between the two states of spin c.
  std::size_t stride(std::int64_t c) const {
    return std::size_t(columns_) << std::popcount(mask_ & (bit(c) - 1));
  }

  /// v'(s') = sum_s exp(J s s') v(s), both divided by exp |J|.
  void couple(std::int64_t c, double J) {
    const Real same = std::exp(Real(J - std::abs(J))), other = std::exp(Real(-J - std::abs(J)));
    const auto step = stride(c);
    for (std::size_t low = 0; low < values_.size(); low += 2 * step) {
      Real* const down = &values_[low];
      Real* const up = down + step;
#pragma omp simd
      for (std::size_t k = 0; k < step; ++k) {
        const Real d = down[k], u = up[k];
        down[k] = same * d + other * u;
        up[k] = other * d + same * u;
      }
    }
    log_scale_ += std::abs(J);
  }

  void sum_out(std::int64_t c) {
    const auto step = stride(c);
    for (std::size_t from = 0, to = 0; from < values_.size(); from += 2 * step, to += step)
      for (std::size_t k = 0; k < step; ++k)
        values_[to + k] = values_[from + k] + values_[from + step + k];
    values_.resize(values_.size() / 2);
    mask_ &= ~bit(c);
  }

  void bring_in(std::int64_t c) {
    const auto step = stride(c), before = values_.size();
    values_.resize(2 * before);
    for (auto from = before; from > 0;) {
      from -= step;
      std::copy_backward(&values_[from], &values_[from] + step, &values_[2 * from] + 2 * step);
      std::copy_n(&values_[2 * from] + step, step, &values_[2 * from]);
    }
    mask_ |= bit(c);
  }

  const FreeSpins& spins_;
  Mask mask_;  // the spins that number the states
  std::int64_t columns_;
  std::vector<Real> values_;  // [states, columns], times exp(log_scale_)
  double log_scale_ = 0;
  Real peak_ = 1;  // the largest value
};

/// log of the sum over all free spins but those of the first row, for each of its states; of an
/// open strip, over all: [columns].
template <class Real>
std::vector<double> log_columns(const FreeSpins& spins) {
  const auto rows = spins.strip->rows;
  const auto columns = spins.strip->periodic ? std::int64_t{1} << std::popcount(spins.free[0]) : 1;
  std::vector<double> result(static_cast<std::size_t>(columns));
  share_out((columns + kColumns - 1) / kColumns, [&](std::int64_t chunk) {
    const auto begin = chunk * kColumns, count = std::min(kColumns, columns - begin);
    Product<Real> product(spins, begin, count);
    for (std::int64_t row = 0; row + 1 < rows; ++row) {
      product.step_down(row);
      product.multiply_row(row + 1);
    }
    if (spins.strip->periodic) {
      product.step_down(rows - 1);
      for (std::int64_t k = 0; k < count; ++k)
        result[begin + k] = product.log_scale() + double(std::log(product.at(begin + k, k)));
    } else {
      const auto& v = product.values();
      result[0] =
          product.log_scale() + double(std::log(std::accumulate(v.begin(), v.end(), Real(0))));
    }
  });
  return result;
}

/// Draws an index in proportion to `weights`, u uniform in [0, 1).
template <class Real>
std::size_t draw(const std::vector<Real>& weights, double u) {
  auto left = Real(u) * std::accumulate(weights.begin(), weights.end(), Real(0));
  std::size_t last = 0;  // the last that has weight: where rounding may leave us
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0) last = i;
    if ((left -= weights[i]) < 0) break;
  }
  return last;
}

/// The weights that the spins of the next row, once drawn, give to the states of `row`:
/// exp(sum_c J_down s_c s'_c), divided by the largest.
template <class Real>
std::vector<Real> pull_of_next(const FreeSpins& spins, std::int64_t row, const std::int64_t* x) {
  const auto& strip = *spins.strip;
  const auto at = spins.offset(row), next = spins.offset(row + 1);
  const auto free_below = spins.free[(row + 1) % strip.rows];  // known ones are in the field
  std::vector<double> pull(strip.width, 0.0);
  for_each_spin(spins.free[row] & free_below, [&](std::int64_t c) {
    pull[c] = strip.down[at + c] * (2.0 * double(x[strip.site[next + c]]) - 1);
  });
  const auto log_weight = log_weights(spins.free[row], strip.width, pull.data(), nullptr);
  const double high = *std::ranges::max_element(log_weight);
  std::vector<Real> weights;
  for (const auto w : log_weight)
    weights.push_back(std::exp(Real(w - high)));
  return weights;
}

/// Completes x by an exact draw: the first row of a periodic strip by `first_row`, the weights of
/// its states; then, from the last row up, each row given the next one.  u: [N], uniform.
template <class Real>
void draw_spins(const FreeSpins& spins, const std::vector<double>& first_row, const double* u,
                std::int64_t* x) {
  const auto& strip = *spins.strip;
  const auto set_row = [&](std::int64_t row, std::size_t state) {
    for_each_spin(spins.free[row], [&](std::int64_t c) {
      x[strip.site[spins.offset(row) + c]] = std::int64_t(state & 1);
      state >>= 1;
    });
  };
  const auto start = strip.periodic ? draw(first_row, u[0]) : 0;
  if (strip.periodic) set_row(0, start);

  Product<Real> product(spins, std::int64_t(start), 1);
  std::vector<std::vector<Real>> messages{product.values()};  // of each row: the sum up to it
  for (std::int64_t row = 0; row + 1 < strip.rows; ++row) {
    product.step_down(row);
    product.multiply_row(row + 1);
    messages.push_back(product.values());
  }
  for (auto row = strip.rows - 1; row >= (strip.periodic ? 1 : 0); --row) {
    auto& weights = messages[row];
    if (strip.periodic || row + 1 < strip.rows)
      std::ranges::transform(weights, pull_of_next<Real>(spins, row, x), weights.begin(),
                             std::multiplies<>());
    set_row(row, draw(weights, u[row]));
  }
}

}  // namespace

std::string TransferMatrix::obstacle(const Lattice& lattice) {
  if (lattice.sides.size() > 2)
    return fmt::format("the transfer matrix is for chains and two-dimensional lattices, and "
                       "enumeration would take 2^{} states (at most 2^20)",
                       lattice.sites());
  if (!lattice.all_periodic() && !lattice.all_open())
    return "the transfer matrix is for lattices whose sides are all periodic or all open";
  const auto strips = find_strips(lattice);
  if (strips.empty()) {
    const auto W = std::ranges::min(lattice.sides);
    const auto states = [&](std::int64_t width) {
      return lattice.all_periodic() ? fmt::format("2^{} x 2^{}", width, width)
                                    : fmt::format("2^{}", width);
    };
    return fmt::format(
        "the transfer matrix of {} lattice of sides {} goes through {} states (at most "
        "{}, and 2^25 in all rows together)",
        lattice.all_periodic() ? "a periodic" : "an open", fmt::join(lattice.sides, " x "),
        states(W), states(lattice.all_periodic() ? kPeriodicWidth : kOpenWidth));
  }
  if (const auto sum = strongest_step(strips); sum > kLongDoubleRange)
    return fmt::format("the couplings between two rows sum to {:.4g} nats, beyond the range of "
                       "floating point numbers (at most {})",
                       sum, kLongDoubleRange);
  return "";
}

TransferMatrix::TransferMatrix(const Lattice& lattice, const marginalia::StateSpace& space)
    : lattice_(lattice),
      space_(space),
      strips_(find_strips(lattice)),
      wide_range_(strongest_step(strips_) > kRange) {}

Tensor TransferMatrix::compute_log_sum(const Tensor& partial) const {
  const auto rows = partial.cpu().contiguous();
  const auto* x = rows.data_ptr<std::int64_t>();
  auto result = torch::empty({rows.size(0)}, torch::kDouble);
  auto* out = result.data_ptr<double>();
  share_out(rows.size(0), [&](std::int64_t b) {
    const auto spins = condition(lattice_, strips_, x + b * rows.size(1));
    out[b] = spins.known_part + log_sum_exp(wide_range_ ? log_columns<long double>(spins)
                                                        : log_columns<double>(spins));
  });
  return result.to(partial.device());
}

Tensor TransferMatrix::compute_sample(const Tensor& partial, marginalia::Stream& stream) const {
  const auto D = partial.size(1), B = partial.size(0);
  auto result = partial.cpu().contiguous().clone();
  auto* x = result.data_ptr<std::int64_t>();
  const auto uniform = torch::rand({B, D}, stream.generator(), torch::kDouble);
  const auto* u = uniform.data_ptr<double>();

  std::vector<std::int64_t> groups;  // where equal rows begin: they share the sums
  for (std::int64_t b = 0; b < B; ++b)
    if (b == 0 || !std::equal(x + b * D, x + (b + 1) * D, x + (b - 1) * D)) groups.push_back(b);
  groups.push_back(B);
  share_out(std::int64_t(groups.size()) - 1, [&](std::int64_t g) {
    const auto begin = groups[g], count = groups[g + 1] - begin;
    const auto spins = condition(lattice_, strips_, x + begin * D);
    auto weights = spins.strip->periodic ? (wide_range_ ? log_columns<long double>(spins)
                                                        : log_columns<double>(spins))
                                         : std::vector<double>{0};
    const auto high = *std::ranges::max_element(weights);
    for (auto& w : weights)
      w = std::exp(w - high);
    share_out(count, [&](std::int64_t b) {
      (wide_range_ ? draw_spins<long double>
                   : draw_spins<double>)(spins, weights, u + (begin + b) * D, x + (begin + b) * D);
    });
  });
  return result.to(partial.device());
}

}  // namespace marginalia::ising
