// Dataset molecules: texts back to rows, and drawings.
#include <fmt/format.h>

#include "folder.h"
#include "said.h"
#include "shared/chemistry/chemistry.h"

using namespace marginalia;
using test::all_rows, test::Folder, test::make_dataset;

namespace {

std::shared_ptr<Dataset> make_molecules(const Folder& folder, const std::string& more) {
  folder.write("m.smi", "CCO\nC=C\nc1ccccc1\nN#C\n");
  return make_dataset(
      R"({"type": "molecules", "file": "m.smi", )" + more + R"("fractions": [0.5, 0.25, 0.25]})",
      folder.path);
}

}  // namespace

TEST_CASE("molecules read SELFIES and SMILES into rows of SELFIES") {
  const Folder folder;
  const auto m = make_molecules(folder, "");
  const auto row = all_rows(*m, Split::kTrain)[0];
  CHECK(m->to_text(row) == "[C][C][O]");
  CHECK(m->from_text({"[C][C][O]"}).equal(row));
  CHECK(m->from_text({"OCC"}).equal(m->from_text({"[O][C][C]"})));
  CHECK(m->from_text({"CCO"}).equal(row));
  auto partial = row.clone();
  partial[1] = kUnknown;
  CHECK(m->to_text(partial) == "[C][?][O]");
  CHECK(m->from_text({"[C][?][O]"}).equal(partial));
  const auto placed = m->from_text({"CCO", 5});
  CHECK(placed.slice(0, 5).equal(row.slice(0, 0, 3)));
  CHECK((placed.slice(0, 0, 5) == kUnknown).all().item<bool>());
  CHECK(test::refusal([&] {
          m->from_text({"CCS"});
        }).starts_with("the SMILES CCS is [C][C][S]: character 7: \"[S]\" is not a letter"));
}

TEST_CASE("a text of tokens with a bracket that is open says so") {
  const Folder folder;
  const auto m = make_molecules(folder, "");
  const auto why = [&](const PartialText& text) {
    return test::refusal([&] { m->from_text(text); });
  };
  CHECK(why({"[C][=C"}) == "character 4: \"[\" is never closed by \"]\"");
  CHECK(why({"["}) == "character 1: \"[\" is never closed by \"]\"");
  CHECK(why({"[C]_[=C", 0, "_"}) == "character 5: \"[\" is never closed by \"]\"");
  CHECK(why({"[C][?"}) == "character 4: \"[\" is never closed by \"]\"");
  CHECK(why({"C[CH3"}).starts_with(
      "the SMILES C[CH3: character 2: \"[\" is never closed by \"]\"; a part"));
  CHECK(why({"[C].[=C]"}).starts_with("character 4: \".\" is not a letter"));
}

TEST_CASE("a SMILES in a question can have a name, and rings of many digits") {
  const Folder folder;
  const auto m = make_molecules(folder, "");
  const auto row = all_rows(*m, Split::kTrain)[0];
  torch::Tensor read;
  CHECK(test::said([&] { read = m->from_text({"CCO ethanol, pure"}); }) ==
        "marginalia: warning: of the text \"CCO ethanol, pure\" the molecule is \"CCO\"; "
        "\"ethanol, pure\" is taken as its name\n");
  CHECK(read.equal(row));
  CHECK(test::said([&] { read = m->from_text({" CCO\t"}); }).empty());
  CHECK(read.equal(row));
  CHECK(test::refusal([&] { m->from_text({"[C] [C]"}); }).find("\" \" is not a symbol") !=
        std::string::npos);
  CHECK(m->from_text({"c%(12345)ccccc%(12345)"}).equal(m->from_text({"c1ccccc1"})));
  CHECK(test::refusal([&] { m->from_text({"C[CH5]"}); }).find("has 5 hydrogens, too many") !=
        std::string::npos);
}

TEST_CASE("molecules of SMILES characters read them, with gaps") {
  const Folder folder;
  const auto m = make_molecules(folder, R"("representation": "smiles", )");
  CHECK(m->from_text({"CCO"}).equal(all_rows(*m, Split::kTrain)[0]));
  CHECK(m->to_text(m->from_text({"C?O", 1})) == "?C?O????");
  CHECK(test::refusal([&] {
          m->from_text({"CCS"});
        }).starts_with("character 3: \"S\" is not a letter"));
}

TEST_CASE("molecules are drawn where RDKit is there") {
  const Folder folder;
  for (const auto* representation : {"selfies", "smiles"}) {
    const auto m =
        make_molecules(folder, fmt::format(R"("representation": "{}", )", representation));
    const auto row = all_rows(*m, Split::kTrain)[0].clone();
    const auto svg = m->to_svg(row);
    if (chemistry::rdkit_version().empty()) {
      test::skip("the program was built without RDKit");
      CHECK(svg.empty());
      return;
    }
    CHECK(svg.find("<svg") != svg.npos);
    CHECK(svg.find("'bond-1 atom-1 atom-2'") != svg.npos);
    row[0] = kUnknown;
    CHECK(m->to_svg(row).empty());
  }
}
