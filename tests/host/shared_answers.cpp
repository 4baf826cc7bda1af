/// Answers that several ranks compute together.
#include <fmt/format.h>

#include <marginalia/inference/enumeration.h>

#include "families/bits.h"
#include "host/evaluation/evaluator.h"
#include "host/evaluation/shared_family.h"
#include "training_on_ranks.h"

using namespace marginalia;

namespace {

/// A family that has learned six bits.
struct Learned {
  test::TempDir folder;
  std::vector<std::unique_ptr<Experiment>> experiments;

  explicit Learned(const std::string& family, int ranks) {
    test::write_bits(folder / "rows.txt");
    const auto text = fmt::format(
        R"({{"marginalia": 2, "seed": 1, "family": {}, "training": {{"steps": 3, "batch_size": 64}},
           "dataset": {{"type": "table", "train": "rows.txt", "valid": "rows.txt", "test": "rows.txt"}},
           "evaluation": {{"rows": "all", "metrics": ["nll"]}}}})",
        family);
    for (int rank = 0; rank < ranks; ++rank) {
      experiments.push_back(std::make_unique<Experiment>(
          Spec::from_text(text, "spec.json", {folder.path(), folder.path()}),
          test::loaded_registry(), "cpu"));
      const auto run = RunDirectory::create(folder / std::to_string(rank), false);
      train(*experiments.back(), run, {}, {});
    }
  }
  Experiment& of(const Communicator& ranks) const {
    return *experiments[std::size_t(ranks.rank())];
  }
  /// Calls `ask` with a family that `size` ranks answer for together.
  template <class Ask>
  void on_ranks(int size, const Ask& ask) const {
    test::on_all_ranks(size, [&](Communicator& ranks) {
      auto& family = *of(ranks).family;
      if (!ranks.is_first()) return answer_along(family, ranks);
      const SharedFamily shared(family, ranks);
      ask(shared);
    });
  }
};

const char* kCircuit = R"({"type": "circuit", "latents": 4})";

/// The states in which some variables, other ones in each, are unknown: 64 of them.
Tensor partial_states() {
  const auto states = all_states(StateSpace::uniform(6, 2));
  const auto unknown = torch::arange(64).unsqueeze(1).remainder(torch::arange(2, 8)) == 0;
  return states.masked_fill(unknown, kUnknown);
}

}  // namespace

TEST_SUITE_BEGIN("ranks" * doctest::skip(!why_no_ranks().empty()));

TEST_CASE("ranks answer as one process does, row by row") {
  const Learned learned(kCircuit, 3);
  const auto& alone = *learned.experiments[0]->family;
  Stream stream(1, "test");
  const auto many = partial_states().repeat({3, 1}).slice(0, 0, 190);  // 3 do not divide it
  auto known = torch::full_like(many, kUnknown);
  known.select(1, 0).copy_(many.select(1, 0));
  auto allowed = torch::ones({190, 6, 2}, torch::kDouble);
  allowed.select(1, 5).select(1, 0).fill_(0.25);
  const std::vector<Query> questions{
      {.kind = QueryKind::kLogMarginal, .partial = many},
      {.kind = QueryKind::kLogMarginal, .partial = many, .given = known},
      {.kind = QueryKind::kLogMarginal, .partial = many, .allowed = allowed},
      {.kind = QueryKind::kConditionals, .partial = many},
      {.kind = QueryKind::kMaxProbable, .partial = many, .estimator = "max_product"},
      {.kind = QueryKind::kLogMarginal, .partial = many.slice(0, 0, 5)}};  // too few to share
  learned.on_ranks(3, [&](const Family& shared) {
    for (const auto& question : questions) {
      const auto together = shared.answer(question, stream), one = alone.answer(question, stream);
      CHECK(together.value.allclose(one.value, 1e-12, 1e-12, true));
      CHECK(together.states.defined() == one.states.defined());
      if (one.states.defined()) CHECK(together.states.equal(one.states));
      CHECK(together.status == one.status);
      CHECK(together.estimator == one.estimator);
      CHECK(together.passes == doctest::Approx(one.passes));
    }
  });
}

TEST_CASE("ranks draw each their own samples, by the law of one") {
  const Learned learned(kCircuit, 2);
  auto& alone = *learned.experiments[0]->family;
  const auto space = learned.experiments[0]->space();
  auto partial = space.empty().clone();
  partial[0][2] = 1;
  constexpr std::int64_t kDraws = 20000;
  learned.on_ranks(2, [&](const Family& shared) {
    Stream stream(1, "test");
    const auto drawn =
        shared.answer({.kind = QueryKind::kSample, .partial = partial.expand({kDraws, -1})}, stream)
            .states;
    REQUIRE(drawn.sizes() == at::IntArrayRef({kDraws, 6}));
    CHECK((drawn.select(1, 2) == 1).all().item<bool>());
    CHECK_FALSE(drawn.slice(0, 0, kDraws / 2).equal(drawn.slice(0, kDraws / 2)));
    const auto p = alone.answer({.kind = QueryKind::kConditionals, .partial = partial}, stream)
                       .value.exp()[0]
                       .select(1, 1);
    const auto error = (p * (1 - p) / double(kDraws)).sqrt() + 1e-9;
    const auto found = drawn.to(torch::kDouble).mean(0);
    CHECK(((found - p).abs() / error).slice(0, 3).max().item<double>() < 5);
  });
}

TEST_CASE("a question that a rank cannot answer is refused, and the next is answered") {
  const Learned learned(kCircuit, 2);
  test::on_all_ranks(2, [&](Communicator& ranks) {
    auto& family = *learned.of(ranks).family;
    if (!ranks.is_first()) {
      // Of all that is asked, what is of rank 1 fails once.
      struct FailsOnce final : Family {
        explicit FailsOnce(Family& of) : of_(of) {}
        const StateSpace& space() const override { return of_.space(); }
        std::vector<Capability> capabilities() const override { return of_.capabilities(); }
        void step(Step&) override {}
        std::vector<ParameterGroup> parameters() override { return {}; }
        void visit(StateVisitor&) override {}
        void set_training(bool) override {}
        Answer compute_answer(const Query& query, Stream& stream) const override {
          if (!std::exchange(failed_, true)) throw Error("a disk is full");
          return of_.answer(query, stream);
        }
        Family& of_;
        mutable bool failed_ = false;
      } fails(family);
      return answer_shares(fails, ranks);
    }
    const SharedFamily shared(family, ranks);
    Stream stream(1, "test");
    const Query question{.kind = QueryKind::kLogMarginal, .partial = partial_states()};
    CHECK(test::refusal([&] { shared.answer(question, stream); }) == "rank 1: a disk is full");
    CHECK(shared.answer(question, stream).value.size(0) == 64);
  });
}

TEST_CASE("an evaluation by two ranks has the figures of one process, and says so") {
  const Learned learned(kCircuit, 2);
  const auto measured = [&](Experiment& of, Communicator* ranks) {
    return evaluate(of, {of.evaluation.metrics, {0, true}, Split::kTest, 1, NAN, false, ranks});
  };
  const auto alone = measured(*learned.experiments[0], nullptr);
  CHECK_FALSE(alone.contains("ranks"));
  test::on_all_ranks(2, [&](Communicator& ranks) {
    auto& of = learned.of(ranks);
    if (!ranks.is_first()) return answer_along(*of.family, ranks);
    const auto together = measured(of, &ranks);
    CHECK(together.at("ranks") == 2);
    CHECK(measured_value(together, "nll/one_pass") ==
          doctest::Approx(measured_value(alone, "nll/one_pass")).epsilon(1e-12));
  });
}

TEST_SUITE_END();
