/// \file
/// Molecules by their properties:
///
///   log f(x) = -(g(x) - target)^2 / temperature,  or  g(x) / temperature,  or  -g(x) / temperature
///
/// or a sum of such terms. g is the logP, QED, SA score or weight of the molecule that the state x
/// spells: tokens of SELFIES, of which every string is a molecule, or pieces of SMILES. Padding
/// means nothing: among tokens of SELFIES it is passed over wherever it stands, as the reference
/// decoder does with [nop], so that many states are one molecule; of SMILES it may stand at the end
/// alone. What is not a molecule (no atom, or refused by RDKit) has log f = floor.
/// Source: Liu, Ramadge and Adams (2024), arXiv:2310.12920, sect. 6.2 and table 5: logP with
/// targets 4 and -4, temperatures 1 and 0.1, over 55 tokens of SELFIES.
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/files.h>
#include <marginalia/plugin.h>

#include "alphabet.h"
#include "fragment_table.h"
#include "properties.h"
#include "shared/chemistry/chemistry.h"
#include "shared/chemistry/drawing.h"
#include "shared/chemistry/molecule_text.h"
#include "shared/selfies/selfies.h"
#include "terms.h"

using namespace marginalia;
using namespace marginalia::molecule_property;

namespace {

/// Tokens of the molecules of MOSES (Polykovskiy et al. 2020), by how frequent they are.
const std::vector<std::string> kMosesTokens{
    "[C]",        "[=C]",       "[Ring1]",   "[N]",      "[Branch1]", "[=Branch1]", "[=O]",
    "[O]",        "[=N]",       "[Branch2]", "[Ring2]",  "[S]",       "[#Branch1]", "[F]",
    "[=Branch2]", "[#Branch2]", "[#C]",      "[=Ring1]", "[P]",       "[NH1]",      "[Cl]",
    "[#N]",       "[Br]",       "[=Ring2]",  "[=S]",     "[H]"};

class MoleculeProperty final : public Energy, private Readable {
 public:
  static constexpr const char* kName = "molecule_property";
  static constexpr const char* kSummary = "molecules by their logP, QED, SA score or weight";
  static constexpr const char* kFormula =
      "log f(x) = -(g(x) - target)^2 / temperature, or +-g(x) / temperature";
  static constexpr const char* kSource =
      "Liu, Ramadge and Adams (2024), arXiv:2310.12920, sect. 6.2; SELFIES: Krenn et al. (2020), "
      "Mach. Learn.: Sci. Technol. 1, 045024; logP: Wildman and Crippen (1999), J. Chem. Inf. "
      "Comput. Sci. 39, 868; QED: Bickerton et al. (2012), Nat. Chem. 4, 90; SA: Ertl and "
      "Schuffenhauer (2009), J. Cheminform. 1, 8";
  static constexpr const char* kExample = R"({"property": "logp", "target": 4, "length": 12})";
  static std::vector<OptionalPart> parts() {
    return {{"RDKit", chemistry::rdkit_version(), chemistry::kRdkitRemedy}};
  }

  struct Params : TermParams {
    std::string representation = "selfies", constraints = "default";
    std::vector<std::string> alphabet = kMosesTokens;
    FilePath alphabet_file, fragments{"chem_reference/sa_fragment_scores.bin", {}};
    bool compatible = false;
    std::int64_t length = 55;
    double floor = -1000;
    void visit(ParamVisitor& p) {
      TermParams::visit(p);
      p("representation", representation,
        {.doc = "what the tokens of a state are", .one_of = {"selfies", "smiles"}});
      p("alphabet", alphabet,
        {.doc = "tokens, to which padding is added, [nop] or a blank; by default those of the "
                "molecules of MOSES"});
      p("alphabet_file", alphabet_file,
        {.doc = "in place of alphabet: the first word of each line, [C] of [C] 100 or of [C],100; "
                "of SELFIES, lines that begin with # are comments; plain, .gz or .zip"});
      p("compatible", compatible,
        {.doc = "whether tokens of SELFIES 1 are read too, in alphabets and in texts of questions: "
                "[Branch1_2] as [=Branch1], [Expl=Ring1] as [=Ring1], [C@@Hexpl] as [C@@H1]"});
      p("length", length, {.doc = "D, tokens of a state, padding included", .min = 1});
      p("constraints", constraints,
        {.doc = "bonds that SELFIES allow an atom", .one_of = selfies::Constraints::presets()});
      p("floor", floor, {.doc = "log f of a state that is not a molecule, nats"});
      p("fragments", fragments, {.doc = "contributions to the SA score; also packed"});
    }
  };

  explicit MoleculeProperty(const Params& params);

  const StateSpace& space() const override { return space_; }
  Offer<Readable> readable() const override { return {this}; }

 private:
  /// Distinct molecules of a batch: their properties, none for what is not a molecule; and which of
  /// them each row is.
  struct Batch {
    std::vector<std::vector<double>> molecules;
    std::vector<std::size_t> of_row;
  };

  Tensor compute_log_density(const Tensor& x) const override;
  std::string to_text(const Tensor& state) const override;
  Tensor from_text(const PartialText& text) const override {
    const chemistry::SelfiesSpelling spelling{constraints_, compatible_};
    return chemistry::state_of_molecule(space_, text, is_selfies_ ? &spelling : nullptr);
  }
  std::string to_svg(const Tensor& state) const override {
    return (state == kUnknown).any().item<bool>() ? "" : chemistry::draw(to_text(state));
  }
  Tensor raw_score(const Tensor& x) const override;
  std::vector<Score> scores(const Tensor& x) const override;

  Batch compute_properties(const Tensor& x) const;
  std::string join_tokens(const std::int64_t* row, bool with_padding = false) const;
  std::string to_smiles(const std::string& text) const;
  double log_f(const std::vector<double>& properties) const;
  template <class Value>
  static Tensor each(const Batch& batch, Value value);

  bool is_selfies_;
  selfies::Constraints constraints_;
  bool compatible_;
  StateSpace space_;
  double floor_;
  std::vector<Term> terms_;
  Properties properties_;
};

using Params = MoleculeProperty::Params;

std::vector<std::string> read_alphabet(const Params& params) {
  const bool is_selfies = params.representation == "selfies";
  if (!is_selfies && !params.alphabet_file && params.alphabet == kMosesTokens)
    throw SpecError("\"representation\": \"smiles\" needs an \"alphabet\" of pieces of SMILES");
  if (!is_selfies && params.compatible)
    throw SpecError("\"compatible\" is about tokens of SELFIES, and there are none");
  const auto constraints = selfies::Constraints::preset(params.constraints);
  auto tokens = params.alphabet_file
                    ? read_tokens(TextFile(params.alphabet_file.existing()), is_selfies)
                    : to_tokens(params.alphabet);
  if (params.compatible)
    for (auto& token : tokens)
      token.text = selfies::modernise(token.text);
  return checked_alphabet(tokens, is_selfies ? "[nop]" : " ", is_selfies ? &constraints : nullptr);
}

StateSpace make_space(const Params& params) {
  auto alphabet = read_alphabet(params);
  auto space = StateSpace::uniform(params.length, static_cast<std::int64_t>(alphabet.size()));
  space.alphabet = std::move(alphabet);
  return space;
}

/// Reads the table of fragments, for which the SA score asks.
std::shared_ptr<const FragmentTable> read_scores(const Params& params) {
  const auto file = find_packed(params.fragments.found);
  if (file.empty())
    throw SpecError(fmt::format("{}[.gz] is missing, which the SA score needs; put it into the "
                                "data directory (--data, $MARGINALIA_DATA) or name it in "
                                "\"fragments\"",
                                params.fragments.found.string()));
  try {
    return std::make_shared<FragmentTable>(read_unpacked(file));
  } catch (const std::invalid_argument& e) {
    throw SpecError(fmt::format("{}: {}", file.string(), e.what()));
  }
}

Properties make_calculator(const Params& params, const std::vector<Term>& terms) {
  std::vector<Property> wanted;
  for (const auto& term : terms)
    wanted.push_back(term.property);
  const bool needs_scores = std::ranges::count(wanted, Property::kAccessibility) > 0;
  return {std::move(wanted), needs_scores ? read_scores(params) : nullptr};
}

MoleculeProperty::MoleculeProperty(const Params& params)
    : is_selfies_(params.representation == "selfies"),
      constraints_(selfies::Constraints::preset(params.constraints)),
      compatible_(params.compatible),
      space_(make_space(params)),
      floor_(params.floor),
      terms_(read_terms(params)),
      properties_(make_calculator(params, terms_)) {}

/// Joins the tokens of a row. Padding of SELFIES is kept only where asked for, and never at the
/// end.
std::string MoleculeProperty::join_tokens(const std::int64_t* row, bool with_padding) const {
  const auto padding = space_.levels() - 1;
  const std::string gap = is_selfies_ ? chemistry::kSelfiesGap : "?";
  std::string text;
  std::size_t end = 0;
  for (std::int64_t i = 0; i < space_.dimension(); ++i) {
    if (row[i] == padding && is_selfies_ && !with_padding) continue;
    text += row[i] == kUnknown ? gap : space_.alphabet[static_cast<std::size_t>(row[i])];
    if (row[i] != padding) end = text.size();
  }
  text.resize(end);
  return text;
}

/// The SMILES of a text; empty where padding inside a SMILES makes it no molecule.
std::string MoleculeProperty::to_smiles(const std::string& text) const {
  if (is_selfies_) return selfies::decode(text, constraints_);
  return text.find(' ') == text.npos ? text : "";
}

/// What is different among `values`, in the order of first appearance, and the place there of each.
std::pair<std::vector<std::string>, std::vector<std::size_t>> distinct(
    const std::vector<std::string>& values) {
  std::vector<std::string> different;
  std::vector<std::size_t> places;
  std::unordered_map<std::string_view, std::size_t> known;
  for (const auto& value : values) {
    const auto [at, is_new] = known.try_emplace(value, different.size());
    if (is_new) different.push_back(value);
    places.push_back(at->second);
  }
  return {std::move(different), std::move(places)};
}

/// Calls f(0), ..., f(count - 1) on as many threads as LibTorch may use.
template <class F>
void in_parallel(std::size_t count, F f) {
  tbb::task_arena threads(std::min(at::get_num_threads(), tbb::info::default_concurrency()));
  threads.execute([&] { tbb::parallel_for(std::size_t{0}, count, f); });
}

MoleculeProperty::Batch MoleculeProperty::compute_properties(const Tensor& x) const {
  const auto states = x.to(torch::kCPU).contiguous();
  const auto* rows = states.data_ptr<std::int64_t>();
  std::vector<std::string> texts(static_cast<std::size_t>(states.size(0)));
  in_parallel(texts.size(), [&](std::size_t b) {
    texts[b] = join_tokens(rows + static_cast<std::int64_t>(b) * space_.dimension());
  });
  const auto [different_texts, text_of_row] = distinct(texts);
  std::vector<std::string> smiles(different_texts.size());
  in_parallel(smiles.size(), [&](std::size_t i) { smiles[i] = to_smiles(different_texts[i]); });
  const auto [molecules, molecule_of_text] = distinct(smiles);

  Batch batch{std::vector<std::vector<double>>(molecules.size()), {}};
  in_parallel(molecules.size(), [&, &molecules = molecules](std::size_t i) {
    try {
      if (!molecules[i].empty()) batch.molecules[i] = properties_.of(molecules[i]);
    } catch (const chemistry::Unreadable&) {
    }
  });
  for (const auto text : text_of_row)
    batch.of_row.push_back(molecule_of_text[text]);
  return batch;
}

/// What `value` says of each row's molecule: float64 [B].
template <class Value>
Tensor MoleculeProperty::each(const Batch& batch, Value value) {
  auto result = torch::empty({static_cast<std::int64_t>(batch.of_row.size())}, torch::kDouble);
  auto* to = result.data_ptr<double>();
  for (const auto molecule : batch.of_row)
    *to++ = value(batch.molecules[molecule]);
  return result;
}

double MoleculeProperty::log_f(const std::vector<double>& properties) const {
  if (properties.empty()) return floor_;
  double sum = 0;
  for (std::size_t i = 0; i < terms_.size(); ++i)
    sum += terms_[i].of(properties[i]);
  return sum;
}

Tensor MoleculeProperty::compute_log_density(const Tensor& x) const {
  const auto log_density =
      each(compute_properties(x), [this](const auto& properties) { return log_f(properties); });
  return log_density.to(x.device());
}

/// The property, NaN of what is not a molecule; of several properties, log f.
Tensor MoleculeProperty::raw_score(const Tensor& x) const {
  space_.check(x, false, label());
  return terms_.size() > 1 ? compute_log_density(x) : scores(x)[0].values;
}

/// A score for each property; NaN where a state is not a molecule.
std::vector<Score> MoleculeProperty::scores(const Tensor& x) const {
  space_.check(x, false, label());
  const auto batch = compute_properties(x);
  std::vector<Score> all;
  for (std::size_t i = 0; i < terms_.size(); ++i) {
    const auto values = each(batch, [i](const auto& properties) {
      return properties.empty() ? std::numeric_limits<double>::quiet_NaN() : properties[i];
    });
    all.push_back(make_score(terms_[i], values.to(x.device())));
  }
  return all;
}

/// SMILES; of a partial state the tokens, with [?] (of SMILES ?) for those unknown.
std::string MoleculeProperty::to_text(const Tensor& state) const {
  const auto levels = state.to(torch::kCPU, torch::kLong).contiguous();
  const auto* row = levels.data_ptr<std::int64_t>();
  const bool partial = (levels == kUnknown).any().item<bool>();
  return partial ? join_tokens(row, true) : to_smiles(join_tokens(row));
}

}  // namespace

MARGINALIA_PLUGIN(MoleculeProperty);
