// factor_graph against the models and exact values of the UAI 2014 competition.
#include "marginalia_test.h"

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "datasets/folder.h"
#include "energies.h"

#include <marginalia/energy.h>
#include <marginalia/files.h>

using namespace marginalia;

namespace {

std::string factor_graph_spec(const std::string& file, const std::string& evidence = "") {
  return fmt::format(R"({{"type": "factor_graph", "file": "{}"{}}})", file,
                     evidence.empty() ? "" : fmt::format(R"(, "evidence": "{}")", evidence));
}

std::string model_refusal(const std::string& model, const std::string& evidence = "") {
  const test::TextFile file(model), clamped(evidence);
  auto text = test::refusal([&] {
    test::make<Energy>(
        factor_graph_spec(file.path.string(), evidence.empty() ? "" : clamped.path.string()));
  });
  for (const auto& [path, name] : {std::pair{file.path, "MODEL"}, {clamped.path, "EVIDENCE"}})
    for (auto at = text.find(path.string()); at != text.npos; at = text.find(path.string()))
      text.replace(at, path.string().size(), name);
  return text;
}

bool says(const std::string& text, const std::string& part) {
  if (text.find(part) != text.npos) return true;
  MESSAGE(text);
  return false;
}

/// The columns of a CSV file's rows by its header.
std::vector<std::map<std::string, std::string>> csv_rows(const std::filesystem::path& file) {
  std::istringstream text(read_unpacked(file));
  std::vector<std::string> header;
  std::vector<std::map<std::string, std::string>> rows;
  for (std::string line, word; std::getline(text, line);) {
    std::vector<std::string> words;
    for (std::istringstream in(line); std::getline(in, word, ',');)
      words.push_back(word);
    if (header.empty()) {
      header = words;
      continue;
    }
    auto& row = rows.emplace_back();
    for (std::size_t n = 0; n < words.size(); ++n)
      row[header[n]] = words[n];
  }
  return rows;
}

double largest_difference(const torch::Tensor& marginals, const std::filesystem::path& file) {
  std::istringstream text(read_unpacked(file));
  std::string header;
  std::int64_t D = 0, K = 0;
  double worst = 0, p = 0;
  REQUIRE(bool(text >> header >> D));
  REQUIRE(D == marginals.size(0));
  for (std::int64_t i = 0; i < D; ++i) {
    REQUIRE(bool(text >> K));
    for (std::int64_t k = 0; k < K; ++k) {
      REQUIRE(bool(text >> p));
      worst = std::max(worst, std::abs(marginals[i][k].item<double>() - p));
    }
  }
  return worst;
}

constexpr const char* kChain = "MARKOV\n3\n2 3 2\n2\n2 0 1\n2 1 2\n"
                               "6\n1 2 3 4 5 6\n6\n1 0 2 1 1 3\n";

}  // namespace

TEST_CASE("factor_graph scores a state by the product of its tables") {
  const test::TextFile file(kChain);
  const auto energy = test::make<Energy>(factor_graph_spec(file.path.string()));
  CHECK((energy->space().cardinalities == std::vector<std::int64_t>{2, 3, 2}));
  const auto x = torch::tensor({1, 2, 1, 0, 1, 0, 0, 0, 1}).view({3, 3});
  const auto value = energy->log_density(x);
  CHECK(value[0].item<double>() == doctest::Approx(std::log(6.0 * 3.0)));
  CHECK(value[1].item<double>() == doctest::Approx(std::log(2.0 * 2.0)));
  CHECK(value[2].item<double>() == -INFINITY);
  // sum over x1 of (column sums of the first table) (row sums of the second)
  CHECK(energy->exact()->log_z() == doctest::Approx(std::log(5.0 * 1 + 7.0 * 3 + 9.0 * 4)));
}

TEST_CASE("evidence clamps, in both its forms") {
  const test::TextFile file(kChain), newer("1 1 2"), older("1\n1 1 2"), none("0");
  for (const auto* evidence : {&newer, &older}) {
    const auto energy =
        test::make<Energy>(factor_graph_spec(file.path.string(), evidence->path.string()));
    CHECK(energy->exact()->log_z() == doctest::Approx(std::log(9.0 * 4)));
    CHECK(energy->exact()->single_marginals(energy->space().empty()[0])[1][2].item<double>() == 1);
    CHECK(energy->log_density(torch::tensor({{0, 0, 0}})).item<double>() == -INFINITY);
  }
  const auto free = test::make<Energy>(factor_graph_spec(file.path.string(), none.path.string()));
  CHECK(free->exact()->log_z() == doctest::Approx(std::log(62.0)));
}

TEST_CASE("one of several samples of evidence is chosen") {
  const test::TextFile file(kChain), two("c of PIC 2011\n2\n1 1 2\n2 0 1 2 0\n"), one("1\n1 1 2\n"),
      like_one("2\n0\n1 1 2\n");
  const auto log_z = [&](const test::TextFile& evidence, int sample) {
    return test::make<Energy>(
               fmt::format(
                   R"({{"type": "factor_graph", "file": "{}", "evidence": "{}", "evidence_sample": {}}})",
                   file.path.string(), evidence.path.string(), sample))
        ->exact()
        ->log_z();
  };
  CHECK(log_z(two, 1) == doctest::Approx(std::log(9.0 * 4)));
  CHECK(log_z(one, 1) == doctest::Approx(std::log(9.0 * 4)));
  CHECK(log_z(two, 1) != log_z(two, 2));
  CHECK(log_z(like_one, 1) == doctest::Approx(std::log(62.0)));  // by its lines two samples
  CHECK(says(test::refusal([&] { log_z(two, 3); }),
             "\"evidence_sample\" is 3, but the file holds 2 samples"));
  CHECK(says(test::refusal([&] { log_z(two, 0); }),
             "holds 2 samples of evidence; choose one by \"evidence_sample\", from 1"));
}

TEST_CASE("a UAI file is read with comments, in any case, with values or their logs") {
  const std::string text = "\xef\xbb\xbf"
                           "c first\r\nmarkov\r3\n# second\n2 3 2\n2\n2 0 1\n2 1 2\n"
                           "c tables\n6\n{0} {1} {2} {3} {4} {5}\n6\n{6} 0 {7} {6} {8} {8}\n";
  const test::Folder folder;
  const auto write = [&](const std::string& name, auto entry) {
    folder.write(name, fmt::format(fmt::runtime(text), entry(1), entry(2), entry(3), entry(4),
                                   entry(5), entry(6), entry(7), entry(8), entry(9)));
  };
  write("values.uai", [](double v) { return fmt::format("+{}.", v); });
  const auto write_log = [](double v) { return fmt::format("{:.17g}", std::log(v)); };
  // A value of 0 has no log in such a file; the one that is written is log 1.
  write("a.UAI.LG", write_log);
  write("b.uai.lg", write_log);
  write("logs", write_log);
  const auto make = [&](const std::string& file, const std::string& more = "") {
    return test::make_energy(
        fmt::format(R"({{"type": "factor_graph", "file": "{}"{}}})", file, more), folder.path);
  };
  const auto values = make("values.uai");
  const auto x = all_states(values->space());
  const auto expected = values->log_density(x);
  CHECK(expected[0].item<double>() == doctest::Approx(std::log(1.0 * 7)));
  CHECK(expected[1].item<double>() == -INFINITY);
  for (const auto& logs :
       {make("a.UAI.LG"), make("b.uai.lg"), make("logs", R"(, "tables": "log")")}) {
    CHECK(logs->log_density(x)[0].item<double>() == doctest::Approx(std::log(7.0)));
    CHECK(logs->log_density(x)[1].item<double>() == doctest::Approx(0));
  }
  CHECK(says(test::refusal([&] { make("a.UAI.LG", R"(, "tables": "values")"); }), "accepted"));
  folder.write("negative.uai", "MARKOV 1 2 1 1 0 2 0.5 -1");
  CHECK(says(test::refusal([&] { make("negative.uai"); }), "say \"tables\": \"log\""));
  folder.write("tiny.uai", "MARKOV 1 2 1 1 0 2 1e-400 1");
  CHECK(make("tiny.uai")->exact()->log_z() == 0);
}

TEST_CASE("a UAI file that is wrong is refused with line and factor") {
  CHECK(says(model_refusal("GRAPH\n2\n"), "MODEL:1: begins with \"GRAPH\""));
  CHECK(says(model_refusal("MARKOV\n2\n2 2\n1\n2 0 1\n3\n1 1 1\n"),
             "MODEL:6: table 0 has 3 entries, but its scope has 4 states"));
  CHECK(says(
      model_refusal("MARKOV\n2\n2 2\n1\n2 0 1\n4\n1 1 -1 1\n"),
      "MODEL:7: entry 2 of table 0 is -1, but values are 0 or more; where the file holds their "
      "logs, say \"tables\": \"log\""));
  CHECK(says(model_refusal("MARKOV\n2\n2 2\n1\n2 0 2\n4\n1 1 1 1\n"),
             "MODEL:5: a variable of scope 0 is 2; it must be from 0 to 1"));
  CHECK(says(model_refusal("MARKOV\n2\n2 2\n1\n2 1 1\n4\n1 1 1 1\n"),
             "MODEL:5: scope 0 names variable 1 twice"));
  CHECK(says(model_refusal("MARKOV\n2\n2 2\n1\n2 0 1\n4\n1 1 nan 1\n"), "MODEL:7: entry 2"));
  CHECK(says(model_refusal("MARKOV\n2\n2 2\n1\n2 0 1\n4\n1 1 x 1\n"),
             "entry 2 of table 0 is \"x\", which is not a finite number"));
  CHECK(says(model_refusal("MARKOV\n2\n2 2\n1\n2 0 1\n4\n1 1 1e301 1\n"),
             "entry 2 of table 0 is 1e+301; at most 1e300 is taken"));
  CHECK(says(model_refusal("SPARSEMARKOV\n2\n"), "begins with \"SPARSEMARKOV\""));
  CHECK(says(model_refusal("MARKOV\n2\n2 2\n1\n2 0 1\n4\n0 0 0 0\n"), "table 0 is 0 everywhere"));
  CHECK(says(model_refusal("MARKOV\n2\n2 2\n1\n2 0 1\n4\n1 1 1\n"),
             "the file ends where entry 3 of table 0 should stand"));
  CHECK(
      says(model_refusal(std::string(kChain) + "7\n"), "goes on with \"7\" after the last table"));
  CHECK(says(model_refusal(kChain, "1 5 0"), "EVIDENCE:1: a clamped variable is 5"));
  CHECK(
      says(model_refusal(kChain, "1 1 3"), "the value of variable 1 is 3; it must be from 0 to 2"));
  CHECK(says(model_refusal(kChain, "2 1 0"), "EVIDENCE:1: the file ends where"));
  CHECK(says(model_refusal(kChain, "1 1 0 0 7"), "EVIDENCE:1: goes on with \"7\""));
  CHECK(says(model_refusal(kChain, "2 1 0 1 1"), "variable 1 is clamped twice"));
  CHECK(says(model_refusal(kChain, "2 1 0 2 1"), "no state agrees with it: factor 1 of"));
}

TEST_CASE("partition functions and marginals of the UAI 2014 instances are exact" *
          doctest::test_suite("data/uai2014")) {
  const auto folder = test::real_data("uai2014/instances.csv") / "uai2014";
  if (!exists(folder / "instances.csv")) return;
  const bool all = std::getenv("MARGINALIA_SLOW") != nullptr;
  if (!all) MESSAGE("one light instance of a family; set MARGINALIA_SLOW for all of them");
  const std::set<std::string> heavy{"linkage", "Alchemy", "ObjectDetection"};
  std::set<std::string> seen;
  int compared = 0;
  for (auto& row : csv_rows(folder / "instances.csv")) {
    const auto &name = row["instance"], &family = row["family"];
    if (!all && (heavy.contains(family) || !seen.insert(family).second)) continue;
    CAPTURE(name);
    const auto start = std::chrono::steady_clock::now();
    const auto energy = test::make<Energy>(factor_graph_spec(
        (folder / (name + ".uai.gz")).string(), (folder / (name + ".uai.evid")).string()));
    const auto oracle = energy->exact();
    if (!oracle) {
      MESSAGE(name, ": ", oracle.reason);
      CHECK(row["status"] != "verified");
      continue;
    }
    if (!row["exact_lnZ"].empty())
      CHECK(oracle->log_z() == doctest::Approx(std::stod(row["exact_lnZ"])).epsilon(1e-9));
    else  // published to about six digits, log10
      CHECK(oracle->log_z() / std::log(10) ==
            doctest::Approx(std::stod(row["published_log10Z"])).epsilon(1e-5));
    double apart = 0;
    if (const auto marginals = folder / (name + ".uai.exact.MAR.gz"); exists(marginals))
      apart = largest_difference(oracle->single_marginals(energy->space().empty()[0]), marginals);
    CHECK(apart < 1e-8);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (all) MESSAGE(name, ": ", seconds.count(), " s, marginals apart by ", apart);
    ++compared;
  }
  CHECK(compared >= 6);
}

TEST_CASE("the lattices and glasses of the collection are exact through their UAI files" *
          doctest::test_suite("data/ising_potts")) {
  const auto folder = test::real_data("ising_potts/exact.csv") / "ising_potts";
  if (!exists(folder / "exact.csv")) return;
  const bool all = std::getenv("MARGINALIA_SLOW") != nullptr;
  int compared = 0;
  for (auto& row : csv_rows(folder / "exact.csv")) {
    const auto& name = row["name"];
    CAPTURE(name);
    const auto energy =
        test::make<Energy>(factor_graph_spec((folder / (name + ".uai.gz")).string()));
    const auto oracle = energy->exact();
    REQUIRE(bool(oracle));
    if (!all && name.find("torus") == name.npos) continue;
    CHECK(oracle->log_z() == doctest::Approx(std::stod(row["lnZ"])).epsilon(1e-12));
    CHECK(largest_difference(oracle->single_marginals(energy->space().empty()[0]),
                             folder / (name + ".MAR")) < 1e-10);
    ++compared;
  }
  CHECK(compared >= 2);
}
