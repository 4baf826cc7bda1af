#pragma once

#include <fstream>
#include <string>

#include <torch/types.h>

namespace marginalia::test {

/// 400 rows of six bits, each bit the one before with probability 0.8, as text at `file`.
inline void write_bits(const std::string& file) {
  torch::manual_seed(3);
  std::ofstream out(file);
  for (int n = 0; n < 400; ++n) {
    auto bit = torch::randint(2, {1}).item<int>();
    for (int i = 0; i < 6; ++i) {
      if (torch::rand({1}).item<double>() < 0.2) bit = 1 - bit;
      out << bit << (i == 5 ? "\n" : ",");
    }
  }
}

}  // namespace marginalia::test
