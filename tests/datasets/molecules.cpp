#include <fstream>
#include <map>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/tool.h>

#include "folder.h"
#include "shared/chemistry/chemistry.h"
#include "splits.h"

#include "datasets/molecules/splits.h"

using namespace marginalia;
using test::all_rows, test::dataset_refusal, test::Folder, test::make_dataset;

namespace {

const std::string kMoleculesSays = "dataset molecules (plugin molecules): ";
const std::string kThirds = R"("fractions": [0.5, 0.25, 0.25])";

std::string molecules_spec(const std::string& rest) {
  return R"({"type": "molecules", )" + rest + "}";
}

std::vector<std::string> texts(const Dataset& dataset, Split split) {
  std::vector<std::string> all;
  const auto rows = all_rows(dataset, split);
  for (std::int64_t i = 0; i < rows.size(0); ++i)
    all.push_back(dataset.to_text(rows[i]));
  return all;
}

using Texts = std::vector<std::string>;

/// What the verb answers to some lines.
std::string tool(const std::vector<std::string>& arguments, const std::string& lines,
                 const ToolContext& context = {}) {
  std::istringstream in(lines);
  std::ostringstream out;
  const auto made =
      test::loaded_registry().make<Tool>(Spec::from_text(R"({"type": "molecules"})"), context);
  const auto code = made->run(arguments, in, out);
  CHECK(code == 0);
  return out.str();
}

}  // namespace

TEST_CASE("molecules become rows of SELFIES tokens, padded, over a sorted alphabet") {
  const Folder folder;
  folder.pack("m.smi.gz", "CCO first\n\n  C=C\r\nc1cc[nH]c1\nN#C\n");
  const auto m = make_dataset(molecules_spec(R"("file": "m.smi", )" + kThirds), folder.path);
  CHECK(m->space().alphabet ==
        Texts{"[#C]", "[=C]", "[=Ring1]", "[Branch1]", "[C]", "[NH1]", "[N]", "[O]", "[nop]"});
  CHECK(m->space().dimension() == 7);
  CHECK(m->space().levels() == 9);
  CHECK(all_rows(*m, Split::kTrain)
            .equal(torch::tensor({{4, 4, 7, 8, 8, 8, 8}, {4, 1, 8, 8, 8, 8, 8}}, torch::kLong)));
  CHECK(texts(*m, Split::kTrain) == Texts{"[C][C][O]", "[C][=C]"});
  CHECK(texts(*m, Split::kValid) == Texts{"[C][C][=C][NH1][C][=Ring1][Branch1]"});
  CHECK(texts(*m, Split::kTest) == Texts{"[N][#C]"});
}

TEST_CASE("molecules become rows of SMILES characters") {
  const Folder folder;
  folder.write("m.txt", "CCO\nC=C\nc1cc[nH]c1\nN#C\n");
  const auto m = make_dataset(
      molecules_spec(R"("file": "m.txt", "representation": "smiles", "length": 12, )" + kThirds),
      folder.path);
  CHECK(m->space().alphabet == Texts{"#", "1", "=", "C", "H", "N", "O", "[", "]", "c", "n", " "});
  CHECK(m->space().dimension() == 12);
  CHECK(texts(*m, Split::kValid) == Texts{"c1cc[nH]c1"});
  auto row = all_rows(*m, Split::kTrain)[0].clone();
  row[4] = 6;  // CCO, a blank, O
  CHECK(m->to_text(row) == "CCO O");
  row[0] = kUnknown;
  CHECK(m->to_text(row) == "?CO O");
}

TEST_CASE("molecules are read from a column of a .csv, quoted or not, and from SELFIES") {
  const Folder folder;
  folder.write("m.csv", "id,smiles\n1,CCO\n2,\"C=C\n\"\n\n3,\"N#C\"\n4,CF\n");
  const auto m = make_dataset(molecules_spec(R"("file": "m.csv", "column": "smiles", )" + kThirds),
                              folder.path);
  CHECK(texts(*m, Split::kTrain) == Texts{"[C][C][O]", "[C][=C]"});
  CHECK(texts(*m, Split::kTest) == Texts{"[C][F]"});
  CHECK(dataset_refusal(molecules_spec(R"("file": "m.csv", "column": "smile")"), folder.path) ==
        kMoleculesSays + "DATA/m.csv:1: has no column \"smile\"; there is: id, smiles");
  folder.write("s.txt", "[C][C][O]\n[C][nop][=C]\n[N][#C]\n[C][F].[Na+1]\n");
  const auto s = make_dataset(molecules_spec(R"("file": "s.txt", "input": "selfies", )" + kThirds),
                              folder.path);
  CHECK(texts(*s, Split::kTrain) == Texts{"[C][C][O]", "[C][=C]"});
  CHECK(texts(*s, Split::kTest) == Texts{"[C][F].[Na+1]"});
  const auto decoded = make_dataset(
      molecules_spec(R"("file": "s.txt", "input": "selfies", "representation": "smiles", )" +
                     kThirds),
      folder.path);
  CHECK(texts(*decoded, Split::kTest) == Texts{"CF.[Na+1]"});
}

TEST_CASE("a molecule without a row is refused by file and line, or left out when asked") {
  const Folder folder;
  folder.write("m.smi", "CCO\n\nCN(=O)=O\nC=C\nCC(\nN#C\nCF\nC1\nXX\n");
  CHECK(dataset_refusal(molecules_spec(R"("file": "m.smi")"), folder.path) ==
        kMoleculesSays +
            "4 of 8 molecules have no row:\n"
            "  - DATA/m.smi:3: CN(=O)=O: character 2: N makes 5 bonds, but the constraints allow "
            "it 3\n"
            "  - DATA/m.smi:5: CC(: character 3: \"(\" is never closed by \")\"\n"
            "  - DATA/m.smi:8: C1: character 2: ring number 1 is opened here and never closed in "
            "this part\n"
            "  - ...\n"
            "  \"skip_invalid\": true leaves them out");
  folder.write("split", "TTTVVEET");
  const auto m = make_dataset(
      molecules_spec(
          R"("file": "m.smi", "skip_invalid": true, "split": "file", "split_file": "split")"),
      folder.path);
  CHECK(texts(*m, Split::kTrain) == Texts{"[C][C][O]", "[C][=C]"});
  CHECK(m->size(Split::kValid) + m->size(Split::kTest) == 2);
  CHECK(dataset_refusal(
            molecules_spec(R"("file": "m.smi", "length": 2, "constraints": "hypervalent")"),
            folder.path)
            .find("m.smi:1: CCO: has 3 tokens; \"length\" allows 2") != std::string::npos);
}

TEST_CASE("molecules say what is wrong with a request") {
  const Folder folder;
  folder.write("m.smi", "CCO\nC\nN\nO\n");
  const auto why = [&](const std::string& rest) {
    const auto text = dataset_refusal(molecules_spec(rest), folder.path);
    return text.starts_with(kMoleculesSays) ? text.substr(kMoleculesSays.size()) : text;
  };
  CHECK(why(R"("split": "order")") == "give \"name\" or \"file\", and not both");
  CHECK(why(R"("file": "x.smi")").starts_with("DATA/x.smi: there is no such file, nor that with "));
  CHECK(why(R"("file": "m.smi", "fractions": [0.9, 0.2, 0.1])") ==
        "\"fractions\" are 3 numbers with sum 1.2; there must be three, of train, valid and test, "
        "with sum 1");
  CHECK(why(R"("file": "m.smi", "fractions": [1, 0, 0])") ==
        "no molecule is in valid; each split needs one at least");
  CHECK(why(R"("file": "m.smi", "split": "file")") == "\"split\": \"file\" needs \"split_file\"");
  folder.write("s", "TVX");
  CHECK(why(R"("file": "m.smi", "split_file": "s")")
            .starts_with("DATA/s:1: character 3 is 'X'; a split file has one letter"));
  folder.write("s", "TVE\n");
  CHECK(why(R"("file": "m.smi", "split_file": "s")") ==
        "DATA/s: has 3 letters, but there are 4 molecules");
  CHECK(why(R"("name": "qm9")")
            .starts_with("files are missing:\n  - DATA/qm9/qm9.csv, or that with .gz or .zip\n"
                         "    from https://raw.githubusercontent.com/aspuru-guzik-group/selfies/"));
  folder.write("moses/test.csv", "SMILES,SPLIT\nC,test\n");
  const auto moses = why(R"("name": "moses")");
  CHECK(moses.find("DATA/moses/train.csv") != std::string::npos);
  CHECK(moses.find("DATA/moses/test.csv") == std::string::npos);
  CHECK(moses.find("\"file\": \"moses/test.smi\", \"split\": \"order\"") != std::string::npos);
}

TEST_CASE("sets with a name take the split that was published with them") {
  const Folder folder;
  folder.write("zinc250k/zinc250k.smi", "C\nN\nO\nF\n");
  folder.pack("zinc250k/valid.smi.gz", "O\n");
  folder.write("zinc250k/test.smi", "C\n");
  const auto lists = make_dataset(molecules_spec(R"("name": "zinc250k")"), folder.path);
  CHECK(texts(*lists, Split::kTrain) == Texts{"[N]", "[F]"});
  CHECK(texts(*lists, Split::kValid) == Texts{"[O]"});
  CHECK(texts(*lists, Split::kTest) == Texts{"[C]"});
  folder.write("zinc250k/split.txt", "VTTE\n");
  const auto letters = make_dataset(molecules_spec(R"("name": "zinc250k")"), folder.path);
  CHECK(texts(*letters, Split::kTrain) == Texts{"[N]", "[O]"});
  CHECK(texts(*letters, Split::kTest) == Texts{"[F]"});

  folder.write("moses/train.csv", "SMILES,SPLIT\nC,train\nN,train\n");
  folder.write("moses/test.smi", "O\n");
  folder.pack("moses/test_scaffolds.csv.gz", "SMILES,SPLIT\nF,test_scaffolds\n");
  const auto moses = make_dataset(molecules_spec(R"("name": "moses")"), folder.path);
  CHECK(texts(*moses, Split::kTrain) == Texts{"[C]", "[N]"});
  CHECK(texts(*moses, Split::kValid) == Texts{"[F]"});
  CHECK(texts(*moses, Split::kTest) == Texts{"[O]"});
}

TEST_CASE("whole scaffolds go to one split, the most frequent to train") {
  CHECK(molecules::split_by_scaffold({"a", "b", "b", "c", "b", "c", "d", "b", "e", "e"},
                                     {0.6, 0.2, 0.2}) == "ETTTTTETVV");
  if (chemistry::rdkit_version().empty()) {
    test::skip("needs RDKit");
    return;
  }
  const Folder folder;
  folder.write("m.smi", "CCO\nc1ccccc1C\nCC1CC1\nCc1ccccc1O\nC1CC1F\nOc1ccccc1\n");
  const auto m = make_dataset(
      molecules_spec(R"("file": "m.smi", "split": "scaffold", "representation": "smiles",
              "fractions": [0.5, 0.35, 0.15])"),
      folder.path);
  CHECK(texts(*m, Split::kTrain) == Texts{"c1ccccc1C", "Cc1ccccc1O", "Oc1ccccc1"});
  CHECK(texts(*m, Split::kValid) == Texts{"CC1CC1", "C1CC1F"});
  CHECK(texts(*m, Split::kTest) == Texts{"CCO"});
}

TEST_CASE("zinc250k and qm9 have the sizes and the alphabets that are known" *
          doctest::test_suite("data/qm9")) {
  const auto data = test::real_data("zinc250k/zinc250k.smi.gz");
  if (data.empty()) return;
  const auto zinc = make_dataset(molecules_spec(R"("name": "zinc250k")"), data);
  CHECK(zinc->size(Split::kTrain) == 220011);
  CHECK(zinc->size(Split::kValid) == 24445);
  CHECK(zinc->size(Split::kTest) == 5000);
  CHECK(zinc->space().levels() == 108);
  CHECK(zinc->space().dimension() == 72);
  CHECK(zinc->to_text(zinc->rows(Split::kTest, torch::tensor({std::int64_t{0}}))[0])
            .starts_with("[C][C][Branch1][C][C]"));

  if (test::real_data("qm9/qm9.smi.gz").empty()) return;
  CHECK(dataset_refusal(molecules_spec(R"("name": "qm9")"), data)
            .starts_with(kMoleculesSays +
                         "142 of 133885 molecules have no row:\n  - DATA/qm9/qm9.smi.gz:"));
  const auto qm9 = make_dataset(molecules_spec(R"("name": "qm9", "skip_invalid": true)"), data);
  std::int64_t count = 0;
  for (const auto split : test::kSplits)
    count += qm9->size(split);
  CHECK(count == 133885 - 142);
}

TEST_CASE("the verb molecules answers line by line") {
  CHECK(tool({"encode"}, "c1ccccc1O\n\nCC(\n  C=C  \r\nC") ==
        "[C][=C][C][=C][C][=C][Ring1][=Branch1][O]\n"
        "! character 1: the SMILES is empty; it needs one atom at least\n"
        "! character 3: \"(\" is never closed by \")\"\n"
        "[C][=C]\n[C]\n");
  CHECK(tool({"decode"}, "[C][=C]\n[Q]\n[S][=O][=O]\n") ==
        "C=C\n! character 1: \"[Q]\" is not a token of SELFIES 2\nS=O\n");
  CHECK(tool({"encode", "--constraints", "hypervalent"}, "CN(=O)=O") ==
        "[C][N][=Branch1][C][=O][=O]\n");
  CHECK(tool({"encode", "--constraints=hypervalent"}, "CN(=O)=O", {.threads = 1}) ==
        "[C][N][=Branch1][C][=O][=O]\n");
  CHECK(tool({"encode"}, "") == "");
  CHECK(tool({"encode"}, "CC ethane\nCC\tethane (gas)\n") == "[C][C]\n[C][C]\n");
  CHECK(tool({"encode"}, "C%(100)CCCCC%(100)\n[CH5]\n") ==
        "[C][C][C][C][C][C][Ring1][=Branch1]\n! character 1: [CH5] has 5 hydrogens, too many for "
        "the 4 bonds that the constraints allow it\n");
  CHECK(tool({"decode"}, "[C][=O] formaldehyde\n[C] [=O]\n") ==
        "C=O\n! character 4: \" \" stands outside of brackets; tokens are [...], and \".\" between "
        "molecules\n");
  const std::string mark = "\xef\xbb\xbf";
  CHECK(tool({"encode"}, mark + "CC\r\n\r\nN") ==
        "[C][C]\n! character 1: the SMILES is empty; it needs one atom at least\n[N]\n");
  CHECK(tool({"decode"}, mark + "[C]\r[N]\r[O]\r") == "C\nN\nO\n");
  CHECK(test::refusal([&] { tool({"decode"}, "\xff\xfe[\n"); }).starts_with("stdin: is UTF-16; "));
  const std::string version_1 = "[C][Branch1_2][C][=O][O]\n[C][=C][C][=C][C][=C][Ring1][Branch1_2]";
  CHECK(tool({"decode", "--compatible"}, version_1) == "C(=O)O\nC1=CC=CC=C1\n");
  const auto today =
      "is a token of SELFIES 1, today [=Branch1]; it is read where \"compatible\" is true "
      "(molecules decode: --compatible)\n";
  CHECK(tool({"decode"}, version_1) == fmt::format("! character 4: \"[Branch1_2]\" {}! character "
                                                   "29: \"[Branch1_2]\" {}",
                                                   today, today));

  const auto why = [](const std::vector<std::string>& arguments) {
    return test::refusal([&] { tool(arguments, ""); });
  };
  CHECK(why({}) == "molecules must be told what to do: encode, decode or properties");
  CHECK(why({"read"}) ==
        "molecules must be told what to do: encode, decode or properties, not \"read\"");
  CHECK(why({"encode", "decode"}) == "molecules does one thing at a time: encode or decode?");
  CHECK(why({"encode", "--constraints", "octet"}) ==
        "--constraints octet is not known; there is: default, octet_rule, hypervalent");
  CHECK(why({"encode", "--constraints"}) == "a value must follow --constraints");
  CHECK(why({"encode", "--strict", "1"}) ==
        "molecules has no option --strict; there is: --compatible, --constraints");
  CHECK(why({"encode", "--compatible"}) ==
        "--compatible is about tokens of SELFIES 1, which only decode reads");
  CHECK(why({"decode", "--compatible=true"}) == "--compatible takes no value");
  if (!chemistry::rdkit_version().empty())
    CHECK(test::refusal([] {
            tool({"properties"}, "", {.data = "/nowhere"});
          }).starts_with("/nowhere/chem_reference/sa_fragment_scores.bin[.gz] is missing"));
}
