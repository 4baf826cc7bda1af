#include "brute_force.h"

#include "bits.h"
#include "plugins/families/circuit/hidden_tree.h"
#include "plugins/families/circuit/max_product.h"

#include <marginalia/inference/enumeration.h>

using namespace marginalia;

namespace {

const char* kCircuit = R"({"type": "circuit", "latents": 3, "em": "full_batch"})";
const char* kMiniBatches = R"({"type": "circuit", "latents": 3})";
const char* kResampled = R"({"type": "circuit", "latents": 3, "tree": "resampled"})";
const char* kTrees = R"({"type": "mixture_of_trees", "components": 3})";

/// "train/log_likelihood" of every step, by metrics.jsonl.
std::vector<double> likelihoods(const std::filesystem::path& run) {
  std::vector<double> values;
  std::ifstream lines(run / "metrics.jsonl");
  for (std::string line; std::getline(lines, line);)
    if (const auto json = Json::parse(line); json.contains("train/log_likelihood"))
      values.push_back(json.at("train/log_likelihood").get<double>());
  return values;
}

/// 30 rows of 12 bits that have nothing to do with each other.
class NoisyBits final : public Dataset {
 public:
  NoisyBits() {
    torch::manual_seed(6);
    rows_ = torch::randint(2, {30, 12}, torch::kLong);
  }
  const StateSpace& space() const override { return space_; }
  std::int64_t size(Split) const override { return rows_.size(0); }

 private:
  Tensor compute_rows(Split, const Tensor& indices, std::uint64_t) const override {
    return rows_.index_select(0, indices);
  }
  StateSpace space_ = StateSpace::uniform(12, 2);
  Tensor rows_;
};

/// The tree of a circuit.
class ParentFinder final : public StateVisitor {
 public:
  Tensor parent;
  void operator()(const std::string& name, Tensor& tensor) override {
    if (name == "model.parent") parent = tensor.clone();
  }

 private:
  void parameter(const std::string&, Tensor&) override {}
};

double divergence(const std::string& family, int steps) {
  return test::divergence_of_bits(family,
                                  fmt::format(R"({{"batch_size": 100, "steps": {}}})", steps));
}

}  // namespace

TEST_CASE("circuits: marginals, conditionals and samples are exact") {
  for (const std::string family : {kCircuit, kMiniBatches, kResampled, kTrees}) {
    CAPTURE(family);
    test::check_exact(test::TrainedOnRows(family, 6).family());
  }
}

TEST_CASE("trees of resampled rows differ from draw to draw, that of the rows does not") {
  const NoisyBits bits;
  const auto parents = [&](bool resampled, std::uint64_t seed) {
    circuit::HiddenTree tree(bits.space(), {.latents = 2, .smoothing = 1, .resampled = resampled});
    Stream stream(seed, "test");
    tree.start(bits, stream);
    ParentFinder finder;
    tree.visit(finder);
    CHECK((finder.parent < 0).sum().item<std::int64_t>() == 1);
    return finder.parent;
  };
  CHECK(parents(false, 1).equal(parents(false, 2)));
  CHECK(!parents(true, 1).equal(parents(true, 2)));
  CHECK(!parents(true, 1).equal(parents(false, 1)));
  CHECK(parents(true, 1).equal(parents(true, 1)));
}

TEST_CASE("a step of EM never makes the data less likely") {
  for (const std::string family :
       {R"({"type": "circuit", "latents": 4, "em": "full_batch", "smoothing": 1e-6})",
        R"({"type": "mixture_of_trees", "components": 4, "smoothing": 1e-6})"}) {
    CAPTURE(family);
    const test::TrainedOnRows model(family, 40, R"("log_every_steps": 1)");
    const auto values = likelihoods(model.folder / "run");
    REQUIRE(values.size() >= 39);
    for (std::size_t n = 1; n < values.size(); ++n) {
      CAPTURE(n);
      CHECK(values[n] > values[n - 1] - 1e-5);  // float32 sums
    }
    CHECK(values.back() > values.front() + 0.1);
  }
}

TEST_CASE("what a step of EM says of the data is what the model answered before it") {
  const test::TrainedOnRows before(kCircuit, 5), after(kCircuit, 6, R"("log_every_steps": 1)");
  const auto mean = before.log_p(test::mixed_rows()).mean().item<double>();
  CHECK(likelihoods(after.folder / "run").back() == doctest::Approx(mean).epsilon(1e-5));
}

TEST_CASE("circuits learn bits that repeat") {
  CHECK(divergence(R"({"type": "circuit", "latents": 4, "em": "full_batch"})", 60) < 0.05);
  CHECK(divergence(R"({"type": "circuit", "latents": 4, "final_step_size": 0.05})", 200) < 0.05);
  CHECK(divergence(R"({"type": "mixture_of_trees", "components": 2})", 20) < 0.08);
}

TEST_CASE("max-product finds the best of all explanations") {
  torch::manual_seed(8);
  const std::int64_t D = 4, H = 3, K = 2;
  const auto parent = torch::tensor({2, -1, 1, 1}), order = torch::tensor({1, 3, 2, 0});
  const auto transition = torch::randn({D, H, H}, torch::kDouble);
  const auto emission = torch::randn({D, H, K}, torch::kDouble);
  const auto all_x = all_states(StateSpace::uniform(D, K)),
             all_z = all_states(StateSpace::uniform(D, H));
  const auto partial = torch::tensor({{-1, -1, -1, -1}, {1, -1, 0, -1}, {0, 1, 1, 0}});
  const auto found = circuit::max_product(parent, order, transition, emission, partial);
  for (std::int64_t b = 0; b < partial.size(0); ++b) {
    double best = -INFINITY;
    Tensor best_x;
    for (const auto& x : all_x.unbind(0)) {
      if (!(partial[b] == kUnknown).logical_or(partial[b] == x).all().item<bool>()) continue;
      for (const auto& z : all_z.unbind(0)) {
        double value = 0;
        for (std::int64_t i = 0; i < D; ++i) {
          const auto above = parent[i].item<std::int64_t>();
          const auto from = above < 0 ? 0 : z[above].item<std::int64_t>();
          const auto h = z[i].item<std::int64_t>();
          value += transition[i][from][h].item<double>() +
                   emission[i][h][x[i].item<std::int64_t>()].item<double>();
        }
        if (value > best) {
          best = value;
          best_x = x;
        }
      }
    }
    CHECK(found[b].equal(best_x));
  }
}

TEST_CASE("circuits find the most probable completion and prove it") {
  for (const std::string family : {kCircuit, kTrees}) {
    CAPTURE(family);
    for (const int steps : {1, 30})
      test::check_most_probable(test::TrainedOnRows(family, steps).family());
  }
}

TEST_CASE("max_product's completion keeps the evidence and beats most draws") {
  for (const std::string family : {kCircuit, kTrees}) {
    CAPTURE(family);
    const test::TrainedOnRows model(family, 30);
    Stream stream(2, "test");
    auto given = torch::full({1, 5}, kUnknown, torch::kLong);
    given[0][4] = 2;
    const Query query{
        .kind = QueryKind::kMaxProbable, .partial = given, .estimator = "max_product"};
    const auto answer = model.family().answer(query, stream);
    CHECK((answer.status == Status::kLower));
    CHECK(answer.states[0][4].item<std::int64_t>() == 2);
    CHECK(answer.value.allclose(model.log_p(answer.states, given)));
    const auto states = all_states(model.family().space());
    const auto others = states.index({states.select(1, 4) == 2});
    const auto log_p = model.log_p(others, given.expand_as(others).contiguous());
    CHECK(answer.value.item<double>() > log_p.max().item<double>() - 0.5);
  }
}

TEST_CASE("circuits learn from data alone, and answer after a step") {
  for (const std::string name : {"circuit", "mixture_of_trees"}) {
    const auto text = R"({"marginalia": 2, "energy": {"type": "ising", "side": 3},
                          "family": {"type": ")" +
                      name + "\"}}";
    CHECK(test::refusal([&] {
            const Experiment experiment(test::in_float32(Spec::from_text(text, "spec.json")),
                                        test::loaded_registry(), "cpu");
          }) ==
          "family " + name + " (plugin circuit): learns from a \"dataset\"; the spec has none");
    const test::TrainedOnRows untrained("{\"type\": \"" + name + "\"}", 0);
    CHECK(test::refusal([&] { untrained.log_p(untrained.family().space().empty()); }) ==
          "not trained yet: it takes one step");
  }
}
