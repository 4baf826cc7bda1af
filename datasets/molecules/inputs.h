/// \file
/// Where the dataset's molecules come from: a set with a name, or a file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <marginalia/dataset.h>
#include <marginalia/params.h>
#include <marginalia/source.h>

#include "molecule_file.h"
#include "shared/selfies/selfies.h"

namespace marginalia::molecules {

/// What is read, and how it becomes rows.
struct MoleculeParams {
  std::string name, column, input = "smiles", representation = "selfies", split = "auto",
                            constraints = "default";
  FilePath file, split_file;
  FilePath zinc250k{"zinc250k/zinc250k.smi", {}}, qm9{"qm9/qm9.smi", {}},
      moses{"moses/train.csv", {}};
  std::vector<double> fractions{0.8, 0.1, 0.1};
  std::int64_t length = 0;
  bool skip_invalid = false;
  void visit(ParamVisitor& p) {
    p("name", name, {.doc = "a public set", .one_of = {"", "zinc250k", "qm9", "moses"}});
    p("file", file,
      {.doc = "in place of name: .csv with a header, else a molecule at the start of each line; "
              "plain, .gz or .zip"});
    p("column", column, {.doc = "of a .csv, by its name; empty: the first"});
    p("input", input, {.doc = "what file holds", .one_of = {"smiles", "selfies"}});
    p("representation", representation,
      {.doc = "tokens of a row: of SELFIES, or the characters of SMILES",
       .one_of = {"selfies", "smiles"}});
    p("constraints", constraints,
      {.doc = "bonds that SELFIES allow an atom", .one_of = selfies::Constraints::presets()});
    p("split", split,
      {.doc = "auto: the published one, else order; order: fractions of the file's order; file: "
              "split_file; scaffold: whole Murcko scaffolds, the most frequent to train",
       .one_of = {"auto", "order", "file", "scaffold"}});
    p("split_file", split_file,
      {.doc = "one letter for each molecule: T (train), V (valid) or E (test)"});
    p("fractions", fractions, {.doc = "of train, valid and test", .min = 0.0, .max = 1.0});
    p("length", length, {.doc = "D, tokens of a row; 0: of the longest molecule", .min = 0});
    p("skip_invalid", skip_invalid,
      {.doc = "whether molecules that have no row are left out, and their number said"});
    p("zinc250k", zinc250k,
      {.doc = "of that name; beside it split.txt, or valid.smi and test.smi"});
    p("qm9", qm9, {.doc = "of that name; or .csv"});
    p("moses", moses,
      {.doc = "of that name, the train set; beside it test.csv and test_scaffolds.csv; or .smi"});
  }
};

/// Molecules of one file or several, and their splits where files say them.
struct Input {
  std::vector<MoleculeFile> files;
  std::vector<std::string_view> texts;
  std::vector<Split> splits;  ///< one for each text, or none where no file says them

  void add(MoleculeFile file);
  std::string place(std::size_t index) const;  ///< "FILE:LINE" of a text
};

/// The files that are published.
std::vector<PublicFile> public_files();

/// Reads them; throws SpecError where the request is wrong or files are missing.
Input read_input(const MoleculeParams& params);

}  // namespace marginalia::molecules
