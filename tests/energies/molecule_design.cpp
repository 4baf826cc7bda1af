// molecule_property as people use it: molecules from texts, completed, and drawn.
#include "marginalia_test.h"

#include <set>
#include <sstream>

#include <fmt/format.h>
#include <boost/property_tree/xml_parser.hpp>

#include "shared/chemistry/chemistry.h"

using namespace marginalia;
using torch::Tensor;

namespace {

std::shared_ptr<Energy> logp_energy(const std::string& rest) {
  if (chemistry::rdkit_version().empty()) {
    test::skip("the program was built without RDKit");
    return nullptr;
  }
  return test::make<Energy>(R"({"type": "molecule_property", "property": "logp", )" + rest + "}");
}

std::int64_t level(const Energy& energy, const std::string& token) {
  const auto& alphabet = energy.space().alphabet;
  return std::ranges::find(alphabet, token) - alphabet.begin();
}
Tensor levels(const Energy& energy, const std::vector<std::string>& tokens) {
  std::vector<std::int64_t> row;
  for (const auto& token : tokens)
    row.push_back(token == "?" ? kUnknown : level(energy, token));
  return torch::tensor(row);
}
std::string refused(const Energy& energy, const PartialText& text) {
  return test::refusal([&] { energy.readable()->from_text(text); });
}
std::string canonical(const std::string& smiles) {
  return chemistry::Molecule(smiles).canonical();
}

/// Everything that an SVG writes as text, by the class of its element; the drawing parses as XML.
std::multiset<std::string> texts_in(const std::string& svg) {
  std::istringstream in(svg);
  boost::property_tree::ptree tree;
  boost::property_tree::read_xml(in, tree);
  std::multiset<std::string> texts;
  for (const auto& [name, child] : tree.get_child("svg"))
    if (name == "text")
      texts.insert(child.get<std::string>("<xmlattr>.class") + " " + child.data());
  return texts;
}

}  // namespace

TEST_CASE("molecule_property reads SELFIES, whole or at a place") {
  const auto energy = logp_energy(R"("length": 6)");
  if (!energy) return;
  const auto read = [&](const PartialText& text) { return energy->readable()->from_text(text); };
  CHECK(
      read({"[C][?][=O]"}).equal(levels(*energy, {"[C]", "?", "[=O]", "[nop]", "[nop]", "[nop]"})));
  CHECK(read({"[C][nop][=O]", 2}).equal(levels(*energy, {"?", "?", "[C]", "[nop]", "[=O]", "?"})));
  CHECK(read({"[C]*", 0, "*"}).equal(levels(*energy, {"[C]", "?", "?", "?", "?", "?"})));
  CHECK(energy->readable()->to_text(read({"[C][?][nop][=O]"})) == "[C][?][nop][=O]");
  CHECK(energy->readable()->to_text(read({"[C][nop][=O]"})) == "C=O");
}

TEST_CASE("molecule_property reads SMILES into SELFIES") {
  const auto energy = logp_energy(R"("length": 12)");
  if (!energy) return;
  const auto ring = energy->readable()->from_text({"c1ccccc1"});
  CHECK(ring.slice(0, 0, 8).equal(
      levels(*energy, {"[C]", "[=C]", "[C]", "[=C]", "[C]", "[=C]", "[Ring1]", "[=Branch1]"})));
  CHECK((ring.slice(0, 8) == level(*energy, "[nop]")).all().item<bool>());
  CHECK(canonical(energy->readable()->to_text(ring)) == "c1ccccc1");
  const auto placed = energy->readable()->from_text({"c1ccccc1", 4});
  CHECK(placed.slice(0, 4).equal(ring.slice(0, 0, 8)));
  CHECK((placed.slice(0, 0, 4) == kUnknown).all().item<bool>());
}

TEST_CASE("molecule_property says where a text is not a molecule of its tokens") {
  const auto energy = logp_energy(R"("length": 4, "alphabet": ["[C]", "[=C]", "[Ring1]"])");
  if (!energy) return;
  CHECK(refused(*energy, {"[C][C][N]"}) ==
        "character 7: \"[N]\" is not a letter; there is: [=C] [?] [C] [Ring1] [nop]");
  CHECK(refused(*energy, {"CCN"}) ==
        "the SMILES CCN is [C][C][N]: character 7: \"[N]\" is not a letter; there is: [=C] [?] [C] "
        "[Ring1] [nop]");
  CHECK(refused(*energy, {"C=CCCC"}) ==
        "the SMILES C=CCCC is [C][=C][C][C][C]: the text spells 5 variables; there are 4");
  CHECK(refused(*energy, {"C?C"}).starts_with("the SMILES C?C: character 2: "));
  CHECK(refused(*energy, {"C?C"})
            .ends_with("; a part of a molecule is given as SELFIES, with [?] "
                       "for an unknown token"));
  CHECK(refused(*energy, {"[C][C", 0}) == "character 4: \"[\" is never closed by \"]\"");
}

TEST_CASE("molecule_property of pieces of SMILES reads SMILES with gaps") {
  const auto energy = logp_energy(R"("representation": "smiles", "length": 5, )"
                                  R"x("alphabet": ["C", "Cl", "(", ")", "O"])x");
  if (!energy) return;
  const auto& readable = *energy->readable();
  CHECK(readable.from_text({"C?Cl"}).equal(levels(*energy, {"C", "?", "Cl", " ", " "})));
  CHECK(readable.to_text(readable.from_text({"C(Cl)O"})) == "C(Cl)O");
  CHECK(readable.to_text(readable.from_text({"C?Cl"})) == "C?Cl");
  CHECK(refused(*energy, {"CN"}) == "character 2: \"N\" is not a letter; there is:   ( ) ? C Cl O");
}

TEST_CASE("the SMILES that molecule_property writes is read back as the same molecule") {
  const auto energy = logp_energy(R"("length": 55)");
  if (!energy) return;
  Stream stream(5, "states");
  const auto x = stream.integers(27, {200, 40});
  const auto padding = torch::full({200, 15}, 26, torch::kLong);
  int read = 0;
  for (const auto& state : torch::cat({x, padding}, 1).unbind()) {
    const auto smiles = energy->readable()->to_text(state);
    Tensor back;
    const auto why = test::refusal([&] { back = energy->readable()->from_text({smiles}); });
    CAPTURE(smiles);
    CHECK((why == "accepted" || why.find("not a letter") != why.npos ||
           why.find("spells") != why.npos || why.find("bonds") != why.npos));
    if (why != "accepted" || smiles.empty()) continue;
    ++read;
    CHECK(canonical(energy->readable()->to_text(back)) == canonical(smiles));
  }
  CHECK(read > 100);
}

TEST_CASE("molecule_property draws a molecule with all its atoms") {
  const auto energy = logp_energy(R"("length": 20)");
  if (!energy) return;
  const auto& readable = *energy->readable();
  const auto svg = readable.to_svg(readable.from_text({"FCC(Cl)=NC"}));
  CHECK(svg.find("<svg") != svg.npos);
  // Carbon is where lines meet; the atoms are numbered as in the SMILES.
  CHECK(texts_in(svg) ==
        std::multiset<std::string>{"atom-0 F", "atom-3 C", "atom-3 l", "atom-4 N"});
  for (const auto* bond :
       {"'bond-0 atom-0 atom-1'", "'bond-1 atom-1 atom-2'", "'bond-2 atom-2 atom-3'",
        "'bond-3 atom-2 atom-4'", "'bond-4 atom-4 atom-5'"})
    CHECK_MESSAGE(svg.find(bond) != svg.npos, bond);
  CHECK(svg.find("bond-5") == svg.npos);
  CHECK(readable.to_svg(readable.from_text({"[nop]"})).empty());
  CHECK(readable.to_svg(readable.from_text({"[C][?]"})).empty());
}

TEST_CASE("a tempered or summed molecule_property keeps its texts, drawings and targets") {
  if (!logp_energy(R"("length": 5)")) return;
  const std::string logp = R"({"type": "molecule_property", "property": "logp", "target": 3,)"
                           R"( "temperature": 2, "length": 5})";
  const std::string qed = R"({"type": "molecule_property", "property": "qed", "mode": "maximise",)"
                          R"( "length": 5})";
  const auto tempered = test::make<Energy>(
      fmt::format(R"({{"type": "tempered", "energy": {}, "inverse_temperature": 4}})", logp));
  const auto sum = test::make<Energy>(
      fmt::format(R"({{"type": "sum", "energies": [{}, {}], "weights": [4, 2]}})", logp, qed));
  const auto x = state_of_text(*tempered, {"CCO"});
  CHECK(state_of_text(*sum, {"CCO"}).equal(x));
  for (const auto& energy : {tempered, sum}) {
    CHECK(energy->readable()->to_text(x) == "CCO");
    CHECK(energy->readable()->to_svg(x).find("atom-2") != std::string::npos);
    const auto score = energy->readable()->scores(x.unsqueeze(0))[0];
    CHECK(score.name == "logp");
    CHECK(score.target == 3);
    CHECK(*score.spread == doctest::Approx(0.5));  // 4 / 2 = 1 / (2 * 0.5^2)
  }
  CHECK(sum->readable()->scores(x.unsqueeze(0))[1].name == "qed");
}

TEST_CASE("held values of a constrained molecule_property may be a fragment") {
  if (!logp_energy(R"("length": 5)")) return;
  const test::TextFile file(R"({"text": "C=O", "at": 1})");
  const auto energy = test::make<Energy>(
      fmt::format(R"({{"type": "constrained", "energy": {{"type": "molecule_property",
                       "property": "logp", "length": 4}}, "file": "{}"}})",
                  file.path.string()));
  const auto at = [&](const std::string& text) {
    return energy->log_density(state_of_text(*energy, {text}).unsqueeze(0)).item<double>();
  };
  CHECK(std::isfinite(at("[N][C][=O][C]")));
  CHECK(at("[C][=O][N]") == -INFINITY);
}
