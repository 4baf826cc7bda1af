#include "marginalia_test.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include "shared/selfies/selfies.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

using Row = std::map<std::string, std::string>;  // a line by the names in the header

std::vector<std::string> cut(const std::string& line) {
  std::vector<std::string> cells(1);
  for (const char c : line)
    if (c == '\t')
      cells.emplace_back();
    else if (c != '\n')
      cells.back() += c;
  return cells;
}

/// Tab-separated text, plain or gzipped.
std::vector<Row> read_table(const fs::path& file) {
  const auto in = gzopen(file.c_str(), "rb");
  REQUIRE(in != nullptr);
  std::vector<char> line(1 << 16);
  std::vector<std::string> header;
  std::vector<Row> rows;
  while (gzgets(in, line.data(), int(line.size()))) {
    const auto cells = cut(line.data());
    if (header.empty()) {
      header = cells;
      continue;
    }
    REQUIRE(cells.size() == header.size());
    for (auto& row = rows.emplace_back(); const auto& name : header)
      row[name] = cells[row.size()];
  }
  gzclose(in);
  return rows;
}

/// What it gives, or "! " and why it is refused.
std::string encoded(const std::string& smiles, const std::string& preset = "default") {
  try {
    return selfies::encode(smiles, selfies::Constraints::preset(preset));
  } catch (const selfies::Malformed& e) {
    CHECK(std::string(e.what()).starts_with(fmt::format("character {}: ", e.position())));
    CHECK(e.position() <= std::max<std::size_t>(1, smiles.size()));
    return std::string("! ") + e.what();
  }
}
std::string decoded(const std::string& text, const std::string& preset = "default") {
  try {
    return selfies::decode(text, selfies::Constraints::preset(preset));
  } catch (const selfies::Malformed& e) {
    return std::string("! ") + e.what();
  }
}

void check_encode_vectors(const fs::path& file, std::size_t refusals) {
  std::size_t wrong = 0, refused = 0;
  for (auto& row : read_table(file)) {
    const auto& smiles = row["smiles_in"];
    const auto text = encoded(smiles);
    refused += text.starts_with("! ");
    const auto right = row["status"] == "ok" ? text == row["selfies"] : text.starts_with("! ");
    const auto back = row["status"] != "ok" || decoded(row["selfies"]) == row["smiles_out"];
    if (right && back) continue;
    if (++wrong <= 5)
      MESSAGE(smiles, " gives ", text, " and back ", decoded(text), ", not ", row["selfies"],
              " and ", row["smiles_out"]);
  }
  CHECK(wrong == 0);
  CHECK(refused == refusals);
}

void check_decode_vectors(const fs::path& file) {
  std::size_t wrong = 0;
  for (auto& row : read_table(file)) {
    const auto smiles = decoded(row["selfies"], row["constraints"]);
    if (smiles == row["smiles_out"]) continue;
    if (++wrong <= 5) MESSAGE(row["selfies"], " gives ", smiles, ", not ", row["smiles_out"]);
  }
  CHECK(wrong == 0);
}

const fs::path kVectors = fs::path(MARGINALIA_TEST_DATA) / "molecules";

}  // namespace

TEST_CASE("SELFIES are those of the reference implementation: a selection") {
  check_encode_vectors(kVectors / "encode.tsv", 28);
  check_decode_vectors(kVectors / "decode.tsv");
}

TEST_CASE("SELFIES are those of the reference implementation: all vectors" *
          doctest::test_suite("data/selfies")) {
  const auto folder = test::real_data("selfies") / "selfies";
  if (!fs::exists(folder)) return;
  check_encode_vectors(folder / "encode_vectors.tsv.gz", 28);
  check_decode_vectors(folder / "decode_vectors.tsv.gz");
}

TEST_CASE("the constraints are those that are published" * doctest::test_suite("data/selfies")) {
  const auto file = test::real_data("selfies") / "selfies" / "constraints.tsv";
  if (!fs::exists(file)) return;
  for (auto& row : read_table(file)) {
    const auto& atom = row["atom"];
    const auto sign = atom.find_first_of("+-");
    const auto charge = sign == atom.npos ? 0 : std::stoi(atom.substr(sign));
    const auto element = atom == "?" ? "Xe" : atom.substr(0, sign);
    CHECK(selfies::Constraints::preset(row["preset"]).max_bonds(element, charge) ==
          std::stoi(row["max_bonds"]));
  }
}

TEST_CASE("a SMILES that has no SELFIES is refused with place and reason") {
  const auto why = [](const std::string& smiles) {
    const auto text = encoded(smiles);
    return text.starts_with("! ") ? text.substr(2) : "accepted: " + text;
  };
  CHECK(why("") == "character 1: the SMILES is empty; it needs one atom at least");
  CHECK(why(".C") == "character 1: no atom stands before this");
  CHECK(why("C*") == "character 2: \"*\" is not a symbol of SMILES that SELFIES can express");
  CHECK(why("C$C") == "character 2: \"$\" is not a symbol of SMILES that SELFIES can express");
  CHECK(why("C C") == "character 2: \" \" is not a symbol of SMILES that SELFIES can express");
  CHECK(why("C=") == "character 2: nothing follows the last bond; an atom must");
  CHECK(why("C=(C)") ==
        "character 2: a bond stands before \"(\"; an atom or a ring number must follow it");
  CHECK(why("CCX").starts_with("character 3: \"X\" is not an atom that SELFIES can express; "));
  CHECK(
      why("C[Nh]").starts_with("character 2: \"[Nh]\" is not an atom that SELFIES can express; "));
  CHECK(why("[C@TH1]C").starts_with("character 1: \"[C@TH1]\" is not an atom"));
  CHECK(why("C[CH3") == "character 2: \"[\" is never closed by \"]\"");
  CHECK(why("CC(C") == "character 3: \"(\" is never closed by \")\"");
  CHECK(why("CC)C") == "character 3: \")\" closes no branch; there is no \"(\" for it");
  CHECK(why("C()C") == "character 3: \")\" stands where an atom must");
  CHECK(why("(CC)C") == "character 1: \"(\" stands where an atom must");
  CHECK(why("C1CC") == "character 2: ring number 1 is opened here and never closed in this part");
  CHECK(why("C1CC.C1") ==
        "character 2: ring number 1 is opened here and never closed in this part");
  for (const auto* ring : {"C%1C", "C%", "C%(", "C%()C", "C%(12", "C%(123456)C", "C%(1a)"})
    CHECK(why(ring) == "character 2: two digits must follow \"%\", as in %12, or one to five in "
                       "brackets, as in %(123)");
  CHECK(why("C%(100)CC") ==
        "character 2: ring number %(100) is opened here and never closed in this part");
  CHECK(why("C1C1") == "character 2: ring number 1 joins atoms that are bound already");
  CHECK(why("CC11") == "character 4: ring number 1 joins an atom to itself");
  CHECK(why("C=1CC#1") == "character 3: ring number 1 is opened and closed by different bonds");
  CHECK(why("c1cccc1").find("cannot be made single and double") != std::string::npos);
  CHECK(why("F:F").starts_with("character 1: F cannot have an aromatic bond"));
  CHECK(why("C(C)(C)(C)(C)C") == "character 1: C makes 5 bonds, but the constraints allow it 4");
  const std::string too_many = " too many for the 4 bonds that the constraints allow it";
  CHECK(why("[CH5]") == "character 1: [CH5] has 5 hydrogens," + too_many);
  CHECK(why("C[NH6+]C") == "character 2: [NH6+1] has 6 hydrogens," + too_many);
  CHECK(why("C[CH3]C") == "character 2: [CH3] makes 2 bonds beside those to its hydrogens, but the "
                          "constraints allow it 1");
}

TEST_CASE("a ring has one number, however it is written") {
  const auto ring = encoded("C1CCCCC1");
  for (const auto* smiles : {"C%01CCCCC1", "C%(1)CCCCC1", "C%(00001)CCCCC%01", "C%12CCCCC%(12)",
                             "C%(100)CCCCC%(100)", "C%(99999)CCCCC%(99999)", "C0CCCCC%(0)"})
    CHECK(encoded(smiles) == ring);
  CHECK(encoded("C%100CCCCC0CCCC%10") == encoded("C12CCCCC2CCCC1"));
  CHECK(encoded("C=%(123)CC=%(123)") == encoded("C=1CC=1"));
}

TEST_CASE("a molecule of more than 99 rings is written so that it can be read") {
  std::string smiles;
  for (int i = 0; i < 120; ++i)
    smiles += "C1CC1";
  const auto text = encoded(smiles);
  const auto written = decoded(text);
  CHECK(written.find("C%99CC%99C%(100)CC%(100)") != std::string::npos);
  CHECK(encoded(written) == text);
}

TEST_CASE("tokens of SELFIES 1 are read as the reference implementation does") {
  for (auto& row : read_table(kVectors / "version_1.tsv")) {
    CAPTURE(row["selfies"]);
    const auto old = row["modern"] != row["selfies"];
    CHECK(selfies::modernise(row["selfies"]) == row["modern"]);
    CHECK(selfies::decode(row["selfies"], {}, true) == row["smiles_out"]);
    if (old)
      CHECK(decoded(row["selfies"]).find("is a token of SELFIES 1, today [") != std::string::npos);
  }
  CHECK(selfies::modernise("_[Branch1_2][?][C expl") == "_[=Branch1][?][C expl");
  for (const auto* none : {"[Branch1_4]", "[Branch4_1]", "[Branch1_1_1]", "[Expl-Ring1]", "[expl]",
                           "[Expl=Ring4]", "[nHexpl]", "[Xxexpl]", "[C@@@expl]", "[CH10expl]"}) {
    CHECK(selfies::modernise(none) == none);
    for (const bool compatible : {false, true})
      CHECK(test::refusal([&] {
              try {
                selfies::decode(none, {}, compatible);
              } catch (const selfies::Malformed& e) {
                throw Error(e.what());
              }
            }) == fmt::format("character 1: \"{}\" is not a token of SELFIES 2", none));
  }
  CHECK_THROWS_WITH(selfies::decode("[C][CH9expl]", {}, true),
                    "character 4: \"[CH9expl]\" has 9 hydrogens, too many for the 4 bonds that the "
                    "constraints allow it");
  // As a digit, and behind the end of a chain, too: neither is ever looked at.
  CHECK(decoded("[C][C][Ring1][Branch1_2]").find("character 14: \"[Branch1_2]\" is a token") == 2);
  CHECK(decoded("[F][F][Branch1_2]").find("character 7: \"[Branch1_2]\" is a token") == 2);
}

TEST_CASE("constraints decide what can be encoded") {
  CHECK(encoded("O=N(=O)C").starts_with("! character 3: N makes 5 bonds"));
  CHECK(encoded("O=N(=O)C", "hypervalent") == "[O][=N][=Branch1][C][=O][C]");
  CHECK(encoded("CS(=O)C", "octet_rule").starts_with("! character 2: S makes 4 bonds"));
  CHECK(decoded("[C][S][=Branch1][C][=O][C]", "octet_rule") == "CSC=O");
  const selfies::Constraints few({{"C", 0, 2}}, 1);
  CHECK(selfies::decode("[C][C][#C][=O][C]", few) == "CCCO");
  CHECK_THROWS_WITH(selfies::Constraints::preset("octet"),
                    "no constraints are called \"octet\"; there are default, octet_rule and "
                    "hypervalent");
}

TEST_CASE("a SELFIES is cut into its tokens, and what is none is refused") {
  const auto tokens = [](const std::string& text) {
    const auto views = selfies::split(text);
    return std::vector<std::string>(views.begin(), views.end());
  };
  using Tokens = std::vector<std::string>;
  CHECK(tokens("") == Tokens{});
  CHECK(tokens("[C][=C][F].[C]") == Tokens{"[C]", "[=C]", "[F]", ".", "[C]"});
  CHECK(decoded("[C]x[C]").starts_with("! character 4: \"x\" stands outside of brackets"));
  CHECK(decoded("[C][C") == "! character 4: \"[\" is never closed by \"]\"");
  CHECK(decoded("[C][Q]") == "! character 4: \"[Q]\" is not a token of SELFIES 2");
  CHECK(decoded("[C][Ring4]") == "! character 4: \"[Ring4]\" is not a token of SELFIES 2");
  CHECK(decoded("[C][/Ring1]") == "! character 4: \"[/Ring1]\" is not a token of SELFIES 2");
  CHECK(decoded("[CH9]") ==
        "! character 1: \"[CH9]\" has 9 hydrogens, too many for the 4 bonds that the constraints "
        "allow it");
  CHECK(decoded("") == "");
  CHECK(decoded("[nop][C][nop][=O][nop]") == "C=O");
  CHECK(decoded("[C][epsilon][C]") == "C");
}

TEST_CASE("what is nested deeply is neither too slow nor too deep for the stack") {
  std::string chain, tokens;
  for (int i = 0; i < 400; ++i)
    chain += "C(C)(";
  chain += 'C';
  chain.append(400, ')');
  const auto text = encoded(chain);
  REQUIRE_FALSE(text.starts_with("! "));
  CHECK(encoded(decoded(text)) == text);
  for (int i = 0; i < 20000; ++i)
    tokens += "[C][Branch3][P][P][P]";
  const auto smiles = decoded(tokens);
  CHECK(std::ranges::count(smiles, 'C') > 10000);
  std::string ring = "C1";
  ring.append(4100, 'C');
  ring += '1';
  CHECK(encoded(ring).find("SELFIES can express 4096") != std::string::npos);
}
