#include "fakes.h"

#include "shared/chemistry/chemistry.h"

using namespace marginalia;
using namespace marginalia::test::metrics;
using doctest::Approx;

namespace {

const State kEthanol{2, 2, 4, 6, 6}, kEthanolTurned{4, 2, 2, 6, 6}, kMethane{2, 6, 6, 6, 6},
    kAmine{2, 3, 6, 6, 6}, kNitrile{2, 2, 0, 3, 6}, kBroken{2, 1, 2, 6, 6}, kNothing(5, 6);

/// Two molecules in five characters each, the last of them padding.
Rows two_molecules() {
  auto space = StateSpace::uniform(5, 7);
  space.alphabet = {"#", "(", "C", "N", "O", "c", " "};
  return {space, stack_rows({kEthanol, kNitrile})};
}

struct Subject {
  WholeEnergy energy;
  TableFamily family{energy};
  Rows data = two_molecules();
  FakeEvaluation evaluation{family};
  Subject() { evaluation.rows_given = &data; }
};

}  // namespace

TEST_CASE("molecules counts what is valid, different and new, and compares properties") {
  Subject subject;
  subject.evaluation.samples.states =
      stack_rows({kEthanol, kBroken, kAmine, kEthanolTurned, kNothing, kMethane});
  if (chemistry::rdkit_version().empty()) {
    CHECK(unavailable("molecules", subject.evaluation).find("librdkit-dev") != std::string::npos);
    return;
  }
  auto measurements = run_metric("molecules", subject.evaluation);
  CHECK(measurements["validity"].value == Approx(4.0 / 6));
  CHECK(*measurements["validity"].stderr_ == Approx(std::sqrt(4.0 / 6 * 2 / 6 / 6)));
  CHECK(measurements["validity"].more["rdkit"] == chemistry::rdkit_version());
  CHECK(measurements["validity"].more["left_out"] ==
        "wasserstein_SA: no chem_reference/sa_fragment_scores.bin");
  CHECK(measurements["uniqueness"].value == Approx(3.0 / 4));
  CHECK(measurements["novelty"].value == Approx(2.0 / 3));
  CHECK(measurements["novelty"].more["train_rows"] == 2);
  // Sorted and brought to the same number: 16.043 31.058 46.069 46.069 and 41.053 twice, 46.069
  // twice.
  CHECK(measurements["wasserstein_weight"].value ==
        Approx((41.053 - 16.043 + 41.053 - 31.058) / 4).epsilon(1e-4));
  CHECK(measurements["wasserstein_weight"].unit == "g/mol");
  CHECK(measurements["wasserstein_weight"].more["split"] == "valid");
  CHECK_FALSE(measurements.contains("wasserstein_SA"));

  std::vector<chemistry::Fingerprint> prints;
  for (const auto* smiles : {"CCO", "CN", "OCC", "C"})
    prints.push_back(chemistry::Molecule(smiles).fingerprint());
  double sum = 0;
  for (const auto& a : prints)
    for (const auto& b : prints)
      sum += chemistry::similarity(a, b);
  CHECK(measurements["internal_diversity"].value == Approx(1 - sum / 16));
}

TEST_CASE("molecules of the data itself are valid, known and at no distance") {
  Subject subject;
  if (chemistry::rdkit_version().empty()) return;
  subject.evaluation.samples.states = stack_rows({kNitrile, kEthanol});
  auto measurements = run_metric("molecules", subject.evaluation);
  CHECK(measurements["validity"].value == 1);
  CHECK(measurements["uniqueness"].value == 1);
  CHECK(measurements["novelty"].value == 0);
  for (const auto* name : {"wasserstein_logP", "wasserstein_QED", "wasserstein_weight"})
    CHECK(measurements[name].value == 0);
  CHECK_FALSE(
      run_metric("molecules", subject.evaluation, R"("novelty": false)").contains("novelty"));
}

TEST_CASE("molecules says why it cannot be computed") {
  Subject subject;
  if (chemistry::rdkit_version().empty()) return;
  subject.evaluation.samples.states = stack_rows({kBroken, kNothing});
  CHECK(run_metric("molecules", subject.evaluation).size() == 1);
  remove(subject.family, QueryKind::kSample);
  CHECK(unavailable("molecules", subject.evaluation) ==
        "needs samples of the model, and the family does not sample");
  const Rows letters(subject.data.space(), stack_rows({kBroken, kNothing}));
  Subject other;
  other.evaluation.rows_given = &letters;
  CHECK(unavailable("molecules", other.evaluation) ==
        "needs a dataset of molecules; RDKit reads none of its first rows");
  const Rows numbers(StateSpace::uniform(2, 2), stack_rows({{0, 1}}));
  other.evaluation.rows_given = &numbers;
  CHECK(unavailable("molecules", other.evaluation) == "needs a dataset of molecules");
  other.evaluation.rows_given = nullptr;
  CHECK(unavailable("molecules", other.evaluation) == "needs a dataset of molecules");
}
