// Files of molecules as programs of the field write them.
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "folder.h"
#include "said.h"

#include "datasets/molecules/molecule_file.h"
#include "datasets/molecules/splits.h"

using namespace marginalia;
using molecules::FileForm, molecules::MoleculeFile;
using test::all_rows, test::dataset_refusal, test::Folder, test::make_dataset;

namespace {

const std::string kMark = "\xef\xbb\xbf";

/// The molecules of a file, between bars, and the last one's place.
std::string read(const std::string& name, const std::string& text, const FileForm& form = {}) {
  const MoleculeFile file(TextFile(name, text), form);
  std::vector<std::string_view> texts;
  for (const auto& entry : file.entries())
    texts.push_back(entry.text);
  return fmt::format("{} {}", fmt::join(texts, "|"), file.place(file.entries().back()));
}

std::string refused(const std::string& name, const std::string& text, const FileForm& form = {}) {
  return test::refusal([&] { read(name, text, form); });
}

const FileForm kNamed{.column = "smiles"};
const FileForm kSelfies{.is_selfies = true};
FileForm header(const char* word) {
  return {.header = word};
}

std::string one_letter(const std::string& text, std::size_t count) {
  return molecules::read_split(TextFile("s", text), count);
}

}  // namespace

TEST_CASE("the first line of a table of molecules is a header where it looks like one") {
  CHECK(read("m.csv", "smiles,id\nCCO,1\nCCN,2\n") == "CCO|CCN m.csv:3");
  CHECK(read("m.csv", "id,smiles\n1,CCO\n2,CCN\n", kNamed) == "CCO|CCN m.csv:3");
  CHECK(read("m.csv", "C,smiles\n1,CCO\n", kNamed) == "CCO m.csv:2");  // "C" is a molecule too
  CHECK(read("m.csv", "SELFIES,id\n[C][O],1\n", kSelfies) == "[C][O] m.csv:2");
  std::string text;
  CHECK(test::said([&] { text = read("m.csv", "CCO\nCCN\n"); }) ==
        "marginalia: warning: m.csv:1: the first line is read as a molecule, CCO, and not as a "
        "header; \"header\": \"no\" or \"yes\" says which it is\n");
  CHECK(text == "CCO|CCN m.csv:2");
  CHECK(test::said([&] {
          text = read("m.tsv", "[C][Q]\tx\n[N]\ty\n", kSelfies);
        }).find("a molecule, [C][Q], and") != std::string::npos);
  CHECK(text == "[C][Q]|[N] m.tsv:2");
  // One that cannot be encoded is a molecule all the same, and no header.
  for (const auto* smiles : {"CN(=O)=O", "c1cccc1", "[CH5]", "C%(100)CC%(100)"})
    CHECK(test::said([&] {
            text = read("m.csv", std::string(smiles) + ",1\nC,2\n");
          }).find(smiles) != std::string::npos);
}

TEST_CASE("what is a header can be said") {
  for (const auto* name : {"m.csv", "m.tsv", "m.smi", "m.txt"}) {
    CAPTURE(name);
    std::string text;
    CHECK(test::said([&] { text = read(name, "CCO\nCCN\n", header("no")); }).empty());
    CHECK(text == fmt::format("CCO|CCN {}:2", name));
    CHECK(test::said([&] { text = read(name, "C\nCCN\n", header("yes")); }).empty());
    CHECK(text == fmt::format("CCN {}:2", name));
  }
  CHECK(refused("m.csv", "CCO,1\nCCN,2\n", {"smiles", "no"})
            .starts_with("m.csv: \"column\" is a name in a header, and \"header\": \"no\" says"));
  CHECK(refused("m.csv", "CCO,1\nCCN,2\n", kNamed) ==
        "m.csv:1: has no column \"smiles\", and begins with a molecule, CCO; \"header\": \"yes\" "
        "says that it is the header all the same");
  CHECK(refused("m.csv", "\nid,SMILES\n1,CCO\n", kNamed) ==
        "m.csv:2: has no column \"smiles\"; there is: id, SMILES");
  CHECK(refused("m.smi", "CCO\n", kNamed) ==
        "m.smi: has no columns; \"column\" is for .csv and .tsv");
  CHECK(refused("m.csv", "smiles\n") == "m.csv: has no molecules; it needs one at least");
}

TEST_CASE("lines of molecules can have a title") {
  for (const auto* title : {"smiles", "SMILES\tname", " canonical_smiles id", "Smiles,id"})
    for (const auto* name : {"m.smi", "m.txt"})
      CHECK(read(name, std::string(title) + "\nCCO ethanol\n") == fmt::format("CCO {}:2", name));
  CHECK(read("m.txt", "selfies\n[C][O]\n", kSelfies) == "[C][O] m.txt:2");
  CHECK(read("m.smi", "CCO smiles\nCCN\n") == "CCO|CCN m.smi:2");
  CHECK(read("m.smi", "CCO\nsmiles\n") == "CCO|smiles m.smi:2");
}

TEST_CASE("an index of rows is not taken for molecules") {
  for (const auto* first : {",smiles,id", "\"\",\"smiles\",\"id\""}) {
    const auto text = std::string(first) + "\n0,CCO,a\n1,CCN,b\n";
    CHECK(refused("m.csv", text) ==
          "m.csv:1: the first column has no name, so that it is an index of the rows; give "
          "\"column\", one of: smiles, id");
    CHECK(read("m.csv", text, kNamed) == "CCO|CCN m.csv:3");
  }
}

TEST_CASE("columns stand between tabs, commas, semicolons or blanks, quoted or not") {
  for (const auto* name : {"m.csv", "m.tsv", "m.csv.gz", "M.CSV.zip"})
    for (const char separator : {'\t', ',', ';', ' '}) {
      CAPTURE(separator);
      const auto table = [&](std::string text) {
        std::ranges::replace(text, '|', separator);
        return read(name, text, kNamed);
      };
      CHECK(table("id|smiles\na|CCO\nb|CCN\n") == fmt::format("CCO|CCN {}:3", name));
      CHECK(table("\"id\"|\"smiles\"\n\"a|\"\"b\"\"\"|\"CCO\"\n\"c\nd\"|CCN") ==
            fmt::format("CCO|CCN {}:3", name));
      if (separator != ' ')
        CHECK(table("id|smiles|\n5\" rod| CCO |\n6\" rod|CCN|\n") ==
              fmt::format("CCO|CCN {}:3", name));
    }
  CHECK(read("m.csv", "name,smiles\n#1,CCO\n# 2,CCN\n", kNamed) == "CCO|CCN m.csv:3");
  CHECK(read("m.csv", "smiles\n\"a\"\"b\"\n") == "a\"b m.csv:2");
  CHECK(refused("m.csv", "id,smiles\n\"a,CCO\nb,CCN\n", kNamed) ==
        "m.csv:2: a quoted field begins here and is never closed");
  CHECK(refused("m.csv", "id,smiles\na,CCO\nb\n", kNamed) ==
        "m.csv:3: has 1 columns; the molecule is in number 2");
}

TEST_CASE("marks of byte order and every end of line are read") {
  for (const std::string end : {"\n", "\r\n", "\r"})
    for (const auto& mark : {std::string(), kMark}) {
      CAPTURE(end);
      CHECK(read("m.smi", mark + "CCO" + end + end + "\tCCN a" + end) == "CCO|CCN m.smi:3");
      CHECK(read("m.csv", mark + "smiles,id" + end + "CCO,1" + end + "CCN,2", kNamed) ==
            "CCO|CCN m.csv:3");
      CHECK(one_letter(mark + "TV" + end + "E T" + end, 4) == "TVET");
    }
  CHECK(refused("m.smi", "\xff\xfe"
                         "C")
            .starts_with("m.smi: is UTF-16; "));
  CHECK(test::refusal([] { one_letter("TV\rEX\n", 4); }) ==
        "s:2: character 2 is 'X'; a split file has one letter for each molecule: T (train), V "
        "(valid) or E (test)");
}

TEST_CASE("tokens of SELFIES with blanks between them are not cut to the first one") {
  CHECK(read("m.txt", "[C][O] methanol [1]\n[C] a\n", kSelfies) == "[C][O]|[C] m.txt:2");
  CHECK(refused("m.txt", "[N]\n[C] [=O]\n", kSelfies) ==
        "m.txt:2: a blank stands between tokens; write them as [C][=O]");
}

TEST_CASE("files of molecules are found packed, or named with where they were looked for") {
  const Folder folder;
  folder.pack("beside/m.csv.gz", kMark + "smiles\tid\r\nCCO\t1\r\nCCN\t2\r\nCC\t3\r\nC\t4\r\n");
  folder.zip("s.txt.zip", "TTV\rE\r");
  const auto m = make_dataset(
      R"({"type": "molecules", "file": "m.csv", "column": "smiles", "split_file": "s.txt"})",
      folder.path);
  CHECK(m->size(Split::kTrain) == 2);
  CHECK(m->to_text(all_rows(*m, Split::kTest)[0]) == "[C]");
  for (const auto* missing : {R"("file": "n.smi")", R"("file": "m.csv", "split_file": "n.smi")"})
    CHECK(dataset_refusal(fmt::format(R"({{"type": "molecules", {}}})", missing), folder.path) ==
          "dataset molecules (plugin molecules): DATA/n.smi: there is no such file, nor that with "
          ".gz or .zip; a file is looked for beside the spec, then in the data directory (--data, "
          "$MARGINALIA_DATA)");
}

TEST_CASE("SELFIES of version 1 become rows of version 2 where compatible is true") {
  const Folder folder;
  folder.write("m.csv", "selfies\n[C][Branch1_2][C][=O][O]\n[C][C@@Hexpl][=C]\n[O]\n[N]\n");
  const auto spec = [](const std::string& more) {
    return R"({"type": "molecules", "file": "m.csv", "input": "selfies", )" + more +
           R"("fractions": [0.5, 0.25, 0.25]})";
  };
  const auto m = make_dataset(spec(R"("compatible": true, )"), folder.path);
  const auto rows = all_rows(*m, Split::kTrain);
  CHECK(m->to_text(rows[0]) == "[C][=Branch1][C][=O][O]");
  CHECK(m->to_text(rows[1]) == "[C][C@@H1][=C]");
  CHECK(m->from_text({"[C][Branch1_2][C][=O][O]"}).equal(rows[0]));
  CHECK(m->from_text({"[C][=Branch1][C][=O][O]"}).equal(rows[0]));
  auto part = rows[0].clone();
  part[2] = kUnknown;
  CHECK(m->from_text({"[C][Branch1_2]_[=O][O]", {}, "_"}).equal(part));
  CHECK(test::refusal([&] {
          m->from_text({"[C][Branch1_2][S]"});
        }).starts_with("the SELFIES [C][Branch1_2][S] is [C][=Branch1][S] today: character 14: "));
  const auto smiles =
      make_dataset(spec(R"("compatible": true, "representation": "smiles", )"), folder.path);
  CHECK(smiles->to_text(all_rows(*smiles, Split::kTrain)[0]) == "C(=O)O");

  const std::string token = "\"[Branch1_2]\" is a token of SELFIES 1, today [=Branch1]; it is read "
                            "where \"compatible\" is "
                            "true (molecules decode: --compatible)";
  CHECK(dataset_refusal(spec(""), folder.path)
            .find("m.csv:2: [C][Branch1_2][C][=O][O]: character "
                  "4: " +
                  token) != std::string::npos);
  folder.write("m.csv", "selfies\n[C]\n[C]\n[O]\n[N]\n");
  const auto today = make_dataset(spec(""), folder.path);
  CHECK(test::refusal([&] { today->from_text({"[C][Branch1_2]"}); }) == "character 4: " + token);
  const std::string says = "dataset molecules (plugin molecules): ";
  CHECK(dataset_refusal(R"({"type": "molecules", "file": "m.csv", "representation": "smiles",
            "compatible": true})",
                        folder.path) ==
        says + "\"compatible\" is about tokens of SELFIES, and there are none");
  CHECK(dataset_refusal(R"({"type": "molecules", "name": "qm9", "header": "no"})", folder.path) ==
        says + "\"input\", \"column\" and \"header\" go with \"file\"; a set with a \"name\" is "
               "SMILES");
}
