#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "group_norm_layer.h"

namespace marginalia::unet {

/// One sample: [P, C] values, P pixels.
struct Sizes {
  std::int64_t pixels, channels, groups;
};

// All values are taken less those of the first pixel, `base`: where a group is nearly constant, as
// in a picture of which nothing is known, its variance would drown in the rounding of its mean.

/// Rows of [C] floats that one sample works with, v = x - base and z = x + shift. All begin as 0.
struct Scratch {
  explicit Scratch(std::int64_t channels) : memory(10 * std::size_t(channels)) {
    auto* next = memory.data();
    for (auto** row : {&base, &origin, &a, &b, &u, &w, &sum_v, &sum_vv, &sum_g, &sum_gv}) {
      *row = next;
      next += channels;
    }
  }
  Scratch(const Scratch&) = delete;
  std::vector<float> memory;
  float *base, *origin;   ///< x and z of the first pixel
  float *a, *b;           ///< gamma (z - mean) scale + beta = a v + b
  float *u, *w;           ///< gx = a g + u v + w,  g = gy act'(a v + b)
  float *sum_v, *sum_vv;  ///< sums over pixels of v and v^2
  float *sum_g, *sum_gv;  ///< of g and g v
};

/// Mean and 1 / deviation of every group of one sample of z = origin + v.
inline void statistics(const Scratch& s, Sizes n, float* mean, float* scale) {
  const auto width = n.channels / n.groups;
  const double P = double(n.pixels), count = double(width) * P;
  for (std::int64_t g = 0; g < n.groups; ++g) {
    double m = 0, within = 0, between = 0;
    for (auto c = g * width; c < (g + 1) * width; ++c)
      m += (double(s.origin[c]) + s.sum_v[c] / P) / double(width);
    for (auto c = g * width; c < (g + 1) * width; ++c) {
      const double from_mean = double(s.origin[c]) + s.sum_v[c] / P - m;
      within += std::max(s.sum_vv[c] - double(s.sum_v[c]) * s.sum_v[c] / P, 0.0);
      between += P * from_mean * from_mean;
    }
    mean[g] = float(m);
    scale[g] = float(1 / std::sqrt((within + between) / count + kGroupNormEpsilon));
  }
}

/// What normalises one sample: mean and scale, [groups], gamma and beta, [C].
struct Terms {
  const float *mean, *scale, *gamma, *beta;
};

/// a and b.
inline void set_line(const Terms& t, Sizes n, Scratch& s) {
  const auto width = n.channels / n.groups;
  for (std::int64_t c = 0; c < n.channels; ++c) {
    s.a[c] = t.gamma[c] * t.scale[c / width];
    s.b[c] = t.beta[c] + s.a[c] * (s.origin[c] - t.mean[c / width]);
  }
}

/// u, w and the gradient of gamma, [C], with zhat = (z - mean) scale and means over a group:
///   gx = scale (gamma g - mean(gamma g) - zhat mean(gamma g zhat)).
inline void set_gradient_line(const Terms& t, Sizes n, Scratch& s, float* g_gamma) {
  const auto width = n.channels / n.groups;
  const double count = double(width * n.pixels);
  for (std::int64_t g = 0; g < n.groups; ++g) {
    const float m = t.mean[g], r = t.scale[g];
    double first = 0, second = 0;
    for (auto c = g * width; c < (g + 1) * width; ++c) {
      g_gamma[c] = (s.sum_gv[c] + (s.origin[c] - m) * s.sum_g[c]) * r;
      first += t.gamma[c] * s.sum_g[c];
      second += t.gamma[c] * g_gamma[c];
    }
    for (auto c = g * width; c < (g + 1) * width; ++c) {
      s.u[c] = float(-r * r * second / count);
      s.w[c] = float(-r * first / count) + s.u[c] * (s.origin[c] - m);
    }
  }
}

}  // namespace marginalia::unet
