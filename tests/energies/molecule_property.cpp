#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <marginalia/files.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/oracle.h>

#include "marginalia_test.h"
#include "molecule_rows.h"
#include "shared/chemistry/chemistry.h"

using namespace marginalia;
using test::column, test::count_different, test::property_energy, test::selfies_rows;
using test::token_rows;
using torch::Tensor;
namespace fs = std::filesystem;

namespace {

const std::string kPropertySays = "energy molecule_property (plugin molecule_property): ";

bool without_properties() {
  if (!chemistry::rdkit_version().empty()) return false;
  test::skip("the program was built without RDKit");
  CHECK(test::refusal([] {
          test::make<Energy>(R"({"type": "molecule_property", "property": "logp"})");
        }) == kPropertySays + chemistry::Missing().what());
  return true;
}

std::string property_refusal(const std::string& rest) {
  const auto text = test::refusal([&] { property_energy(rest); });
  return text.starts_with(kPropertySays) ? text.substr(kPropertySays.size()) : text;
}

/// Fragments that public tables of ECFP identifiers name: CH3, aromatic CH, and others.
test::TextFile some_fragments() {
  std::string bytes = "SAFP0001";
  const auto append = [&](const auto& values) {
    bytes.append(reinterpret_cast<const char*>(values.data()),
                 values.size() * sizeof(values.front()));
  };
  append(std::vector<std::uint32_t>{4, 4});
  append(std::vector<double>{-2.5, 0.75, 1.5, 3});
  append(std::vector<std::uint32_t>{864662311, 1382066426, 970651971, 1313261});
  append(std::vector<std::uint16_t>{0, 1, 2, 3});
  return test::TextFile(bytes);
}

}  // namespace

TEST_CASE("molecule_property scores SELFIES by the property's distance from its target") {
  if (without_properties()) return;
  const auto energy = property_energy(R"("property": "logp", "target": 4, "temperature": 0.5)");
  const auto& space = energy->space();
  CHECK(space.dimension() == 55);
  CHECK(space.levels() == 27);
  CHECK(space.alphabet.back() == "[nop]");
  // Benzene 1.6866, phenol 1.3922, aspirin 1.3101: published values of Crippen's model.
  const auto x = selfies_rows(
      space, {"[C][=C][C][=C][C][=C][Ring1][=Branch1]", "[O][C][=C][C][=C][C][=C][Ring1][=Branch1]",
              "[C][C][=Branch1][C][=O][O][C][=C][C][=C][C][=C][Ring1][=Branch1][C][=Branch1][C][=O]"
              "[O]"});
  const auto log_p = torch::tensor({1.6866, 1.3922, 1.3101}, torch::kDouble);
  CHECK(torch::allclose(energy->readable()->raw_score(x), log_p, 0, 1e-9));
  CHECK(torch::allclose(energy->log_density(x), -2 * (log_p - 4).square(), 0, 1e-9));
  CHECK(energy->readable()->to_text(x[1]) == "OC1=CC=CC=C1");
  CHECK(energy->readable()
            ->to_text(x[1].index_fill(0, torch::tensor({3}), kUnknown))
            .starts_with("[O][C][=C][?][=C]"));
}

TEST_CASE("molecule_property passes over padding, and gives what is not a molecule its floor") {
  if (without_properties()) return;
  const auto energy =
      property_energy(R"("property": "weight", "target": 30, "length": 6, "floor": -77)");
  const auto x = selfies_rows(energy->space(), {"[C][C]", "[nop][C][nop][nop][C]", "[nop]",
                                                "[Ring1][Branch1][nop][Ring2]", "[H][H]"});
  CHECK(energy->readable()->to_text(x[1]) == "CC");
  CHECK(energy->readable()->to_text(x[2]).empty());
  const auto log_f = energy->log_density(x);
  CHECK(log_f[0].item<double>() == doctest::Approx(-0.07 * 0.07));  // ethane: 30.070
  CHECK(log_f[1].item<double>() == log_f[0].item<double>());
  CHECK(log_f[2].item<double>() == -77);
  CHECK(log_f[3].item<double>() == -77);
  CHECK(log_f[4].item<double>() == doctest::Approx(-std::pow(2.016 - 30, 2)));
  CHECK(energy->readable()->raw_score(x)[2].isnan().item<bool>());
}

TEST_CASE("molecule_property reads SMILES, with padding at the end alone") {
  if (without_properties()) return;
  const auto energy =
      property_energy(R"("property": "logp", "mode": "minimise", "temperature": 2, )"
                      R"("representation": "smiles", "length": 8, "floor": -9, )"
                      R"("alphabet": ["c", "1", "O", "C", "(", "Cl"])");
  CHECK(energy->space().alphabet == std::vector<std::string>{"(", "1", "C", "Cl", "O", "c", " "});
  const auto x = token_rows(energy->space(), {{"c", "1", "c", "c", "c", "c", "c", "1"},
                                              {"C", "Cl"},
                                              {"C", " ", "O"},
                                              {"C", "("},
                                              {"c", "1", "c"},
                                              {}});
  const auto log_f = energy->log_density(x);
  CHECK(log_f[0].item<double>() == doctest::Approx(-1.6866 / 2));
  CHECK(log_f[1].item<double>() == doctest::Approx(-chemistry::Molecule("CCl").log_p() / 2));
  CHECK((log_f.slice(0, 2) == -9).all().item<bool>());
  CHECK(energy->readable()->to_text(x[1]) == "CCl");
}

TEST_CASE("molecule_property adds the terms of several properties") {
  if (without_properties()) return;
  const auto fragments = some_fragments();
  const auto energy = property_energy(fmt::format(
      R"("property": "", "targets": {{"logp": 1, "weight": 90}}, )"
      R"("maximise": ["qed"], "minimise": ["sa"], )"
      R"("temperature": 2, "temperatures": {{"qed": 0.1, "weight": 50}}, "fragments": "{}")",
      fragments.path.string()));
  const auto x = selfies_rows(energy->space(), {"[O][C][=C][C][=C][C][=C][Ring1][=Branch1]"});
  const chemistry::FragmentScores scores(read_unpacked(fragments.path));
  const auto p = chemistry::compute_properties(chemistry::Molecule("OC1=CC=CC=C1"), scores);
  const double expected = -std::pow(p.log_p - 1, 2) / 2 - std::pow(p.weight - 90, 2) / 50 +
                          p.qed / 0.1 - p.accessibility / 2;
  CHECK(energy->log_density(x).item<double>() == doctest::Approx(expected).epsilon(1e-12));
  CHECK(energy->readable()->raw_score(x).item<double>() == doctest::Approx(expected));
  std::map<std::string, Score> scores_by_name;
  for (const auto& score : energy->readable()->scores(x))
    scores_by_name[score.name] = score;
  CHECK(scores_by_name.size() == 4);
  CHECK(scores_by_name["logp"].values.item<double>() == doctest::Approx(p.log_p));
  CHECK(scores_by_name["weight"].values.item<double>() == doctest::Approx(p.weight));
  CHECK(scores_by_name["weight"].unit == "g/mol");
  CHECK(scores_by_name["weight"].target == 90);
  CHECK(*scores_by_name["weight"].spread == doctest::Approx(5));  // 2 * 5^2 = 50
  CHECK_FALSE(scores_by_name["qed"].target);
  const auto one = property_energy(R"("maximise": ["qed"], "temperature": 0.1)");
  CHECK(one->readable()->raw_score(x).item<double>() == doctest::Approx(p.qed));
  CHECK(one->log_density(x).item<double>() == doctest::Approx(10 * p.qed));
}

TEST_CASE("molecule_property agrees with RDKit's own functions on odd molecules") {
  if (without_properties()) return;
  const fs::path data = MARGINALIA_TEST_DATA;
  std::istringstream odd(
      R"([H]O[H] O=Br[H] [2H]C C[C@H]C C[C@@H](N)[CH2] OCC(O)CO C[S@](=O)CC )"
      R"(CC(C)(C)C1CCC(CC1)C(C)=CC C/C=C/[C@H](O)/C=C/C C/C=C/C(O)/C=C\C C1CC2CCC1N2 )"
      R"(CP(C)(=O)CC F/C=C/C1CC(C1)/C=C\F C[C@H](F)C(O)[C@H](C)F C[C@H](F)C(O)[C@@H](C)F )"
      R"(O=C1C2=CC=CC=C2C3=CC=CC=C13 C12C3C4C1C5C2C3C45 C1CCCCCCCCCC1 C1CC11CC1 [NH4+].[Cl-] )"
      R"([OH3+] [H][H] [Na]Cl C[N+](C)(C)C N1C=CC=C1 CN(=O)=O C#CC(=O)OC1=NC(S)=NC=C1 [13CH4] )"
      R"(FC(F)(F)C(Cl)(Cl)C(Br)(Br)Br O=C(N)NS(=O)(=O)O C1CC2CCC1CC2 C1CC2CCC1C2 )"
      R"(CP(=O)([O-])CC CC1(CO)CN1C(N)=O CN1C2CC(=O)C(=O)C12 N1(P)ON1 C1CN2CCC1CC2 CC1(O)CCC11CC->1 )"
      R"(c1ccccn1->[Zn] C1CCN(C[P-]C1)C(C2=CC=C[Al]O=C2)C3=CC=CC=C3 C[Si-2](F)(F)(F)(F)F )"
      R"([H]P[C-1]=[C+1][C+1](S1)[N+1]1=C=[B-1]C=[P+1][N+1]=O)");
  std::set<std::string> smiles{std::istream_iterator<std::string>(odd), {}};
  smiles.insert(std::string(300, 'C'));
  for (const auto& [file, index] : {std::pair{"encode.tsv", 0}, {"decode.tsv", 2}})
    for (const auto& text : column(data / "molecules" / file, std::size_t(index), 1))
      if (text.find(' ') == text.npos) smiles.insert(text);
  CHECK(smiles.size() > 400);
  CHECK(count_different(smiles, some_fragments().path) == 0);
}

TEST_CASE("molecule_property agrees with RDKit's own functions on random SELFIES") {
  if (without_properties()) return;
  const auto energy = property_energy(R"("property": "logp")");
  Stream stream(3, "selfies");
  const auto x = stream.integers(27, {300, 55});
  std::set<std::string> smiles;
  for (std::int64_t b = 0; b < x.size(0); ++b)
    smiles.insert(energy->readable()->to_text(x[b]));
  smiles.erase("");
  CHECK(smiles.size() > 200);
  CHECK(count_different(smiles, some_fragments().path) == 0);
}

TEST_CASE("molecule_property agrees with RDKit's own functions on public molecules" *
          doctest::test_suite("data/chem_reference")) {
  const auto data = test::real_data("chem_reference/sa_fragment_scores.bin.gz");
  if (data.empty() || without_properties()) return;
  const auto fragments = data / "chem_reference/sa_fragment_scores.bin.gz";
  const auto agree = [&](const char* file, std::size_t index, std::size_t every) {
    CAPTURE(file);
    if (!fs::exists(data / file)) return;
    auto smiles = column(data / file, index, every);
    std::erase_if(smiles, [](const auto& text) { return text.find(' ') != text.npos; });
    CHECK(count_different({smiles.begin(), smiles.end()}, fragments) == 0);
  };
  agree("zinc250k/zinc250k.smi.gz", 0, 250);
  agree("qm9/qm9.smi.gz", 0, 300);
  agree("selfies/decode_vectors.tsv.gz", 4, 14);
  agree("selfies/nonfullerene.smi.gz", 0, 300);
}

TEST_CASE("molecule_property's figures do not depend on the batch or the number of threads") {
  if (without_properties()) return;
  const auto energy =
      property_energy(R"("property": "qed", "mode": "maximise", "temperature": 0.02)");
  Stream stream(4, "states");
  const auto some = stream.integers(27, {40, 55});
  const auto x = torch::cat({some, some.flip(0), some});  // each molecule three times
  const auto before = at::get_num_threads();
  at::set_num_threads(1);
  const auto alone = energy->log_density(x);
  at::set_num_threads(2);
  const auto together = energy->log_density(x);
  at::set_num_threads(before);
  CHECK(alone.equal(together));
  CHECK(alone.slice(0, 0, 40).equal(alone.slice(0, 40, 80).flip(0)));
}

TEST_CASE("molecule_property of a small space sums as its molecules do") {
  if (without_properties()) return;
  const auto energy =
      property_energy(R"("property": "logp", "target": 1, "length": 3, "floor": -5, )"
                      R"("alphabet": ["[C]", "[=O]", "[Ring1]"])");
  const auto states = all_states(energy->space());  // [4^3, 3]
  double sum = 0;
  for (std::int64_t b = 0; b < states.size(0); ++b) {
    std::string text;
    for (std::int64_t i = 0; i < 3; ++i)
      text += energy->space().alphabet[std::size_t(states[b][i].item<std::int64_t>())];
    const auto smiles = selfies::decode(text);
    sum += std::exp(smiles.empty() ? -5 : -std::pow(chemistry::Molecule(smiles).log_p() - 1, 2));
  }
  const ExactAnswers exact(*energy);
  CHECK(exact.oracle()->log_z() == doctest::Approx(std::log(sum)).epsilon(1e-12));
}

TEST_CASE("molecule_property takes its alphabet from a list or a file, in the dataset's order") {
  if (without_properties()) return;
  const test::TextFile file("token\tcount\n[O]\t9\n[C]\t100\n[nop]\n\n[=C] 7\n");
  const auto energy = property_energy(
      fmt::format(R"("property": "logp", "alphabet_file": "{}")", file.path.string()));
  CHECK(energy->space().alphabet == std::vector<std::string>{"[=C]", "[C]", "[O]", "[nop]"});
  const auto listed = property_energy(R"("property": "logp", "alphabet": ["[O]", "[C]", "[=C]"])");
  CHECK(listed->space() == energy->space());
}

TEST_CASE("molecule_property reads alphabets as programs write them") {
  if (without_properties()) return;
  const std::vector<std::string> right{"[=C]", "[C]", "[O]", "[nop]"};
  const auto alphabet = [](const std::string& text, const std::string& more = "") {
    const test::TextFile file(text);
    return property_energy(fmt::format(R"("property": "logp", "alphabet_file": "{}"{})",
                                       file.path.string(), more))
        ->space()
        .alphabet;
  };
  const std::string mark = "\xef\xbb\xbf";
  CHECK(alphabet(mark + "[C]\r[=C]\r\r[O]") == right);
  CHECK(alphabet(mark + "# tokens\r\ntoken,count\r\n\"[C]\",9\r\n[=C],8\r\n # rare\r\n[O],1") ==
        right);
  CHECK(alphabet("token;count;\n[C];9;\n[=C];8;\n[O];1;\n") == right);
  CHECK(alphabet("  [C] 9\n\t[=C]\n[O]\n") == right);
  // Of SMILES # is a bond.
  const std::string smiles = R"(, "representation": "smiles")";
  CHECK(alphabet("token\tcount\n#\t3\nC\t9\n#N\n", smiles) ==
        std::vector<std::string>{"#", "#N", "C", " "});
  for (const auto* comment : {"# of ours\nC\n", "# 9 of ours\nC\n", "#\tall\nC\n"})
    CHECK(test::refusal([&] { alphabet(comment, smiles); })
              .find("values.txt:1: begins with #, which is a bond of SMILES, and goes on with "
                    "words") != std::string::npos);
}

TEST_CASE("molecule_property reads tokens of SELFIES 1 where compatible is true") {
  if (without_properties()) return;
  const test::TextFile file("[C]\n[Branch1_2]\n[=O]\n[NH1+1]\n");
  const auto rest = fmt::format(R"("property": "logp", "alphabet_file": "{}")", file.path.string());
  CHECK(
      property_refusal(rest) ==
      file.path.string() +
          ":2: the token \"[Branch1_2]\" is none of SELFIES: \"[Branch1_2]\" is a token of SELFIES "
          "1, today [=Branch1]; it is read where \"compatible\" is true (molecules decode: "
          "--compatible)");
  const auto from_file = property_energy(rest + R"(, "compatible": true)");
  const auto listed = property_energy(R"("property": "logp", "compatible": true,
      "alphabet": ["[=O]", "[C]", "[NH+expl]", "[=Branch1]"])");
  const std::vector<std::string> right{"[=Branch1]", "[=O]", "[C]", "[NH1+1]", "[nop]"};
  CHECK(from_file->space().alphabet == right);
  CHECK(listed->space().alphabet == right);
  CHECK(from_file->readable()
            ->from_text({"[NH+expl][Branch1_2][?]"})
            .equal(from_file->readable()->from_text({"[NH1+1][=Branch1][?]"})));
  const auto today = property_energy(R"("property": "logp")");
  CHECK(test::refusal([&] {
          today->readable()->from_text({"[C][Branch1_2]"});
        }).starts_with("character 4: \"[Branch1_2]\" is a token of SELFIES 1, today [=Branch1]"));
  CHECK(test::refusal([&] { today->readable()->from_text({"[C][=C"}); }) ==
        "character 4: \"[\" is never closed by \"]\"");
  CHECK(property_refusal(R"("property": "logp", "compatible": true,
            "alphabet": ["[=Branch1]", "[Branch1_2]"])") ==
        "alphabet[1]: the token \"[=Branch1]\" stands twice, first at alphabet[0]");
  CHECK(property_refusal(R"("property": "logp", "compatible": true, "representation": "smiles",
            "alphabet": ["C"])") ==
        "\"compatible\" is about tokens of SELFIES, and there are none");
}

TEST_CASE("molecule_property says what is wrong with a request") {
  const std::string g = R"("property": "logp", )";
  if (without_properties()) return;
  CHECK(property_refusal(R"("length": 3)") ==
        "give \"property\" (one of logp, qed, sa, weight), or several in \"targets\", "
        "\"maximise\" and \"minimise\"");
  CHECK(property_refusal(g + R"("maximise": ["qed"])") ==
        "give \"property\" (one of logp, qed, sa, weight), or several in \"targets\", "
        "\"maximise\" and \"minimise\", not both");
  CHECK(property_refusal(R"("targets": {"logP": 3})") ==
        "\"targets\": no property is called \"logP\"; there is: logp, qed, sa, weight");
  CHECK(property_refusal(R"("targets": {"logp": 3}, "minimise": ["logp"])") ==
        "\"minimise\": logp is asked for twice");
  CHECK(property_refusal(R"("maximise": ["qed"], "temperatures": {"sa": 1})") ==
        "\"temperatures\": sa is not asked for in \"targets\", \"maximise\" or \"minimise\"");
  CHECK(property_refusal(g + R"("temperature": 0)") ==
        "the temperature of logp is 0; it must be above 0");
  CHECK(property_refusal(g + R"("alphabet": [])") ==
        "the alphabet is empty; molecules need one token at least beside the padding");
  CHECK(property_refusal(g + R"("alphabet": ["[C]", "[Xx]"])") ==
        "alphabet[1]: the token \"[Xx]\" is none of SELFIES: \"[Xx]\" is not a token of SELFIES 2");
  CHECK(property_refusal(g + R"("alphabet": ["[C][C]"])") ==
        "alphabet[0]: the token \"[C][C]\" is more than one token");
  CHECK(property_refusal(g + R"("alphabet": ["C"])") ==
        "alphabet[0]: the token \"C\" is none of SELFIES: \"C\" stands outside of brackets; tokens "
        "are [...], and \".\" between molecules");
  CHECK(property_refusal(g + R"("alphabet": ["[CH9]"])") ==
        "alphabet[0]: the token \"[CH9]\" is none of SELFIES: \"[CH9]\" has 9 hydrogens, too many "
        "for the 4 bonds that the constraints allow it");
  CHECK(property_refusal(g + R"("alphabet": ["[C]", "[O]", "[C]"])") ==
        "alphabet[2]: the token \"[C]\" stands twice, first at alphabet[0]");
  CHECK(property_refusal(g + R"("representation": "smiles")") ==
        "\"representation\": \"smiles\" needs an \"alphabet\" of pieces of SMILES");
  CHECK(property_refusal(g + R"("representation": "smiles", "alphabet": ["C", "O C"])") ==
        "alphabet[1]: the token \"O C\" is empty or holds blanks");
  const test::TextFile file("[C]\n[D]\n");
  CHECK(
      property_refusal(g + fmt::format(R"("alphabet_file": "{}")", file.path.string())) ==
      fmt::format("{}:2: the token \"[D]\" is none of SELFIES: \"[D]\" is not a token of SELFIES 2",
                  file.path.string()));
  CHECK(property_refusal(g + R"("alphabet_file": "/nowhere/tokens.tsv")") ==
        "/nowhere/tokens.tsv: there is no such file, nor that with .gz or .zip; a file is looked "
        "for beside the spec, then in the data directory (--data, $MARGINALIA_DATA)");
  CHECK(property_refusal(R"("property": "sa", "fragments": "/nowhere/scores.bin")") ==
        "/nowhere/scores.bin[.gz] is missing, which the SA score needs; put it into the data "
        "directory (--data, $MARGINALIA_DATA) or name it in \"fragments\"");
  CHECK(property_refusal(R"("property": "sa", "fragments": ")" + file.path.string() + "\"") ==
        file.path.string() + ": these are not fragment scores; they begin with SAFP0001");
}
