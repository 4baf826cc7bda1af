#include "contracts.h"

#include <set>

#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using torch::Tensor;

namespace {

/// Spaces up to this many states are enumerated here.
const double kSmall = std::log(double(1 << 16));

/// Calls `check` with every energy, built from its example.
template <class F>
void for_each_energy(F check) {
  const auto& registry = test::loaded_registry();
  for (const auto& [name, entry] : registry.all<Energy>()) {
    CAPTURE(name);
    const auto energy = test::make_example<Energy>(entry.description);
    if (energy) check(*energy);
  }
}

/// x with variable i at each of its values: [K_i, D].
Tensor moved(const Tensor& x, std::int64_t i, std::int64_t levels) {
  auto rows = x.repeat({levels, 1});
  rows.select(1, i).copy_(torch::arange(levels));
  return rows;
}

TEST_CASE("every energy scores batches of states") {
  for_each_energy([](const Energy& energy) {
    const auto& space = energy.space();
    test::check_space(space);
    const auto x = test::random_states(space, 16);
    const auto before = x.clone();
    const auto value = energy.log_density(x);
    CHECK((value.scalar_type() == torch::kDouble));
    CHECK(value.sizes() == at::IntArrayRef{16});
    CHECK_FALSE(value.isnan().any().item<bool>());
    CHECK((value < INFINITY).all().item<bool>());
    CHECK(x.equal(before));                     // the input is left alone
    CHECK(energy.log_density(x).equal(value));  // the same question, the same answer
    CHECK(test::close(energy.log_density(x.flip(0)), value.flip(0), 1e-9));  // rows are blind
    CHECK(test::close(energy.log_density(x.slice(0, 3, 4)), value.slice(0, 3, 4), 1e-9));
    CHECK(energy.log_density(x.t().contiguous().t()).equal(value));  // strides do not matter
    CHECK(energy.log_density(x.slice(0, 0, 0)).numel() == 0);
    for (const auto& answer : test::from_threads([&] { return energy.log_density(x); }))
      CHECK(answer.equal(value));
  });
}

TEST_CASE("every energy refuses what is no state") {
  for_each_energy([](const Energy& energy) {
    const auto x = test::random_states(energy.space(), 4);
    const auto D = energy.space().dimension(), K = energy.space().levels();
    const auto first = energy.space().cardinalities[0];
    CHECK(test::refusal([&] {
            energy.log_density(torch::cat({x, x}, 1));
          }) == fmt::format("{}: states must be int64 [B, {}], not Long [4, {}]", energy.label(), D,
                            2 * D));
    CHECK(test::refusal([&] { energy.log_density(x.to(torch::kFloat)); }) ==
          fmt::format("{}: states must be int64 [B, {}], not Float [4, {}]", energy.label(), D, D));
    CHECK(test::refusal([&] { energy.log_density(torch::full_like(x, K)); }) ==
          fmt::format("{}: variable 0 must be 0 to {}, not {}", energy.label(), first - 1, K));
    CHECK(test::refusal([&] { energy.log_density(torch::full_like(x, kUnknown)); }) ==
          fmt::format("{}: variable 0 must be 0 to {}, not -1", energy.label(), first - 1));
  });
}

TEST_CASE("what an energy does not offer, it says why") {
  for_each_energy([](const Energy& energy) {
    const auto exact = energy.exact();
    CHECK((exact || !exact.reason.empty()));
    const auto local = energy.local();
    CHECK((local || !local.reason.empty()));
    const auto pairwise = energy.pairwise();
    CHECK((pairwise || !pairwise.reason.empty()));
    const auto readable = energy.readable();
    CHECK((readable || !readable.reason.empty()));
    if (!readable) return;
    const auto x = test::random_states(energy.space(), 3);
    CHECK(readable->raw_score(x).sizes() == at::IntArrayRef{3});
    CHECK((readable->raw_score(x).scalar_type() == torch::kDouble));
    CHECK_NOTHROW(readable->to_text(x[0]));
    const auto scores = readable->scores(x);
    CHECK_FALSE(scores.empty());
    for (const auto& score : scores) {
      CHECK_FALSE(score.name.empty());
      CHECK(score.values.sizes() == at::IntArrayRef{3});
      CHECK((score.values.scalar_type() == torch::kDouble));
      CHECK((!score.spread || (score.target && *score.spread > 0)));
    }
    const auto svg = readable->to_svg(x[0]);
    CHECK((svg.empty() || (svg.find("<svg") != svg.npos && svg.find("</svg>") != svg.npos)));
  });
}

TEST_CASE("the text of a partial state is read back, or the energy says that it reads none") {
  for_each_energy([](const Energy& energy) {
    const auto readable = energy.readable();
    auto partial = test::random_states(energy.space(), 8, 0.5);
    partial.select(1, 0).fill_(kUnknown);
    for (std::int64_t b = 0; b < partial.size(0); ++b) {
      const auto text =
          readable ? readable->to_text(partial[b]) : energy.space().to_text(partial[b]);
      CAPTURE(text);
      Tensor back;
      const auto refused = test::refusal([&] { back = state_of_text(energy, {text}); });
      if (refused == "accepted")
        CHECK(back.equal(partial[b]));
      else
        CHECK(refused ==
              "what this energy writes of its states it does not read; give a list of values");
    }
  });
}

TEST_CASE("local conditionals are those of the density") {
  for_each_energy([](const Energy& energy) {
    const auto local = energy.local();
    if (!local) {
      MESSAGE(energy.label(), ": ", local.reason);
      return;
    }
    const auto& space = energy.space();
    const auto x = test::random_states(space, 3);
    const auto logits = local->logits(x);
    CHECK(logits.sizes() == at::IntArrayRef{3, space.dimension(), space.levels()});
    CHECK((logits.scalar_type() == torch::kFloat));
    CHECK(test::close(local->known_part(x), energy.log_density(x), 1e-6));
    for (std::int64_t b = 0; b < 3; ++b)
      for (const auto i : test::some(space.dimension(), 40)) {
        const auto K = space.cardinalities[std::size_t(i)];
        const auto truth = energy.log_density(moved(x[b], i, K));
        if (truth.max().item<double>() == -INFINITY) continue;  // no value is allowed here
        CAPTURE(i);
        const auto here = logits[b][i].slice(0, 0, K);
        CHECK(test::close(here.softmax(0), truth.softmax(0), 1e-4));
      }
  });
}

TEST_CASE("of a partial state, local logits are the factors that a variable completes") {
  for_each_energy([](const Energy& energy) {
    const auto local = energy.local();
    if (!local) return;
    const auto& space = energy.space();
    const auto partial = test::mixed_states(space, 4);
    const auto before = partial.clone();
    const auto logits = local->logits(partial);
    for (std::int64_t b = 0; b < partial.size(0); ++b)
      for (const auto i : test::some(space.dimension(), 40)) {
        if (partial[b][i].item<std::int64_t>() != kUnknown) continue;
        const auto K = space.cardinalities[std::size_t(i)];
        const auto known = local->known_part(partial[b].unsqueeze(0));
        if (known.item<double>() == -INFINITY) continue;  // nothing more can forbid it
        const auto gain = local->known_part(moved(partial[b], i, K)) - known;
        CAPTURE(i);
        CHECK(test::close(logits[b][i].slice(0, 0, K), gain, 1e-4));
      }
    CHECK(partial.equal(before));
  });
}

TEST_CASE("variables of one colour do not see each other") {
  for_each_energy([](const Energy& energy) {
    const auto local = energy.local();
    if (!local) return;
    const auto& space = energy.space();
    const auto& colours = local->colours();
    REQUIRE(colours.sizes() == at::IntArrayRef{space.dimension()});
    CHECK((colours.scalar_type() == torch::kLong));
    CHECK(colours.min().item<std::int64_t>() == 0);
    const auto x = test::random_states(space, 1);
    const auto logits = local->logits(x)[0];
    for (const auto j : test::some(space.dimension(), 64)) {
      const auto same = colours == colours[j];
      same[j] = false;
      const auto seen =
          local->logits(moved(x[0], j, space.cardinalities[std::size_t(j)]));  // [K_j, D, K]
      CAPTURE(j);
      CHECK(test::close(seen.index({torch::indexing::Slice(), same}),
                        logits.index({same}).expand({seen.size(0), -1, -1}), 1e-5));
    }
  });
}

TEST_CASE("pairwise factors add up to the density") {
  for_each_energy([](const Energy& energy) {
    const auto factors = energy.pairwise();
    if (!factors) {
      MESSAGE(energy.label(), ": ", factors.reason);
      return;
    }
    const auto D = energy.space().dimension(), K = energy.space().levels();
    const auto E = factors->edges.size(0);
    CHECK(factors->unary.sizes() == at::IntArrayRef{D, K});
    CHECK(factors->edges.sizes() == at::IntArrayRef{E, 2});
    CHECK(factors->pairs.sizes() == at::IntArrayRef{E, K, K});
    std::set<std::pair<std::int64_t, std::int64_t>> seen;
    for (std::int64_t e = 0; e < E; ++e) {
      const auto i = factors->edges[e][0].item<std::int64_t>();
      const auto j = factors->edges[e][1].item<std::int64_t>();
      CHECK((0 <= i && i < j && j < D));
      CHECK(seen.emplace(i, j).second);
    }
    const auto x = test::random_states(energy.space(), 8);
    auto sum = factors->unary.to(torch::kDouble).gather(1, x.t()).sum(0);  // [B]
    for (std::int64_t b = 0; E > 0 && b < x.size(0); ++b) {
      const auto at = [&](std::int64_t end) { return x[b].index({factors->edges.select(1, end)}); };
      sum[b] += factors->pairs.index({torch::arange(E), at(0), at(1)}).to(torch::kDouble).sum();
    }
    CHECK(test::close(sum, energy.log_density(x), 1e-5));
  });
}

TEST_CASE("an oracle's sums are those of the density") {
  for_each_energy([](const Energy& energy) {
    const auto exact = energy.exact();
    if (!exact) {
      MESSAGE(energy.label(), ": ", exact.reason);
      return;
    }
    const auto& space = energy.space();
    CHECK(exact->space() == space);
    CHECK_FALSE(exact->method().empty());
    const auto full = test::random_states(space, 4);
    CHECK(test::close(exact->log_sum(full), energy.log_density(full), 1e-6));

    // Summing one more variable out by hand changes nothing.
    const auto partial = test::mixed_states(space, 4);
    const auto sums = exact->log_sum(partial);
    CHECK((sums.scalar_type() == torch::kDouble));
    for (std::int64_t b = 0; b < partial.size(0); ++b) {
      const auto unknown = (partial[b] == kUnknown).nonzero();
      if (unknown.numel() == 0) continue;
      const auto i = unknown[unknown.size(0) / 2].item<std::int64_t>();
      const auto K = space.cardinalities[std::size_t(i)];
      CHECK(test::close(exact->log_sum(moved(partial[b], i, K)).logsumexp(0), sums[b], 1e-6));
    }
    if (space.log_states() > kSmall) {
      MESSAGE(energy.label(), ": the example is too large to enumerate here");
      return;
    }
    const auto states = all_states(space);
    const auto log_f = energy.log_density(states);
    CHECK(exact->log_z() == doctest::Approx(log_f.logsumexp(0).item<double>()).epsilon(1e-8));
    CHECK(test::close(exact->log_marginal(partial), sums - exact->log_z(), 1e-6));
    for (std::int64_t b = 0; b < partial.size(0); ++b) {
      const auto fits = (partial[b] == kUnknown).logical_or(states == partial[b]).all(1);
      const auto weight = log_f.masked_fill(~fits, -INFINITY);
      CHECK(test::close(sums[b], weight.logsumexp(0), 1e-6));
      const auto p = weight.softmax(0);
      const auto single = exact->single_marginals(partial[b]);
      for (std::int64_t k = 0; k < space.levels(); ++k) {
        const auto by_hand = (p.unsqueeze(1) * (states == k)).sum(0);
        CHECK(test::close(single.select(1, k), by_hand, 1e-6));
      }
    }
  });
}

TEST_CASE("an oracle's samples follow the density") {
  for_each_energy([](const Energy& energy) {
    const auto exact = energy.exact();
    if (!exact) return;
    const auto& space = energy.space();
    Stream stream(2, "contracts");
    // Every second variable is evidence; of the others, the first few are compared jointly.
    auto evidence = exact->sample(space.empty(), stream);
    std::vector<std::int64_t> watched;
    double cells = 1;
    for (std::int64_t i = 0; i < space.dimension(); i += 2) {
      evidence[0][i] = kUnknown;
      if (watched.size() < 4 && (cells *= double(space.cardinalities[std::size_t(i)])) <= 256)
        watched.push_back(i);
    }
    const std::int64_t N = 2000;
    const auto x = exact->sample(evidence.expand({N, -1}).contiguous(), stream);
    const auto known = (evidence != kUnknown).expand_as(x);
    CHECK(x.masked_select(known).equal(evidence.expand_as(x).masked_select(known)));

    StateSpace marginal;
    for (const auto i : watched)
      marginal.cardinalities.push_back(space.cardinalities[std::size_t(i)]);
    const auto states = all_states(marginal);  // [cells, |watched|]
    auto rows = evidence.repeat({states.size(0), 1});
    auto cell = torch::zeros({N}, torch::kLong);
    for (std::size_t w = 0; w < watched.size(); ++w) {
      rows.select(1, watched[w]).copy_(states.select(1, std::int64_t(w)));
      cell = cell * marginal.cardinalities[w] + x.select(1, watched[w]);
    }
    const auto p = (exact->log_sum(rows) - exact->log_sum(evidence)).exp();
    CHECK(p.sum().item<double>() == doctest::Approx(1));
    CHECK(test::chi_square_excess(cell.bincount({}, states.size(0)), p) < 5);
  });
}

}  // namespace
