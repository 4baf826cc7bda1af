#include <chrono>
#include <cstdlib>

#include <ATen/Parallel.h>

#include "molecule_rows.h"

using namespace marginalia;

// For tests/bench/molecules.py, which names the file of SMILES. A line of JSON for each figure.
TEST_CASE("molecule_property's molecules per second" * doctest::skip()) {
  const auto* file = std::getenv("MARGINALIA_BENCH_SMILES");
  const auto data = test::real_data("chem_reference/sa_fragment_scores.bin.gz");
  if (!file || data.empty()) return;
  const auto smiles = test::column(file, 0, 1);
  for (const auto* property : {"logp", "qed", "sa"}) {
    const auto [energy, x] = test::written(
        smiles, test::scored(property, data / "chem_reference/sa_fragment_scores.bin.gz"));
    for (const int threads : {1, 2}) {
      at::set_num_threads(threads);
      energy->log_density(x.slice(0, 0, 200));
      for (const int copies : {1, 8}) {
        const auto rows = x.repeat({copies, 1});
        const auto start = std::chrono::steady_clock::now();
        const auto sum = energy->readable()->raw_score(rows).sum().item<double>();
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        fmt::print("{{\"property\": \"{}\", \"threads\": {}, \"copies\": {}, "
                   "\"molecules_per_second\": {}, \"sum\": {}}}\n",
                   property, threads, copies, double(rows.size(0)) / seconds.count(), sum / copies);
      }
    }
  }
}
