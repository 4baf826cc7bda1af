#pragma once

#include "marginalia_test.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

namespace marginalia::test {

/// What a component's kExample asks for, with the tests' data.
inline Spec example(const Description& d) {
  auto json = Json::parse(d.example);
  json["type"] = d.name;
  return Spec::from_text(json.dump(), d.name + ".json",
                         {MARGINALIA_TEST_DATA, MARGINALIA_TEST_DATA});
}

/// The component that its kExample asks for; null, and the test says so, where the program was
/// built without what it needs.
template <class Interface>
std::shared_ptr<Interface> make_example(const Description& d) {
  try {
    return loaded_registry().make<Interface>(example(d));
  } catch (const Error& e) {
    const bool is_missing =
        std::ranges::any_of(d.parts, [](const OptionalPart& part) { return part.version.empty(); });
    if (!is_missing) throw;
    skip(e.what());
    return nullptr;
  }
}

/// int64 [rows, D], uniform; with `unknown`, each variable unknown with that probability.
inline torch::Tensor random_states(const StateSpace& space, std::int64_t rows, double unknown = 0) {
  Stream stream(1, "contracts");
  const auto K = torch::tensor(space.cardinalities, torch::kFloat);
  const auto x = (stream.uniform({rows, space.dimension()}) * K).floor().to(torch::kLong);
  return x.masked_fill(stream.uniform({rows, space.dimension()}) < unknown, kUnknown);
}

/// Rows of every kind: some known, none known, all known.
inline torch::Tensor mixed_states(const StateSpace& space, std::int64_t rows) {
  return torch::cat({random_states(space, rows, 0.5), space.empty(), random_states(space, 1)});
}

/// At most `count` of 0..n-1, spread evenly.
inline std::vector<std::int64_t> some(std::int64_t n, std::int64_t count) {
  std::vector<std::int64_t> chosen;
  const auto step = std::max<std::int64_t>(1, (n + count - 1) / count);
  for (std::int64_t i = 0; i < n; i += step)
    chosen.push_back(i);
  return chosen;
}

/// Equal up to rounding; infinities of one sign are equal.
inline bool close(const torch::Tensor& a, const torch::Tensor& b, double tolerance) {
  return a.sizes() == b.sizes() &&
         torch::allclose(a.to(torch::kDouble), b.to(torch::kDouble), tolerance, tolerance);
}

/// What four threads get from `ask` at the same time.
template <class F>
std::vector<torch::Tensor> from_threads(F ask) {
  std::vector<torch::Tensor> answers(4);
  std::vector<std::thread> threads;
  for (auto& answer : answers)
    threads.emplace_back([&answer, &ask] { answer = ask(); });
  for (auto& thread : threads)
    thread.join();
  return answers;
}

inline void check_space(const StateSpace& space) {
  std::int64_t product = 1;
  for (const auto side : space.shape)
    product *= side;
  CHECK(space.dimension() > 0);
  CHECK(product == space.dimension());
  for (const auto k : space.cardinalities)
    CHECK(k > 0);
  const bool spelt =
      space.alphabet.empty() || std::int64_t(space.alphabet.size()) == space.levels();
  CHECK(spelt);
}

/// Pearson's statistic of counts against probabilities, in standard deviations above its mean;
/// cells expected less than five times are one.
inline double chi_square_excess(const torch::Tensor& counts, const torch::Tensor& probabilities) {
  const auto n = counts.to(torch::kDouble), expected = probabilities * n.sum();
  const auto rare = expected < 5;
  auto observed = torch::cat({n.masked_select(~rare), n.masked_select(rare).sum().view({1})});
  auto mean =
      torch::cat({expected.masked_select(~rare), expected.masked_select(rare).sum().view({1})});
  if (mean[-1].item<double>() < 5) {
    observed = observed.slice(0, 0, -1);
    mean = mean.slice(0, 0, -1);
  }
  const auto freedom = std::max<double>(1, double(mean.numel()) - 1);
  const auto statistic = ((observed - mean).square() / mean).sum().item<double>();
  return (statistic - freedom) / std::sqrt(2 * freedom);
}

}  // namespace marginalia::test
