/// \file
/// Molecules as rows of SELFIES tokens or SMILES characters, from text files.
///
/// A row is the tokens of one molecule, then padding. By name: zinc250k, with the split of the
/// junction-tree VAE; qm9; moses, trained on its train set, tested on its test set and validated on
/// its scaffold test set, for it has no other. Sources: Gomez-Bombarelli et al. (2018), ACS Cent.
/// Sci. 4, 268; Jin, Barzilay and Jaakkola (2018), ICML; Ramakrishnan et al. (2014), Sci. Data 1,
/// 140022; Polykovskiy et al. (2020), Front. Pharmacol. 11, 565644. Scaffolds: Bemis and Murcko
/// (1996), J. Med. Chem. 39, 2887.
#include <tbb/parallel_for.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/dataset.h>
#include <marginalia/plugin.h>

#include "inputs.h"
#include "molecule_tool.h"
#include "shared/chemistry/chemistry.h"
#include "shared/chemistry/drawing.h"
#include "shared/chemistry/molecule_text.h"
#include "shared/selfies/selfies.h"
#include "splits.h"
#include "tokens.h"

using namespace marginalia;
using namespace marginalia::molecules;

namespace {

constexpr std::array kSplits{Split::kTrain, Split::kValid, Split::kTest};

class Molecules final : public Dataset {
 public:
  static constexpr const char* kName = "molecules";
  static constexpr const char* kSummary = "molecules as SELFIES tokens or SMILES characters";
  static constexpr const char* kSource =
      "zinc250k: Gomez-Bombarelli et al. (2018), ACS Cent. Sci. 4, 268, its split: Jin et al. "
      "(2018), ICML; qm9: Ramakrishnan et al. (2014), Sci. Data 1, 140022; moses: Polykovskiy et "
      "al. (2020), Front. Pharmacol. 11, 565644; SELFIES: Krenn et al. (2020), Mach. Learn.: Sci. "
      "Technol. 1, 045024";
  static constexpr const char* kExample =
      R"({"file": "molecules/tiny.smi", "fractions": [0.5, 0.25, 0.25]})";
  static std::vector<PublicFile> sources() { return public_files(); }
  static std::vector<OptionalPart> parts() {
    return {{"RDKit", chemistry::rdkit_version(), chemistry::kRdkitRemedy}};
  }

  using Params = MoleculeParams;
  explicit Molecules(const Params& params);

  const StateSpace& space() const override { return space_; }
  std::int64_t size(Split split) const override { return of(split).size(0); }
  std::string to_text(const Tensor& state) const override;
  Tensor from_text(const PartialText& text) const override {
    const chemistry::SelfiesSpelling spelling{constraints_, compatible_};
    return chemistry::state_of_molecule(space_, text, is_selfies_ ? &spelling : nullptr);
  }
  std::string to_svg(const Tensor& state) const override;

 private:
  Tensor compute_rows(Split split, const Tensor& indices, std::uint64_t) const override {
    return of(split).index_select(0, indices).to(torch::kLong);
  }
  const Tensor& of(Split split) const { return rows_[static_cast<std::size_t>(split)]; }

  bool is_selfies_;  // then padding between tokens means nothing
  selfies::Constraints constraints_;
  bool compatible_;
  std::array<Tensor, 3> rows_;  // uint8 [N, D]
  StateSpace space_;
};

using Params = Molecules::Params;

Fractions read_fractions(const Params& params) {
  const auto& f = params.fractions;
  const auto sum = std::accumulate(f.begin(), f.end(), 0.0);
  if (f.size() != 3 || std::abs(sum - 1) > 1e-9)
    throw SpecError(
        fmt::format("\"fractions\" are {} numbers with sum {:g}; there must be three, of "
                    "train, valid and test, with sum 1",
                    f.size(), sum));
  return {f[0], f[1], f[2]};
}

std::string to_smiles(const Params& params, std::string_view text) {
  return params.input == "smiles"
             ? std::string(text)
             : selfies::decode(text, selfies::Constraints::preset(params.constraints),
                               params.compatible);
}

/// What RDKit cannot read is a group of its own: its row is judged elsewhere.
std::vector<std::string> find_scaffolds(const Params& params, const Input& input) {
  chemistry::need_rdkit();
  std::vector<std::string> scaffolds(input.texts.size());
  tbb::parallel_for(std::size_t{0}, scaffolds.size(), [&](std::size_t i) {
    try {
      scaffolds[i] = chemistry::Molecule(to_smiles(params, input.texts[i])).scaffold();
    } catch (const std::exception&) {
      scaffolds[i] = fmt::format("unreadable {}", i);
    }
  });
  return scaffolds;
}

void assign_splits(const Params& params, Input& input) {
  const auto count = input.texts.size();
  if (params.split_file && params.split != "file" && params.split != "auto")
    throw SpecError(
        fmt::format("\"split_file\" goes with \"split\": \"file\", not \"{}\"", params.split));
  if (!input.splits.empty()) return;
  if (params.split_file) {
    input.splits = read_split(TextFile(params.split_file.existing()), count);
  } else if (params.split == "file") {
    throw SpecError("\"split\": \"file\" needs \"split_file\"");
  } else if (params.split == "scaffold") {
    input.splits = split_by_scaffold(find_scaffolds(params, input), read_fractions(params));
  } else {
    input.splits = split_by_order(count, read_fractions(params));
  }
}

std::vector<std::string> split_characters(std::string_view text) {
  std::vector<std::string> characters;
  for (const char c : text)
    characters.emplace_back(1, c);
  return characters;
}

Rows make_rows(const Params& params, const Input& input) {
  const auto constraints = selfies::Constraints::preset(params.constraints);
  const bool from_selfies = params.input == "selfies";
  if (params.representation == "smiles")
    return tokenise(input.texts, " ", [&](std::string_view text) {
      return split_characters(to_smiles(params, text));
    });
  return tokenise(input.texts, "[nop]", [&](std::string_view text) {
    if (from_selfies)
      selfies::decode(text, constraints, params.compatible);  // throws where a token is unknown
    const auto selfies = !from_selfies       ? selfies::encode(text, constraints)
                         : params.compatible ? selfies::modernise(text)
                                             : std::string(text);
    const auto tokens = selfies::split(selfies);
    return std::vector<std::string>(tokens.begin(), tokens.end());
  });
}

void check_length(const Params& params, Rows& rows) {
  if (params.length == 0) return;
  for (std::size_t i = 0; i < rows.codes.size(); ++i)
    if (const auto size = rows.codes[i].size(); size > static_cast<std::size_t>(params.length))
      rows.faults[i] = fmt::format("has {} tokens; \"length\" allows {}", size, params.length);
}

/// Refuses molecules without a row, or says how many are left out.
void report_faults(const Params& params, const Input& input, const Rows& rows) {
  constexpr std::size_t kNamed = 3;
  std::string text;
  std::size_t count = 0;
  for (std::size_t i = 0; i < rows.faults.size(); ++i)
    if (!rows.faults[i].empty() && ++count <= kNamed)
      text += fmt::format("\n  - {}: {}: {}", input.place(i), input.texts[i], rows.faults[i]);
  if (count == 0) return;
  if (count > kNamed) text += "\n  - ...";
  const auto what = fmt::format("{} of {} molecules have no row", count, rows.faults.size());
  if (!params.skip_invalid)
    throw SpecError(what + ":" + text + "\n  \"skip_invalid\": true leaves them out");
  fmt::print(stderr, "marginalia: dataset molecules: {} and are left out:{}\n", what, text);
}

/// The rows of one split: uint8 [N, D], padded.
Tensor to_tensor(const Rows& rows, const SplitLetters& splits, Split split, std::int64_t length) {
  std::vector<const std::string*> chosen;
  const auto letter = kSplitLetters[static_cast<std::size_t>(split)];
  for (std::size_t i = 0; i < splits.size(); ++i)
    if (splits[i] == letter && rows.faults[i].empty()) chosen.push_back(&rows.codes[i]);
  if (chosen.empty())
    throw SpecError(
        fmt::format("no molecule is in {}; each split needs one at least", to_string(split)));
  const auto padding = static_cast<std::int64_t>(rows.alphabet.size()) - 1;
  auto tensor =
      torch::full({static_cast<std::int64_t>(chosen.size()), length}, padding, torch::kByte);
  auto* to = tensor.data_ptr<std::uint8_t>();
  for (const auto* codes : chosen) {
    std::copy(codes->begin(), codes->end(), to);
    to += length;
  }
  return tensor;
}

Molecules::Molecules(const Params& params)
    : is_selfies_(params.representation == "selfies"),
      constraints_(selfies::Constraints::preset(params.constraints)),
      compatible_(params.compatible) {
  auto input = read_input(params);
  assign_splits(params, input);
  auto rows = make_rows(params, input);
  check_length(params, rows);
  report_faults(params, input, rows);
  const auto D = params.length > 0 ? params.length : rows.longest;
  for (std::size_t i = 0; i < kSplits.size(); ++i)
    rows_[i] = to_tensor(rows, input.splits, kSplits[i], D);
  space_ = StateSpace::uniform(D, static_cast<std::int64_t>(rows.alphabet.size()));
  space_.alphabet = rows.alphabet;
}

/// The text has no padding at its end; that of a full state of SELFIES has none anywhere.
std::string Molecules::to_text(const Tensor& state) const {
  const auto& padding = space_.alphabet.back();
  const auto levels = state.to(torch::kCPU, torch::kLong).contiguous();
  const auto* level = levels.data_ptr<std::int64_t>();
  const bool is_plain = is_selfies_ && (levels != kUnknown).all().item<bool>();
  std::string text;
  std::size_t end = 0;
  for (std::int64_t i = 0; i < levels.numel(); ++i) {
    const auto token = level[i] != kUnknown ? space_.alphabet[static_cast<std::size_t>(level[i])]
                       : is_selfies_        ? chemistry::kSelfiesGap
                                            : "?";
    const bool padded = token == padding;
    if (!padded || !is_plain) text += token;
    if (!padded) end = text.size();
  }
  return text.substr(0, end);
}

std::string Molecules::to_svg(const Tensor& state) const {
  const auto text = to_text(state);
  if ((state == kUnknown).any().item<bool>()) return "";
  return chemistry::draw(is_selfies_ ? selfies::decode(text, constraints_) : text);
}

}  // namespace

MARGINALIA_PLUGIN(Molecules, MoleculeTool);
