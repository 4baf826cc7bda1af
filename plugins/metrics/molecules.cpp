/// \file
/// The model's molecules against those of the data.
///
/// validity: the share of samples that RDKit reads; uniqueness: of these, the share of different
/// ones; novelty: of those, the share that is not in train; internal_diversity: 1 minus the mean
/// Tanimoto similarity over all pairs of valid samples, a sample with itself included, of Morgan
/// fingerprints of radius 2 and 1024 bits; wasserstein_*: of a property of the valid samples and of
/// rows of the split,
///   W1 = integral of |F_model(t) - F_data(t)| dt.
/// Source: Polykovskiy et al. (2020), Front. Pharmacol. 11, 565644 (MOSES).
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <functional>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include <torch/types.h>

#include <marginalia/dataset.h>
#include <marginalia/files.h>
#include <marginalia/metric.h>
#include <marginalia/plugin.h>

#include "shared/chemistry/chemistry.h"
#include "shared/measure/measure.h"
#include "shared/selfies/selfies.h"

namespace {

using namespace marginalia;

using Texts = std::vector<std::string>;
using Numbers = std::vector<double>;

constexpr std::int64_t kRowsAtOnce = 8192;

/// What is measured of one molecule.
struct Measured {
  std::string canonical;
  chemistry::Fingerprint fingerprint;
  double log_p, qed, weight;
  std::optional<double> accessibility = {};  ///< none without the fragments' scores
};

/// "[C]" and ".": tokens of SELFIES.
bool is_token(const std::string& letter) {
  return letter == "." || (letter.size() > 2 && letter.front() == '[' && letter.back() == ']');
}

/// How a row's text becomes SMILES.
class Reader {
 public:
  Reader(const StateSpace& space, const std::string& constraints)
      : selfies_(std::ranges::all_of(space.alphabet, is_token)),
        constraints_(selfies::Constraints::preset(constraints)) {}

  /// Empty where the text is no SELFIES.
  std::string smiles(const std::string& text) const {
    if (!selfies_) return text;
    try {
      return selfies::decode(text, constraints_);
    } catch (const selfies::Malformed&) {
      return "";
    }
  }
  /// Empty where RDKit does not read it.
  std::optional<chemistry::Molecule> molecule(const std::string& text) const {
    try {
      return chemistry::Molecule(smiles(text));
    } catch (const chemistry::Unreadable&) {
      return {};
    }
  }

 private:
  bool selfies_;
  selfies::Constraints constraints_;
};

Texts to_texts(const Dataset& dataset, const Tensor& states) {
  Texts texts;
  for (std::int64_t i = 0; i < states.size(0); ++i)
    texts.push_back(dataset.to_text(states[i]));
  return texts;
}

/// The molecules that RDKit reads, measured, in their order.
std::vector<Measured> measured(const Texts& texts, const Reader& reader,
                               const chemistry::FragmentScores* scores) {
  std::vector<std::optional<Measured>> each(texts.size());
  tbb::parallel_for(std::size_t{0}, texts.size(), [&](std::size_t i) {
    const auto molecule = reader.molecule(texts[i]);
    if (!molecule) return;
    each[i] = {molecule->canonical(), molecule->fingerprint(),
               molecule->log_p(),     chemistry::qed(molecule->qed_properties()),
               molecule->weight(),    {}};
    if (scores) each[i]->accessibility = molecule->synthetic_accessibility(*scores);
  });
  std::vector<Measured> valid;
  for (auto& one : each)
    if (one) valid.push_back(std::move(*one));
  return valid;
}

/// How often each letter stands in a SMILES, H aside and whatever its case. Equal molecules have
/// equal ones, so that only few of train need be made canonical.
std::string count_letters(const std::string& smiles) {
  std::string counts(26, '\0');
  for (const char c : smiles)
    if (std::isalpha(static_cast<unsigned char>(c)))
      ++counts[static_cast<std::size_t>(std::toupper(static_cast<unsigned char>(c)) - 'A')];
  counts['H' - 'A'] = '\0';
  return counts;
}

/// The canonical SMILES among `wanted` that train has.
std::set<std::string> found_in_train(const Dataset& dataset, const Reader& reader,
                                     const std::set<std::string>& wanted) {
  std::unordered_set<std::string> letters;
  for (const auto& smiles : wanted)
    letters.insert(count_letters(smiles));
  std::set<std::string> found;
  const auto size = dataset.size(Split::kTrain);
  for (std::int64_t from = 0; from < size; from += kRowsAtOnce) {
    auto texts = to_texts(
        dataset,
        dataset.rows(Split::kTrain, torch::arange(from, std::min(from + kRowsAtOnce, size))));
    tbb::parallel_for(std::size_t{0}, texts.size(), [&](std::size_t i) {
      const bool possible = letters.contains(count_letters(reader.smiles(texts[i])));
      const auto molecule = possible ? reader.molecule(texts[i]) : std::nullopt;
      texts[i] = molecule ? molecule->canonical() : "";
    });
    for (const auto& text : texts)
      if (wanted.contains(text)) found.insert(text);
  }
  return found;
}

/// 1 - the mean similarity over all N^2 pairs.
double compute_diversity(const std::vector<Measured>& molecules) {
  const auto N = molecules.size();
  Numbers sums(N, 0);
  tbb::parallel_for(std::size_t{0}, N, [&](std::size_t i) {
    for (const auto& other : molecules)
      sums[i] += chemistry::similarity(molecules[i].fingerprint, other.fingerprint);
  });
  double sum = 0;
  for (const auto s : sums)
    sum += s;
  return 1 - sum / static_cast<double>(N * N);
}

/// The distance of two sets of numbers: W1 of their empirical laws.
double wasserstein(Numbers a, Numbers b) {
  std::ranges::sort(a);
  std::ranges::sort(b);
  double sum = 0, last = std::min(a.front(), b.front());
  for (std::size_t i = 0, j = 0; i < a.size() || j < b.size();) {
    const bool of_a = j == b.size() || (i < a.size() && a[i] <= b[j]);
    const double next = of_a ? a[i] : b[j];
    const double below_a = static_cast<double>(i) / static_cast<double>(a.size());
    const double below_b = static_cast<double>(j) / static_cast<double>(b.size());
    sum += std::abs(below_a - below_b) * (next - last);
    last = next;
    ++(of_a ? i : j);
  }
  return sum;
}

/// A property by which the model and the data are compared.
struct Property {
  const char* name;
  const char* unit;
  std::function<double(const Measured&)> of;
};
const std::vector<Property>& properties() {
  static const std::vector<Property> all{
      {"logP", "logP", [](const Measured& m) { return m.log_p; }},
      {"SA", "SA", [](const Measured& m) { return *m.accessibility; }},
      {"QED", "QED", [](const Measured& m) { return m.qed; }},
      {"weight", "g/mol", [](const Measured& m) { return m.weight; }}};
  return all;
}

class MoleculeMetric final : public Metric {
 public:
  static constexpr const char* kName = "molecules";
  static constexpr const char* kSummary =
      "validity, uniqueness, novelty and diversity of sampled molecules; distances of properties";
  static constexpr const char* kSource =
      "Polykovskiy et al. (2020), Front. Pharmacol. 11, 565644; chemistry by RDKit";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"validity", "molecules", "share of samples that are molecules", "fraction", Better::kHigher},
      {"uniqueness", "molecules", "share of molecules that are different", "fraction",
       Better::kHigher},
      {"novelty", "molecules", "share of different ones that are not in train", "fraction",
       Better::kHigher},
      {"internal_diversity", "molecules", "mean distance of fingerprints of two samples",
       "fraction", Better::kHigher},
      {"wasserstein_*", "molecules", "distance of a property's law from that of the data", "",
       Better::kLower}};
  static std::vector<OptionalPart> parts() {
    return {{"RDKit", chemistry::rdkit_version(), chemistry::kRdkitRemedy}};
  }

  struct Params {
    std::string constraints = "default";
    bool novelty = true;
    FilePath fragments{"chem_reference/sa_fragment_scores.bin", {}};
    void visit(ParamVisitor& p) {
      p("constraints", constraints,
        {.doc = "bonds that SELFIES allow an atom", .one_of = selfies::Constraints::presets()});
      p("novelty", novelty, {.doc = "whether to look for the samples in the whole of train"});
      p("fragments", fragments,
        {.doc = "contributions of fragments to the SA score, which is left out without them"});
    }
  };
  explicit MoleculeMetric(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto& dataset = need_molecules(evaluation);
    const Reader reader(dataset.space(), params_.constraints);
    const auto data = to_texts(dataset, evaluation.data_rows());
    check_rows(data, reader);
    const auto samples = to_texts(dataset, evaluation.model_samples().states);
    const auto scores = read_scores();
    const auto valid = measured(samples, reader, scores ? &*scores : nullptr);

    std::vector<Measurement> measurements{share("validity", valid.size(), samples.size())};
    if (!scores) measurements[0].more["left_out"] = "wasserstein_SA: no " + params_.fragments.given;
    if (valid.empty()) return measurements;
    add_shares(measurements, dataset, reader, valid);
    measurements.push_back(
        plain("internal_diversity", compute_diversity(valid), "fraction", valid.size()));
    add_distances(measurements, valid, measured(data, reader, scores ? &*scores : nullptr),
                  evaluation.split());
    return measurements;
  }

 private:
  static const Dataset& need_molecules(Evaluation& evaluation) {
    if (chemistry::rdkit_version().empty()) throw Unavailable(chemistry::Missing().what());
    if (!evaluation.dataset() || evaluation.dataset()->space().alphabet.empty())
      throw Unavailable("needs a dataset of molecules");
    if (measure::offered(evaluation.family(), QueryKind::kSample).empty())
      throw Unavailable("needs samples of the model, and the family does not sample");
    return *evaluation.dataset();
  }

  /// Reads some rows, to see whether they are molecules.
  static void check_rows(const Texts& data, const Reader& reader) {
    const auto some = std::min<std::size_t>(data.size(), 10);
    const auto readable = [&](const std::string& text) { return bool(reader.molecule(text)); };
    if (std::ranges::none_of(data.begin(), data.begin() + std::ptrdiff_t(some), readable))
      throw Unavailable("needs a dataset of molecules; RDKit reads none of its first rows");
  }

  std::optional<chemistry::FragmentScores> read_scores() const {
    const auto file = find_packed(params_.fragments.found);
    if (file.empty()) return {};
    return chemistry::FragmentScores(read_unpacked(file));
  }

  static Measurement plain(const std::string& name, double value, const char* unit,
                           std::size_t count) {
    return {.estimator = name,
            .value = value,
            .unit = unit,
            .samples = static_cast<std::int64_t>(count),
            .more = {{"rdkit", chemistry::rdkit_version()}}};
  }

  /// p and sqrt(p (1 - p) / N).
  static Measurement share(const std::string& name, std::size_t part, std::size_t of) {
    const double p = static_cast<double>(part) / static_cast<double>(of);
    auto measurement = plain(name, p, "fraction", of);
    measurement.stderr_ = std::sqrt(p * (1 - p) / static_cast<double>(of));
    return measurement;
  }

  void add_shares(std::vector<Measurement>& measurements, const Dataset& dataset,
                  const Reader& reader, const std::vector<Measured>& valid) const {
    std::set<std::string> different;
    for (const auto& molecule : valid)
      different.insert(molecule.canonical);
    const auto uniqueness =
        static_cast<double>(different.size()) / static_cast<double>(valid.size());
    measurements.push_back(plain("uniqueness", uniqueness, "fraction", valid.size()));
    if (!params_.novelty) return;
    const auto known = found_in_train(dataset, reader, different);
    measurements.push_back(share("novelty", different.size() - known.size(), different.size()));
    measurements.back().more["train_rows"] = dataset.size(Split::kTrain);
  }

  static void add_distances(std::vector<Measurement>& measurements,
                            const std::vector<Measured>& model, const std::vector<Measured>& data,
                            Split split) {
    for (const auto& property : properties()) {
      if (std::string(property.name) == "SA" && !model.front().accessibility) continue;
      Numbers a, b;
      std::ranges::transform(model, std::back_inserter(a), property.of);
      std::ranges::transform(data, std::back_inserter(b), property.of);
      measurements.push_back(plain(std::string("wasserstein_") + property.name, wasserstein(a, b),
                                   property.unit, a.size()));
      measurements.back().more["split"] = to_string(split);
      measurements.back().more["data_rows"] = b.size();
    }
  }

  Params params_;
};

}  // namespace
MARGINALIA_PLUGIN(MoleculeMetric);
