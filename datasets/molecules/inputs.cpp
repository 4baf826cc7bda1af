#include "inputs.h"

#include <array>
#include <unordered_set>
#include <utility>

#include <marginalia/error.h>
#include <marginalia/files.h>

namespace marginalia::molecules {

namespace fs = std::filesystem;

std::vector<PublicFile> public_files() {
  const std::string zinc =
      "https://raw.githubusercontent.com/insilicomedicine/DD-VAE/master/data/zinc/";
  const std::string qm9 =
      "https://raw.githubusercontent.com/aspuru-guzik-group/selfies/master/tests/test_sets/";
  const std::string moses =
      "https://media.githubusercontent.com/media/molecularsets/moses/master/data/";
  return {
      {"zinc250k/zinc250k.smi.gz", zinc + "250k_rndm_zinc_drugs_clean.smi.gz", 2860728,
       "sha256:f900b46bb42b77aab37cd827d1ea474e2a037ecab2bd7def2b6027492216d36a"},
      {"zinc250k/valid.smi.gz", zinc + "valid.csv.gz", 281097,
       "sha256:ad7d9c2bfebd93ffda6c32ed0e89d1714ae1f592f6340c0e6ae057521bbae30d",
       "zinc250k/split.txt.gz",
       "sha256:f1b14efdc6b51fe96592c05ed53e124eacac4164644181ad6a850d3895549aa8"},
      {"zinc250k/test.smi.gz", zinc + "test.csv.gz", 58347,
       "sha256:31f6ce92914814db33bf0dbfc45f3836193e27cb80a59c54d88bc05a1f5fab83",
       "zinc250k/split.txt.gz",
       "sha256:f1b14efdc6b51fe96592c05ed53e124eacac4164644181ad6a850d3895549aa8"},
      {"qm9/qm9.csv", qm9 + "qm9.csv", 2171295,
       "sha256:80c060e299a44112b89be3fc6d95145dfeda97aa3eab1e2662aafdfbb00f7929", "qm9/qm9.smi.gz",
       "sha256:85db08ee5443386d3e5a9830edeb2111ebbf1ccf3328094b04cbd02cd8fc6701"},
      {"moses/train.csv", moses + "train.csv", 67916778,
       "sha256:49fe1aae29604ec0f5023ea34edc8789415f954138f2903dabd005a4b888a961"},
      {"moses/test.csv", moses + "test.csv", 7370473,
       "sha256:257165e8f1e1be2d5712db51c93d2b1544564b782dc303d7d19c887c21a858e6",
       "moses/test.smi.gz",
       "sha256:d6290e7bc2f0881a8f50ffd53937d2207657de32fcc43786125eb6f73997c1e2"},
      {"moses/test_scaffolds.csv", moses + "test_scaffolds.csv", 9195363,
       "sha256:8bc942dd807147e07b506151fe8675f58780ed8e494801b705c4bdadb3df3440",
       "moses/test_scaffolds.smi.gz",
       "sha256:c7287a76a5c72e52234633bd96e1eebbd39a936f3fa98dd6236472c1fa7f9573"},
  };
}

void Input::add(const fs::path& file, const FileForm& form) {
  files.emplace_back(TextFile(file), form);
  for (const auto& entry : files.back().entries())
    texts.push_back(entry.text);
}

std::string Input::place(std::size_t index) const {
  for (const auto& file : files) {
    if (index < file.entries().size()) return file.place(file.entries()[index]);
    index -= file.entries().size();
  }
  return "";
}

namespace {

/// Finds files beside `main`, under any of their endings; all that are missing in one message.
class Finder {
 public:
  explicit Finder(const FilePath& main) : folder_(main.found.parent_path()) {}

  /// endings: the public file's first. -> where it is; empty if nowhere, and then it is missing.
  fs::path file(const std::string& stem, const std::vector<const char*>& endings) {
    for (const auto* ending : endings)
      if (auto found = find_packed(folder_ / (stem + ending)); !found.empty()) return found;
    missing_.push_back(folder_ / (stem + endings.front()));
    return {};
  }
  /// The same, where it need not be there.
  fs::path file_if_any(const std::string& name) const { return find_packed(folder_ / name); }

  void check(const std::string& advice = "") const {
    if (missing_.empty()) return;
    throw SpecError("files are missing:" + list_missing("molecules", public_files(), missing_) +
                    advice);
  }

 private:
  fs::path folder_;
  std::vector<fs::path> missing_;
};

Input read_moses(const MoleculeParams& params) {
  Finder finder(params.moses);
  const std::vector<const char*> endings{".csv", ".smi"};
  const std::array files{finder.file("train", endings), finder.file("test_scaffolds", endings),
                         finder.file("test", endings)};
  finder.check(
      "\n  without the train set, divide the test set, and say so: \"file\": \"moses/test.smi\", "
      "\"split\": \"order\"");
  Input input;
  for (std::size_t i = 0; i < files.size(); ++i) {
    input.add(files[i]);
    input.splits.resize(input.texts.size(), kSplitLetters[i]);
  }
  return input;
}

/// zinc250k's split from the lists of those in valid and test.
SplitLetters split_by_lists(const std::vector<std::string_view>& texts, const fs::path& valid,
                            const fs::path& test) {
  SplitLetters splits(texts.size(), 'T');
  for (const auto& [path, letter] : {std::pair(valid, 'V'), std::pair(test, 'E')}) {
    const MoleculeFile file{TextFile(path)};
    std::unordered_set<std::string_view> listed;
    for (const auto& entry : file.entries())
      listed.insert(entry.text);
    for (std::size_t i = 0; i < texts.size(); ++i)
      if (listed.contains(texts[i])) splits[i] = letter;
  }
  return splits;
}

Input read_zinc250k(const MoleculeParams& params) {
  Finder finder(params.zinc250k);
  const auto molecules = finder.file("zinc250k", {".smi", ".txt"});
  const auto letters = finder.file_if_any("split.txt");
  const bool published = !params.split_file && (params.split == "auto" || params.split == "file");
  fs::path valid, test;
  if (published && letters.empty()) {
    valid = finder.file("valid", {".smi"});
    test = finder.file("test", {".smi"});
  }
  finder.check();
  Input input;
  input.add(molecules);
  if (published && letters.empty())
    input.splits = split_by_lists(input.texts, valid, test);
  else if (published)
    input.splits = read_split(TextFile(letters), input.texts.size());
  return input;
}

Input read_qm9(const MoleculeParams& params) {
  Finder finder(params.qm9);
  const auto file = finder.file("qm9", {".csv", ".smi"});
  finder.check();
  Input input;
  input.add(file);
  return input;
}

Input read_file(const MoleculeParams& params) {
  Input input;
  input.add(
      params.file.existing(),
      {.column = params.column, .header = params.header, .is_selfies = params.input == "selfies"});
  return input;
}

}  // namespace

Input read_input(const MoleculeParams& params) {
  if (params.name.empty() == !params.file)
    throw SpecError("give \"name\" or \"file\", and not both");
  if (params.compatible && params.input != "selfies" && params.representation != "selfies")
    throw SpecError("\"compatible\" is about tokens of SELFIES, and there are none");
  if (params.name.empty()) return read_file(params);
  if (params.input != "smiles" || !params.column.empty() || params.header != "auto")
    throw SpecError(
        "\"input\", \"column\" and \"header\" go with \"file\"; a set with a \"name\" is SMILES");
  if (params.name == "zinc250k") return read_zinc250k(params);
  if (params.name == "qm9") return read_qm9(params);
  if (params.split_file || (params.split != "auto" && params.split != "file"))
    throw SpecError("moses has a split of its own; leave out \"split\" and \"split_file\"");
  return read_moses(params);
}

}  // namespace marginalia::molecules
