// Chains that stand for exact samples: when, how good, and under which key they are kept.
#include "marginalia_test.h"

#include <cmath>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "host/evaluation/evaluator.h"
#include "host/experiment/ground_truth_chains.h"
#include "host/formats/safetensors.h"
#include "host/training/trainer.h"
#include "records/runs/run_directory.h"

using namespace marginalia;
using torch::Tensor;
namespace fs = std::filesystem;

namespace {

/// 13 x 13: the transfer matrix is past its limit. The model is chains too, nothing to learn.
constexpr const char* kSpec = R"({"marginalia": 2, "seed": 3,
    "energy": {"type": "ising", "side": 13, "coupling": 0.2, "field": 0.1},
    "family": {"type": "mcmc", "sampler": "gibbs", "chains": 10, "burn_in": 30, "sweeps": 3},
    "training": {"steps": 1},
    "evaluation": {"rows": 40, "metrics": ["observables"],
                   "reference": {"samples": 100, "family":
                       {"type": "mcmc", "sampler": "auto", "chains": 8, "burn_in": 30,
                        "sweeps": 3}}}})";

Experiment variant(const std::vector<std::string>& settings, const DataPaths& paths = {},
                   const char* text = kSpec) {
  return Experiment(Spec::from_text(text, "spec.json", paths).with(settings),
                    test::loaded_registry(), "cpu");
}

std::string key(const std::vector<std::string>& settings, const DataPaths& paths = {}) {
  return variant(settings, paths).reference->key();
}

std::string cache_note(const DataPaths& paths) {
  return variant({}, paths).reference->samples()->about.at("cache").get<std::string>();
}

/// evaluation.json of the model after its one step.
Json evaluated(const std::vector<std::string>& settings) {
  test::TempDir folder;
  auto experiment = variant(settings);
  train(experiment, RunDirectory::create(folder / "run", false), {}, {});
  return evaluate(experiment,
                  {experiment.evaluation.metrics, {40, false}, Split::kTest, experiment.seed, NAN});
}

/// log f alone of another energy.
class Opaque final : public Energy {
 public:
  explicit Opaque(std::shared_ptr<Energy> of) : of_(std::move(of)) {}
  const StateSpace& space() const override { return of_->space(); }

 private:
  Tensor compute_log_density(const Tensor& x) const override { return of_->log_density(x); }
  std::shared_ptr<Energy> of_;
};

TEST_CASE("the key of reference samples changes with everything they depend on") {
  const std::string reference = "evaluation.reference.";
  const auto tempering = reference + R"(family.sampler={"type": "parallel_tempering")";
  const std::vector<std::vector<std::string>> changes{{},
                                                      {"energy.coupling=0.3"},
                                                      {"energy.field=0"},
                                                      {"energy.side=12"},
                                                      {"energy.boundary=open"},
                                                      {"energy.type=potts", "energy.states=2"},
                                                      {reference + "samples=101"},
                                                      {reference + "seed=1"},
                                                      {reference + "family.sampler=gibbs"},
                                                      {reference + "family.sampler=swendsen_wang"},
                                                      {reference + "family.chains=9"},
                                                      {reference + "family.sweeps=4"},
                                                      {reference + "family.burn_in=31"},
                                                      {tempering + "}"},
                                                      {tempering + R"(, "temperatures": 4})"},
                                                      {tempering + R"(, "hottest": 0.5})"}};
  std::set<std::string> keys;
  for (const auto& settings : changes) {
    CAPTURE(settings.empty() ? "nothing" : settings.front());
    CHECK(keys.insert(key(settings)).second);
  }
  for (const auto& setting : {"seed=4", "note=other", "training.steps=9", "evaluation.rows=7",
                              "family.chains=20", "evaluation.reference.use=always"}) {
    CAPTURE(setting);
    CHECK(key({setting}) == key({}));
  }
}

TEST_CASE("the key follows what is in the energy's files, not where they lie") {
  const test::TempDir here, there;
  const auto write = [](const test::TempDir& folder, double coupling) {
    std::ofstream out(folder / "bonds.txt");
    for (int bond = 0; bond < 18; ++bond)
      out << (bond == 7 ? coupling : 0.3) << "\n";
  };
  const auto of = [&](const test::TempDir& folder) {
    return key({"energy.side=3", "energy.couplings=bonds.txt"}, {folder.path(), {}});
  };
  write(here, 0.3);
  write(there, 0.3);
  const auto first = of(here);
  CHECK(of(there) == first);
  write(here, 0.31);
  CHECK(of(here) != first);
  write(here, 0.3);
  std::ofstream(here / "bonds.txt", std::ios::app) << "# the same numbers\n";
  CHECK(of(here) != first);  // rather made once too often
}

TEST_CASE("the key follows the energy's values, whatever the spec says of it") {
  const auto spec = Spec::from_text(kSpec, "spec.json");
  const auto resolved = variant({}).resolved;
  const auto of = [&](const char* energy) {
    return GroundTruthChains(spec, resolved, {}, test::loaded_registry(),
                             test::make<Energy>(energy))
        .key();
  };
  const auto plain = of(R"({"type": "ising", "side": 4, "coupling": 0.2})");
  CHECK(of(R"({"type": "ising", "side": 4, "coupling": 0.2})") == plain);
  CHECK(of(R"({"type": "ising", "side": 4, "coupling": 0.2000001})") != plain);
}

TEST_CASE("reference samples are kept, read again, and made anew where the file is damaged") {
  const test::TempDir cache;
  const DataPaths paths{{}, {}, cache.path()};
  auto first = variant({}, paths), second = variant({}, paths);
  const auto made = first.reference->samples(), read = second.reference->samples();
  const auto name = "reference/" + first.reference->key() + ".safetensors";
  const auto file = cache.path() / name;
  CHECK(made->about["cache"] == "made; kept as " + name);
  CHECK(read->about["cache"] == "read from " + name);
  CHECK(read->states.equal(made->states));
  for (const auto* same : {"method", "chains", "draws", "split_r_hat", "autocorrelation_time",
                           "effective_samples", "energy_evaluations", "seconds", "key"}) {
    CAPTURE(same);
    CHECK(read->about.at(same) == made->about.at(same));
  }
  fs::resize_file(file, fs::file_size(file) / 2);
  CHECK(cache_note(paths).starts_with("made anew, as the file in the cache was refused ("));
  CHECK(cache_note(paths) == "read from " + name);
  // A file of other samples under this name.
  auto other = read_safetensors(file);
  other.metadata.erase("sha256");
  other.metadata["identity"] = "{}";
  write_safetensors(file, other);
  CHECK(cache_note(paths).starts_with(
      "made anew, as the file in the cache was refused (made for something else)"));
}

TEST_CASE("without a place to keep them reference samples are made all the same") {
  CHECK(cache_note({}) == "made; not kept, there is no cache directory");
  const test::TextFile in_the_way("no folder");
  CHECK(cache_note({{}, {}, in_the_way.path}).starts_with("made; not kept: "));
}

TEST_CASE("reference samples come in chains, with diagnostics, and depend on their seed alone") {
  auto experiment = variant({});
  const auto samples = experiment.reference->samples();
  CHECK(samples->states.sizes() == at::IntArrayRef{8, 13, 169});  // 104 states, 100 asked for
  const auto& about = samples->about;
  CHECK(about["method"] == "swendsen_wang");
  CHECK(about["chains"] == 8);
  CHECK(about["draws"] == 13);
  CHECK(about["energy_evaluations"] == (30 + 13 * 3) * 8 * 169);
  CHECK(about["family"]["burn_in"] == 30);
  CHECK(about["split_r_hat"]["log_density"].get<double>() < 1.5);
  const auto time = std::max(about["autocorrelation_time"]["log_density"].get<double>(),
                             about["autocorrelation_time"]["mean_value"].get<double>());
  CHECK(time >= 0.5);
  CHECK(about["effective_samples"].get<double>() == doctest::Approx(104 / (2 * time)));
  CHECK(variant({"seed=9"}).reference->samples()->states.equal(samples->states));
  CHECK_FALSE(
      variant({"evaluation.reference.seed=9"}).reference->samples()->states.equal(samples->states));
}

TEST_CASE("chains stand for exact samples where there are none, or where they are asked for") {
  const auto source = [](const Json& evaluation) {
    return evaluation.at("metrics").at("observables").at("energy").at("source");
  };
  const auto wide = evaluated({});
  CHECK(source(wide) == "chains (swendsen_wang)");
  CHECK(wide.at("metrics").at("observables").at("energy").at("reference_samples") == 104);
  CHECK(wide.at("reference").at("method") == "swendsen_wang");

  const auto narrow = evaluated({"energy.side=3"});
  CHECK(source(narrow) == "exact samples");
  CHECK_FALSE(narrow.contains("reference"));

  const auto asked = evaluated({"energy.side=3", "evaluation.reference.use=always"});
  CHECK(source(asked) == "chains (swendsen_wang)");
  CHECK(asked.at("reference").at("chains") == 8);

  const auto never = evaluated({"evaluation.reference.use=never"});
  CHECK(
      never.at("unavailable")
          .at("observables")
          .get<std::string>()
          .starts_with("needs states of the truth: no dataset, no chains, and no exact samples ("));
  CHECK(never.at("reference").at("unavailable") == "evaluation.reference.use is \"never\"");
}

TEST_CASE("chains are run unasked only where they are cheap") {
  auto dear = variant({"evaluation.reference.family.burn_in=1000000"});
  CHECK(dear.reference->samples().reason ==
        "its chains would take 1.4e+09 energy evaluations, which are made only where "
        "evaluation.reference.use is \"always\"");
  const auto spec = Spec::from_text(kSpec, "spec.json");
  const auto opaque = std::make_shared<Opaque>(test::make<Energy>(R"({"type": "ising"})"));
  ReferenceParams params;
  params.samples = 20;
  GroundTruthChains unasked(spec, variant({}).resolved, params, test::loaded_registry(), opaque);
  CHECK(unasked.samples().reason ==
        "the energy has neither factors nor local conditionals, so that chains are run only where "
        "evaluation.reference.use is \"always\"");
}

TEST_CASE("the sampler that suits an energy") {
  const auto spec = Spec::from_text(kSpec, "spec.json");
  const auto resolved = variant({}).resolved;
  const auto chosen = [&](std::shared_ptr<const Energy> energy) {
    ReferenceParams params;
    params.use = "always";
    Json family{{"type", "mcmc"}, {"sampler", "auto"}, {"chains", 2}, {"burn_in", 1}};
    params.samples = 4;
    params.family.spec = std::make_shared<Spec>(Spec::from_text(family.dump(), "family"));
    GroundTruthChains reference(spec, resolved, params, test::loaded_registry(), std::move(energy));
    return reference.samples()->about["method"].get<std::string>();
  };
  CHECK(chosen(test::make<Energy>(R"({"type": "potts", "side": 3})")) == "swendsen_wang");
  CHECK(chosen(test::make<Energy>(R"({"type": "spin_glass", "side": 3})")) == "parallel_tempering");
  CHECK(chosen(test::make<Energy>(R"({"type": "ising", "side": 3, "coupling": -0.1})")) ==
        "parallel_tempering");
  const auto small = test::make<Energy>(R"({"type": "ising", "side": 3})");
  CHECK(chosen(std::make_shared<Opaque>(small)) == "metropolis");
}

TEST_CASE("a reference that cannot be is refused before any work") {
  CHECK(test::refusal(
            [] { variant({"evaluation.reference.family={\"type\": \"belief_propagation\"}"}); }) ==
        "evaluation.reference: family belief_propagation (plugin belief_propagation): it runs no "
        "chains of an energy; take mcmc");
  CHECK(test::refusal([] { variant({"evaluation.reference.family.chain=9"}); }) ==
        "spec.json: /evaluation/reference/family: mcmc cannot be built\n"
        "  - \"chain\" is not a parameter of mcmc; did you mean \"chains\"?\n"
        "  it takes: sampler, chains, sweeps, burn_in");
  CHECK(test::refusal([] {
          variant({"energy.coupling=-0.2", "evaluation.reference.family.sampler=swendsen_wang"});
        }).find("need couplings that favour equal values") != std::string::npos);
}

/// A family that offers reference chains, and none otherwise.
class Offering final : public Family {
 public:
  static constexpr const char* kName = "offering";
  static constexpr const char* kSummary = "offers chains that it does not run";
  static constexpr const char* kReferenceChains = R"({"pace": 3})";
  struct Params {
    std::int64_t pace = 1;
    void visit(ParamVisitor& p) { p("pace", pace, {.doc = "of no chain"}); }
  };
  Offering(const Params& params, const FamilyContext& context)
      : pace_(params.pace), space_(context.space) {}
  const StateSpace& space() const override { return space_; }
  std::vector<Capability> capabilities() const override { return {}; }
  void step(Step&) override {}
  std::vector<ParameterGroup> parameters() override { return {}; }
  void visit(StateVisitor&) override {}
  void set_training(bool) override {}
  Offer<ChainSource> chains() const override {
    return Offer<ChainSource>::none(fmt::format("at pace {} it runs none", pace_));
  }

 private:
  Answer compute_answer(const Query&, Stream&) const override { return {}; }
  std::int64_t pace_;
  StateSpace space_;
};

TEST_CASE("the family that declares reference chains is the one, whatever its name") {
  const auto refused = [](const Registry& registry) {
    const auto spec = Spec::from_text(kSpec, "spec.json");
    const ReferenceParams params{.use = "always", .samples = 10, .seed = 0, .family = {}};
    const std::shared_ptr<Energy> energy = test::make<Energy>(R"({"type": "ising", "side": 3})");
    return test::refusal([&] { GroundTruthChains(spec, spec.json(), params, registry, energy); });
  };
  Registry registry;
  CHECK(refused(registry) ==
        "evaluation.reference.family: no loaded family offers reference chains");
  registry.add<Offering>();
  CHECK(refused(registry) ==
        "evaluation.reference: family offering (plugin host): at pace 3 it runs none; take "
        "offering");
  auto both = test::loaded_registry();
  both.add<Offering>();
  CHECK(refused(both) == "evaluation.reference.family: several families offer reference chains; "
                         "name one: mcmc or offering");
}

/// Reference chains of three variables, x2 = x0 xor x1, as `family` runs them.
Json measured_against(const std::string& family, const std::shared_ptr<Energy>& energy,
                      const DataPaths& paths) {
  const auto spec = Spec::from_text(
      R"({"marginalia": 2, "seed": 1, "energy": {"type": "ising", "sides": [3]},
          "family": {"type": "mcmc", "sampler": "metropolis", "chains": 8},
          "training": {"steps": 1},
          "evaluation": {"metrics": ["single_marginals", "observables"],
                         "reference": {"use": "always", "samples": 200, "family": )" +
          family + "}}}",
      "spec.json", paths);
  Experiment experiment(spec, test::loaded_registry(), "cpu");
  const auto of_family = std::exchange(experiment.energy, energy);  // which holds on to it
  experiment.reference = std::make_shared<GroundTruthChains>(
      spec, experiment.resolved, experiment.evaluation.reference, test::loaded_registry(), energy);
  return evaluate(experiment,
                  {experiment.evaluation.metrics, {40, false}, Split::kTest, experiment.seed, NAN});
}

TEST_CASE("chains of which variables never moved are no truth, made or kept") {
  const test::TextFile file(
      "BAYES 3 2 2 2 3 1 0 1 1 3 0 1 2  2 0.1 0.9 2 0.5 0.5  8 1 0 0 1 0 1 1 0");
  const auto energy =
      test::make<Energy>(R"({"type": "factor_graph", "file": ")" + file.path.string() + "\"}");
  const test::TempDir cache;
  const DataPaths paths{{}, {}, cache.path()};
  const std::string metropolis = R"({"type": "mcmc", "sampler": "metropolis", "chains": 8})";
  for (const auto* note : {"made", "read from"}) {
    CAPTURE(note);
    const auto stuck = measured_against(metropolis, std::make_shared<Opaque>(energy), paths);
    const auto& reference = stuck.at("reference");
    CHECK(reference.at("never_moved") == Json{0, 1, 2});
    CHECK(reference.at("effective_samples") == 0);
    CHECK(reference.at("cache").get<std::string>().starts_with(note));
    const auto why = stuck.at("unavailable").at("single_marginals").get<std::string>();
    CHECK(why.find("the reference chains are no truth: variables 0, 1 and 2 never moved: ") !=
          why.npos);
    CHECK(
        reference.at("unavailable").get<std::string>().starts_with("the reference chains are no"));
  }
  const auto moved = measured_against(metropolis, energy, {});
  CHECK_FALSE(moved.at("reference").contains("never_moved"));
  CHECK_FALSE(moved.at("reference").contains("unavailable"));
  CHECK(moved.at("reference").at("effective_samples").get<double>() > 20);
}

TEST_CASE("chains that never come to an allowed state are no truth") {
  class Needle final : public Energy {  // one state of 3^40 is allowed
   public:
    const StateSpace& space() const override { return space_; }

   private:
    Tensor compute_log_density(const Tensor& x) const override {
      return torch::where((x == 1).all(1), 0.0, -INFINITY).to(torch::kDouble);
    }
    StateSpace space_ = StateSpace::uniform(40, 3);
  };
  const auto result =
      measured_against(R"({"type": "mcmc", "sampler": "metropolis", "chains": 4, "burn_in": 2})",
                       std::make_shared<Needle>(), {});
  CHECK(result.at("reference").at("forbidden_states") == 200);
  CHECK(result.at("reference").at("split_r_hat").at("log_density").is_null());
  CHECK(result.at("unavailable")
            .at("observables")
            .get<std::string>()
            .find("200 states of its chains are forbidden") != std::string::npos);
}

TEST_CASE("a metric that needs states says that there are none of any kind") {
  const auto result =
      evaluated({"family={\"type\": \"belief_propagation\"}", "evaluation.reference.use=never",
                 "evaluation.metrics=[\"sum_rule\"]"});
  const auto why = result.at("unavailable").at("sum_rule").get<std::string>();
  CHECK(why.starts_with("needs states: there are no exact samples ("));
  CHECK(why.ends_with("), no chains (evaluation.reference.use is \"never\"), no dataset, and the "
                      "family does not sample"));
}

}  // namespace
