/// Training by several ranks: what it has in common with training by one.
#include <algorithm>
#include <atomic>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "families/bits.h"
#include "host/training/gradient_buckets.h"
#include "training_on_ranks.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

/// What a spec names beside its data.
struct Case {
  std::string name, network, family, training = "";
  double apart = 1e-10;  // in float64, of all that is learned
  int batch_size = 16;
};

const std::vector<Case>& cases() {
  const std::string mlp = R"("network": {"type": "mlp", "hidden": 16, "layers": 2})";
  const std::string made = R"("network": {"type": "made", "hidden": 16, "layers": 1})";
  const std::string by_role =
      R"("network": {"conditional": {"type": "mlp", "hidden": 16},
          "marginal": {"type": "mlp", "hidden": 16}, "causal": {"type": "made", "hidden": 16}})";
  // The gradient of F's constant is zero, for R has it twice: Adam would divide what rounding
  // leaves of it by itself.
  const std::string sgd = R"(, "optimizer": {"type": "sgd", "learning_rate": 0.1})";
  static const std::vector<Case> all{
      {"arm", made, R"({"type": "arm"})"},
      {"any_order_arm", mlp, R"({"type": "any_order_arm"})",
       R"(, "accumulate": 2, "clip_norm": 0.1, "moving_average": 0.9)"},
      {"masked_diffusion, by time", mlp, R"({"type": "masked_diffusion"})"},
      {"masked_diffusion, by size", mlp,
       R"({"type": "masked_diffusion", "objective": {"type": "elbo", "hidden": "by_size"}})"},
      {"mam, at links", mlp, R"({"type": "mam", "states": "data"})", sgd + R"(, "clip_norm": 0.1)"},
      {"mam, several masks of a row", mlp, R"({"type": "mam", "states": "data", "masks": 4})", sgd},
      {"mam, with a causal network", by_role, R"({"type": "mam", "states": "data"})", sgd},
      {"mam, in two stages along paths", mlp,
       R"({"type": "mam", "states": "data", "objective": {"stages": "two_stage",
           "targets": {"type": "paths", "blocks": 3, "points": 2}}})",
       sgd},
      {"mam, along whole orders", mlp,
       R"({"type": "mam", "states": "data",
           "objective": {"targets": {"type": "paths", "blocks": 6}}})",
       sgd},
      {"continuous_mixture, then its points", R"("note": "no network")",
       R"({"type": "continuous_mixture", "latents": 2, "hidden": 16, "points": 32,
           "points_test": 64, "refinement": {"type": "latent_optimisation", "begin": 0.5}})"},
      {"mam, along paths with a causal network", by_role,
       R"({"type": "mam", "states": "data",
           "objective": {"targets": {"type": "paths", "blocks": 3, "points": 2}}})",
       sgd}};
  return all;
}

/// Families without gradients. A circuit's statistics are in float32 always, and so is where a
/// mixture of trees starts.
const std::vector<Case>& counted_cases() {
  const std::string none = R"("note": "no network")";
  static const std::vector<Case> all{
      {"independent", none, R"({"type": "independent"})"},
      {"chow_liu", none, R"({"type": "chow_liu"})"},
      {"circuit, by batches", none, R"({"type": "circuit", "latents": 4})", "", 2e-5},
      {"circuit, by passes", none, R"({"type": "circuit", "latents": 4, "em": "full_batch"})", "",
       2e-5},
      {"mixture_of_trees", none, R"({"type": "mixture_of_trees", "components": 3})", "", 1e-5},
      {"best_of", none,
       R"({"type": "best_of", "families": ["chow_liu", {"type": "circuit", "latents": 2}],
           "every_steps": 3})",
       "", 2e-4}};
  return all;
}

/// How many ranks learn a case: more than two of the first ones alone, which takes a while.
std::vector<int> sizes_of(const Case& of) {
  return of.name == "arm" || of.name == "circuit, by passes" ? std::vector{1, 2, 4, 8}
                                                             : std::vector{1, 2};
}

std::vector<Case> all_cases() {
  auto all = cases();
  all.insert(all.end(), counted_cases().begin(), counted_cases().end());
  return all;
}

/// Rows of bits, and the specs that learn from them.
struct Table {
  test::TempDir folder;
  Table() { test::write_bits(folder / "rows.txt"); }

  Experiment experiment(const Case& of, const std::string& precision,
                        const std::string& training = R"(, "log_every_steps": 1)") const {
    const auto text = fmt::format(
        R"({{"marginalia": 2, "seed": 3, {}, "family": {},
           "dataset": {{"type": "table", "train": "rows.txt", "valid": "rows.txt",
                        "test": "rows.txt"}},
           "training": {{"steps": 20, "batch_size": {}, "precision": "{}"{}{}}}}})",
        of.network, of.family, of.batch_size, precision, of.training, training);
    return Experiment(Spec::from_text(text, "spec.json", {folder.path(), folder.path()}),
                      test::loaded_registry(), "cpu");
  }
};

/// What moves parameters by moments: a case, the precision and the optimiser.
struct CaseWithMoments {
  Case of;
  std::string precision, optimizer;
};

std::vector<CaseWithMoments> cases_with_moments() {
  const auto of = [](std::size_t number, const std::string& training) {
    auto one = cases()[number];
    one.training = training;
    one.batch_size = 24;
    return one;  // rows that 2 and 3 divide
  };
  const std::string averaged = R"(, "accumulate": 2, "clip_norm": 0.1, "moving_average": 0.9)";
  return {{of(1, averaged), "float32", R"("type": "adam")"},
          {of(0, ""), "float64", R"("type": "adamw", "weight_decay": 0.1)"},
          {of(7, ""), "float32", R"("type": "sgd", "learning_rate": 0.02, "momentum": 0.9)"},
          {of(9, ""), "float32", R"("type": "adam", "weight_decay": 0.1)"}};
}

/// The names of what the last checkpoints of two runs do not have alike.
std::vector<std::string> different_tensors(const fs::path& one, const fs::path& other) {
  const auto read = [](const fs::path& run) {
    return read_safetensors(run / "checkpoints" / "last.safetensors").tensors;
  };
  auto a = read(one), b = read(other);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : a)
    if (!b.contains(name) || !b[name].equal(tensor)) names.push_back(name);
  for (const auto& [name, _] : b)
    if (!a.contains(name)) names.push_back(name);
  return names;
}

}  // namespace

TEST_SUITE_BEGIN("ranks" * doctest::skip(!why_no_ranks().empty()));

TEST_CASE("in float64 one rank, two, four and eight learn the same in 20 steps") {
  const Table table;
  for (const auto& of : all_cases()) {
    CAPTURE(of.name);
    const auto make = [&] { return table.experiment(of, "float64"); };
    test::Learned one;
    for (const int size : sizes_of(of)) {
      CAPTURE(size);
      const auto run = table.folder / fmt::format("{} {}", of.name, size);
      auto learned = test::train_on_ranks(size, make, run);
      for (const auto& known : learned.knows)
        CHECK(known.equal(learned.knows[0]));  // bit for bit
      if (size == 1) {
        one = learned;
        continue;
      }
      const auto apart = (learned.knows[0] - one.knows[0]).abs().max().item<double>();
      CHECK(apart < of.apart);
      CHECK(learned.states[0].rows_consumed == one.states[0].rows_consumed);
      // What ranks do alike, as a pass of the decoder, is done by each.
      CHECK(learned.states[0].passes >= one.states[0].passes);
      const auto a = test::read_steady_numbers(run),
                 b = test::read_steady_numbers(table.folder / fmt::format("{} 1", of.name));
      REQUIRE(a.size() == b.size());
      for (std::size_t line = 0; line < a.size(); ++line)
        for (const auto& [name, value] : b[line].items())
          if (name != "train/passes")
            CHECK(a[line].at(name).get<double>() ==
                  doctest::Approx(value.get<double>()).epsilon(10 * of.apart));
    }
  }
}

TEST_CASE("in float32 the losses of two, four and eight ranks are those of one, to what rounding "
          "leaves") {
  const Table table;
  for (const auto& of : cases()) {
    CAPTURE(of.name);
    std::vector<double> one;
    for (const int size : sizes_of(of)) {
      CAPTURE(size);
      const auto learned = test::train_on_ranks(
          size, [&] { return table.experiment(of, "float32"); },
          table.folder / fmt::format("{} {}", of.name, size));
      const auto& losses = learned.losses[0];
      REQUIRE(losses.size() == 20);
      if (size == 1) one = losses;
      CHECK(std::abs(losses.front() - one.front()) < 1e-6 * std::abs(one.front()) + 1e-12);
      CHECK(std::abs(losses.back() - one.back()) < 1e-4 * std::abs(one.back()) + 1e-12);
    }
  }
}

TEST_CASE("two ranks that are stopped by a signal to one, and resumed, end bit for bit the same") {
  const Table table;
  // Averages, clipping and micro-batches; what is recorded of a rank's own rows.
  for (const std::size_t number : {1u, 4u}) {
    const auto& of = cases()[number];
    CAPTURE(of.name);
    const auto make = [&] {
      return table.experiment(of, "float32",
                              R"(, "log_every_steps": 3, "checkpoint": {"keep": 9})");
    };
    const auto whole = table.folder / fmt::format("whole {}", number);
    const auto unbroken = test::train_on_ranks(2, make, whole);
    const auto told = number % 2;
    const auto broken = table.folder / fmt::format("broken {}", number);
    std::vector<std::atomic<bool>> stops(2);
    stops[told] = true;  // seen by all after one step
    test::Learned resumed;
    for (int step = 1; step <= 7; ++step) {
      resumed = test::train_on_ranks(2, make, broken, &stops);
      for (const auto& state : resumed.states)
        CHECK(state.step == step);
      CHECK(std::ranges::count(resumed.outcomes, Outcome::kInterrupted) == 2);
      CHECK(fs::exists(broken / "checkpoints" / fmt::format("step_{:06}.safetensors", step)));
    }
    resumed = test::train_on_ranks(2, make, broken);
    CHECK(std::ranges::count(resumed.outcomes, Outcome::kFinished) == 2);
    CHECK(resumed.knows[0].equal(unbroken.knows[0]));
    CHECK(resumed.knows[1].equal(unbroken.knows[0]));
    CHECK(test::read_steady_numbers(broken) == test::read_steady_numbers(whole));
  }
}

TEST_CASE("a step sends little more than gradients have to, and with zero half as much again") {
  const Table table;
  for (const int size : {2, 3})
    for (const int zero : {0, 1}) {
      CAPTURE(size);
      CAPTURE(zero);
      const Case wide{"wide",
                      R"("network": {"type": "mlp", "hidden": 768, "layers": 3})",
                      R"({"type": "any_order_arm"})",
                      fmt::format(R"(, "optimizer": {{"zero": {}}})", zero),
                      0,
                      24};
      const auto learned = test::train_on_ranks(
          size, [&] { return table.experiment(wide, "float32", R"(, "log_every_steps": 1000)"); },
          table.folder / fmt::format("{} {}", size, zero));
      const auto bytes = 4.0 * double(learned.knows[0].numel());
      const auto least = 2.0 * (size - 1) * bytes;  // of all ranks, 2 (N - 1) / N of each
      const auto& sent = learned.sent;
      const auto steps = double(sent.size() - 5);  // the first ones find the order of gradients
      const auto ratio = double(sent.back() - sent[4]) / steps / least;
      CAPTURE(ratio);
      const auto expected = zero == 0 ? 1 : 1.5;
      CHECK(ratio < expected + 0.05);
      CHECK(ratio > expected - 0.05);  // as the kernel counts, rank 0 being at most a step ahead
    }
}

TEST_CASE("ranks that share moments out learn and keep the same bits, broken off or not") {
  const Table table;
  for (const auto& [of, precision, optimizer] : cases_with_moments()) {
    CAPTURE(of.name);
    const auto make = [&, &of = of, &precision = precision, &optimizer = optimizer](int zero) {
      return table.experiment(of, precision,
                              fmt::format(R"(, "optimizer": {{{}, "zero": {}}})", optimizer, zero));
    };
    for (const int size : {2, 3}) {
      CAPTURE(size);
      const auto folder = table.folder / fmt::format("{} {}", of.name, size);
      const auto without = test::train_on_ranks(
          size, [&] { return make(0); }, folder / "0");
      const auto with = test::train_on_ranks(
          size, [&] { return make(1); }, folder / "1");
      std::vector<std::atomic<bool>> stops(static_cast<std::size_t>(size));
      stops[1] = true;
      for (int step = 0; step < 3; ++step)
        test::train_on_ranks(
            size, [&] { return make(1); }, folder / "broken", &stops);
      const auto resumed = test::train_on_ranks(
          size, [&] { return make(1); }, folder / "broken");
      for (const auto* learned : {&without, &with, &resumed})
        for (const auto& parameters : learned->knows)
          CHECK(parameters.equal(without.knows[0]));
      CHECK(different_tensors(folder / "1", folder / "0").empty());
      CHECK(different_tensors(folder / "broken", folder / "0").empty());
    }
  }
}

TEST_CASE("a loss that is not finite on one rank ends all, and is said once") {
  const Table table;
  auto first = table.experiment(cases()[1], "float32");
  auto second = table.experiment(cases()[1], "float32");
  for (const auto& [_, parameter] : second.family->parameters()[0].parameters)
    Tensor(parameter).detach().fill_(NAN);
  const auto run = RunDirectory::create(table.folder / "run", false);
  const auto thrown = test::on_ranks(test::rendezvous_of(2), [&](Communicator& ranks) {
    TrainingLoop loop(ranks.is_first() ? first : second,
                      {ranks.is_first() ? &run : nullptr, &ranks}, {}, {});
    loop.advance();
  });
  const auto text = test::said_by(thrown[0]);
  CAPTURE(text);
  CHECK(text.starts_with("the loss is "));
  CHECK(text.find("nan at step 0; the state that led to it is in ") != std::string::npos);
  CHECK(thrown[1]);
  CHECK(fs::exists(run.checkpoints() / "not_finite.safetensors"));
}

TEST_CASE("gradients that only some ranks have are no sum") {
  const auto thrown = test::on_ranks(test::rendezvous_of(2), [](Communicator& ranks) {
    auto a = torch::ones({3}, torch::requires_grad()), b = torch::ones({3}, torch::requires_grad());
    GradientBuckets buckets(ranks, {{"all", {{"a", a}, {"b", b}}}});
    buckets.backward((ranks.is_first() ? a + b : a).sum(), "");
  });
  for (const auto& one : thrown)
    CHECK(test::said_by(one) ==
          "ranks have gradients of different parameters in one step, so that there is no sum of "
          "them");
}

TEST_CASE("parameters that are frozen or thawed between steps are summed all the same") {
  test::on_all_ranks(2, [](Communicator& ranks) {
    const auto own = double(ranks.rank() + 1);
    auto a = torch::ones({3}, torch::requires_grad()), b = torch::ones({2}, torch::requires_grad());
    GradientBuckets buckets(ranks, {{"first", {{"a", a}}}, {"second", {{"b", b}}}});
    for (int step = 0; step < 6; ++step) {
      const bool both = step == 2 || step == 3;
      buckets.backward((own * (both ? a.sum() + b.sum() : a.sum())), "");
      if (!a.grad().equal(torch::full({3}, 3.0))) throw Error("a");
      if (both != b.grad().defined()) throw Error("b is there");
      if (both && !b.grad().equal(torch::full({2}, 3.0))) throw Error("b");
      for (auto* parameter : {&a, &b})
        parameter->mutable_grad() = Tensor();
    }
    // Of one group alone: what the others have is their own, until their turn comes.
    buckets.backward(own * (a.sum() + b.sum()), "first");
    if (!a.grad().equal(torch::full({3}, 3.0))) throw Error("a of one group");
    if (!b.grad().equal(torch::full({2}, own))) throw Error("b of another group");
    buckets.backward(own * b.sum(), "second");
    if (!b.grad().equal(torch::full({2}, 6.0))) throw Error("b in its turn");
  });
}

TEST_SUITE_END();

TEST_CASE("what ranks cannot train together is refused, with every reason") {
  const Table table;
  const auto refusal = [&](const Case& of, int ranks) {
    const auto experiment = table.experiment(of, "float32");
    return test::refusal([&] { check_data_parallel(experiment, ranks); });
  };
  CHECK(refusal(cases()[0], 4) == "accepted");
  CHECK(refusal(cases()[0], 3) ==
        "3 ranks cannot train this: training.batch_size is 16, which they do not divide; 18 would "
        "do");
}

TEST_CASE("zero is 0 or 1") {
  const Table table;
  const Case two{"", cases()[1].network, cases()[1].family, R"(, "optimizer": {"zero": 2})"};
  CHECK(test::refusal([&] {
          table.experiment(two, "float32");
        }).find("\"optimizer.zero\" must be at most 1, not 2") != std::string::npos);
}
