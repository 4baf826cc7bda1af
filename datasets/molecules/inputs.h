/// \file
/// Where the dataset's molecules come from: a set with a name, or a file.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <marginalia/params.h>
#include <marginalia/source.h>

#include "molecule_file.h"
#include "shared/selfies/selfies.h"
#include "splits.h"

namespace marginalia::molecules {

/// What is read, and how it becomes rows.
struct MoleculeParams {
  std::string name, column, header = "auto", input = "smiles", representation = "selfies",
                            split = "auto", constraints = "default";
  FilePath file, split_file;
  FilePath zinc250k{"zinc250k/zinc250k.smi", {}}, qm9{"qm9/qm9.smi", {}},
      moses{"moses/train.csv", {}};
  std::vector<double> fractions{0.8, 0.1, 0.1};
  std::int64_t length = 0;
  bool compatible = false, skip_invalid = false;
  void visit(ParamVisitor& p) {
    p("name", name, {.doc = "a public set", .one_of = {"", "zinc250k", "qm9", "moses"}});
    p("file", file,
      {.doc =
           "in place of name: of .csv and .tsv a column between tabs, commas or semicolons, as in "
           "1,CCO,\"ethanol, pure\"; else the first word of each line, as in CCO ethanol; plain, "
           ".gz or .zip"});
    p("column", column,
      {.doc =
           "of a .csv or .tsv, by its name: \"smiles\" where the header is id,smiles; empty: the "
           "first"});
    p("header", header,
      {.doc = "whether the first line is one; auto: of a .csv or .tsv where column is a name in it "
              "or its first field is no molecule, as in id,smiles, of others where its first word "
              "has smiles or selfies in it, as in SMILES name",
       .one_of = {"auto", "yes", "no"}});
    p("input", input,
      {.doc = "what file holds: SMILES, as C1CCCCC1, C%12CCCCC%12 or C%(123)CCCCC%(123), or "
              "SELFIES, as [C][=O]",
       .one_of = {"smiles", "selfies"}});
    p("compatible", compatible,
      {.doc = "whether tokens of SELFIES 1 are read too, in file and in texts of questions: "
              "[Branch1_2] as [=Branch1], [Expl=Ring1] as [=Ring1], [C@@Hexpl] as [C@@H1]"});
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
      {.doc = "one letter for each molecule, T (train), V (valid) or E (test): TTVTE, in one line "
              "or in several"});
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
  SplitLetters splits;  ///< one for each text, or none where no file says them

  void add(const std::filesystem::path& file, const FileForm& form = {});
  std::string place(std::size_t index) const;  ///< "FILE:LINE" of a text
};

/// The files that are published.
std::vector<PublicFile> public_files();

/// Reads them; throws SpecError where the request is wrong or files are missing.
Input read_input(const MoleculeParams& params);

}  // namespace marginalia::molecules
