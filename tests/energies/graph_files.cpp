// The files of graphs that max_cut, max_independent_set and others read.
#include "marginalia_test.h"

#include <cmath>

#include <fmt/format.h>

#include "datasets/folder.h"
#include "energies.h"

#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using test::graph_energy;

TEST_CASE("a graph is the same from a file of either form, packed or not, and from a list") {
  const std::string plain = "5 4\n1 2 1\n\n 3 2\t1 \r\n5 4 1\n1 5 1",
                    short_form = "5 4\n1 2\n3 2\n5 4\n1 5\n",
                    dimacs = "c a comment\np edge 5 4\ne 1 2\nc another\ne 3 2\ne 5 4\ne 1 5\n";
  const test::Folder folder;
  folder.write("plain.txt", plain);
  folder.write("short.txt", short_form);
  folder.write("dimacs.col", dimacs);
  folder.pack("packed.txt.gz", plain);
  const auto listed = graph_energy("max_cut", R"("edges": ["1 2", "3 2", "5 4", "1 5"])");
  const auto x = all_states(listed->space());
  for (const auto* file : {"plain.txt", "short.txt", "dimacs.col", "packed.txt.gz", "packed.txt"}) {
    CAPTURE(file);
    const auto energy = graph_energy("max_cut", fmt::format(R"("file": "{}")", file), folder.path);
    CHECK(energy->log_density(x).equal(listed->log_density(x)));
  }
}

/// A text without each `part`.
static std::string without(std::string text, const std::string& part) {
  for (auto at = text.find(part); at != text.npos; at = text.find(part))
    text.erase(at, part.size());
  return text;
}

TEST_CASE("a file that is no graph is refused with its line") {
  const auto message = [](const std::string& text) {
    const test::Folder folder;
    folder.write("graph.txt", text);
    const auto said =
        test::refusal([&] { graph_energy("max_cut", R"("file": "graph.txt")", folder.path); });
    return without(without(said, "energy max_cut (plugin max_cut): "), folder.path.string() + "/");
  };
  CHECK(message("3 1\n1 2 1\n") == "accepted");
  CHECK(message("3 2\n1 2 1\n2 2 1\n") ==
        "graph.txt:3: an edge from vertex 2 to itself; it joins two different ones");
  CHECK(message("3 2\n1 2 1\n2 4 1\n") == "graph.txt:3: there is no vertex 4; they are 1 to 3");
  CHECK(message("3 2\n0 2 1\n2 4 1\n") == "graph.txt:2: there is no vertex 0; they are 1 to 3");
  CHECK(message("3 3\n1 2 1\n2 3 1\n2 1 5\n") ==
        "graph.txt:4: the edge of vertices 2 and 1 has the weight 5 here, but 1 in graph.txt:2");
  CHECK(
      message("3 3\n1 2 1\n2 1 1\n2 1 1\n") ==
      "graph.txt:4: the edge of vertices 2 and 1 stands in graph.txt:2 already; give each once, or "
      "once from each end");
  CHECK(message("3 3\n1 2 1\n2 3 1\n") ==
        "graph.txt: has 2 edges, but its header in line 1 says 3");
  CHECK(message("3 1\n1 2 1\n2 3 1\n") ==
        "graph.txt: has 2 edges, but its header in line 1 says 1");
  CHECK(message("3 1\n1 2 x\n") ==
        "graph.txt:2: the weight is \"x\", which is not a finite number");
  CHECK(message("3 1\n1 2 nan\n") ==
        "graph.txt:2: the weight is \"nan\", which is not a finite number");
  CHECK(message("3 1\n1 2.5 1\n") == "graph.txt:2: the vertex is \"2.5\", which is not an integer");
  CHECK(message("3 2\n1 2 1\n2 3\n") ==
        "graph.txt:3: must be an edge, \"i j w\" as in the lines before");
  CHECK(message("3 2\n1 2\n2 3 1\n") ==
        "graph.txt:3: must be an edge, \"i j\" as in the lines before");
  CHECK(message("3 1\n1\n") == "graph.txt:2: must be an edge, \"i j w\" or \"i j\"");
  const std::string header =
      "a graph starts with its numbers of vertices and edges: \"n m\" (Gset, BiqMac) or \"p edge n "
      "m\" (DIMACS)";
  CHECK(message("3\n1 2\n") == "graph.txt:1: " + header);
  CHECK(message("c text\n3 1\n") == "graph.txt: has 0 edges, but its header in line 2 says 1");
  CHECK(message("p edge 3\n") ==
        "graph.txt:1: a graph starts with its numbers of vertices and edges: \"p edge n m\" or \"p "
        "sp n m\" (DIMACS)");
  CHECK(message("p cnf 3 1\n") ==
        "graph.txt:1: \"p cnf\" is no graph; \"p edge n m\" or \"p sp n m\" is");
  CHECK(message("\n0 0\n") == "graph.txt:2: 0 vertices; a graph has 1 to 16777216");
  CHECK(message("\n") == "graph.txt: is empty; a graph starts with \"n m\" or \"p edge n m\"");
  CHECK(message("p col 3 1\nc text\nf 1 2\n") ==
        "graph.txt:3: must be an edge, \"e i j\", \"e i j w\" or \"a i j w\", the weight of a "
        "vertex, \"n i w\", or a comment, \"c ...\"");
  CHECK(message("p edge 3 2\ne 1 2\ne 1 2\n") ==
        "graph.txt:3: the edge of vertices 1 and 2 stands in graph.txt:2 already; give each once, "
        "or once from each end");
  CHECK(message("0 1 1\n0 2\n") == "graph.txt:2: must be \"i j w\" as in the lines before");
  CHECK(message("0 1 1\n-1 2 1\n") == "graph.txt:2: there is no vertex -1; they are 0 to 2");
  CHECK(message("0 1 1\n1 1 0.5\n") ==
        "graph.txt: has fields, lines \"i i h\", which only ising knows");
  CHECK(message("# vartype=BINARY\n0 1 1\n") ==
        "graph.txt: is a model of 0 and 1 (vartype=BINARY); convert it to one of spins, "
        "vartype=SPIN");
}

TEST_CASE("the forms of graphs that programs write are read alike") {
  // A triangle with a tail, 1-2 2-3 1-3 3-4, of weights 1, 2, -1 and 0.5.
  const test::Folder folder;
  folder.write("gset", "% of rudy\n4 4\n1 2 1\n2 3 +2.\n1 3 -1\n3 4 .5\n");
  folder.write("both", "\xef\xbb\xbf"
                       "4 8\r1 2 1\r2 1 1\r2 3 2\r3 2 2\r1 3 -1\r3 1 -1\r3 4 .5\r4 3 .5");
  folder.write("dimacs",
               "c\np edge 4 4 3\nd 1 2 3\ne 1 2 1\ne 2 3 2\nv 1\nx 1\ne 1 3 -1\ne 3 4 5e-1\n");
  folder.write("sp", "p sp 4 4\na 1 2 1\na 2 3 2\na 1 3 -1\na 3 4 0.5\n");
  folder.write("coo", "# vartype=SPIN\n0 1 1\n1 2 2.0\n0 2 -1\n2 3 0.5\n");
  folder.write("metis.graph", "% a\n4 4 1\n2 1 3 -1\n1 1 3 2\n2 2 1 -1 4 0.5\n3 .5\n");
  folder.pack("packed.graph.gz", "4 4 001\n2 1 3 -1\n1 1 3 2\n2 2 1 -1 4 0.5\n3 .5\n");
  const auto listed = graph_energy("max_cut", R"("edges": ["1 2", "2 3 2", "1 3 -1", "3 4 .5"])");
  const auto x = all_states(listed->space());
  for (const auto* file : {"gset", "both", "dimacs", "sp", "coo", "metis.graph", "packed.graph"}) {
    CAPTURE(file);
    const auto energy = graph_energy("max_cut", fmt::format(R"("file": "{}")", file), folder.path);
    CHECK(energy->log_density(x).equal(listed->log_density(x)));
  }
  // The same under names that do not tell the form.
  folder.write("unnamed", "4 4 1\n2 1 3 -1\n1 1 3 2\n2 2 1 -1 4 0.5\n3 .5\n");
  const auto metis =
      graph_energy("max_cut", R"("file": "unnamed", "format": "metis")", folder.path);
  CHECK(metis->log_density(x).equal(listed->log_density(x)));
}

TEST_CASE("a METIS file is refused where its lines do not fit together") {
  const auto message = [](const std::string& text) {
    const test::Folder folder;
    folder.write("a.graph", text);
    const auto said =
        test::refusal([&] { graph_energy("max_cut", R"("file": "a.graph")", folder.path); });
    return without(without(said, "energy max_cut (plugin max_cut): "), folder.path.string() + "/");
  };
  CHECK(message("3 1\n2\n1\n\n") == "accepted");
  CHECK(message("3 1\n2\n1\n") ==
        "a.graph:3: the file ends before the line of vertex 3; a vertex without neighbours has an "
        "empty one");
  CHECK(message("2 1\n2\n1\n1\n") == "a.graph:4: goes on after the lines of its 2 vertices");
  CHECK(message("3 2\n2 3\n1\n\n") ==
        "a.graph:2: vertex 1 has the neighbour 3 here, but 3 does not have 1");
  CHECK(message("2 3\n2\n1\n") ==
        "a.graph: has 1 edges on 2 lines, but its header in line 1 says 3");
  CHECK(message("2 1 1\n2 5\n1 6\n") ==
        "a.graph:3: the edge of vertices 2 and 1 has the weight 6 here, but 5 in a.graph:2");
  CHECK(message("2 1 1\n2\n1\n") ==
        "a.graph:2: 1 numbers do not fit the format that line 1 states");
  CHECK(message("2 1 12\n2\n1\n") ==
        "a.graph:1: the format of a METIS file is three digits 0 or 1, not \"12\"");
  CHECK(message("2 1 10 2\n1 1 2\n1 1 1\n") ==
        "a.graph:1: a METIS file is read with one weight a vertex");
}

TEST_CASE("weights of vertices count in independent sets, and in no other energy") {
  const test::Folder folder;
  folder.write("a.clq", "p edge 3 2\nn 1 2\nn 2 5\ne 1 2\ne 2 3\n");
  folder.write("a.graph", "3 2 010\n2 2\n5 1 3\n1 2\n");
  const auto w = torch::tensor({2, 5, 1}, torch::kDouble);
  for (const auto* file : {"a.clq", "a.graph"}) {
    const auto named = fmt::format(R"("file": "{}")", file);
    const auto hard =
        graph_energy("max_independent_set", named + R"(, "inverse_temperature": 2)", folder.path);
    const auto soft =
        graph_energy("max_independent_set", named + R"(, "penalty": 0.5)", folder.path);
    const auto x = all_states(hard->space());
    const auto weight = x.to(torch::kDouble).matmul(w);
    const auto inside =
        (x.select(1, 0) * x.select(1, 1) + x.select(1, 1) * x.select(1, 2)).to(torch::kDouble);
    CHECK(hard->log_density(x).equal((2 * weight).masked_fill(inside > 0, -INFINITY)));
    CHECK(soft->log_density(x).equal(weight - 0.5 * inside));
    // The lighter end of each edge inside is left out: 2 of the first, 1 of the second.
    const auto loss =
        (2 * x.select(1, 0) * x.select(1, 1) + x.select(1, 1) * x.select(1, 2)).to(torch::kDouble);
    CHECK(soft->readable()->raw_score(x).equal(weight - loss));
    CHECK(hard->exact()->log_z() == doctest::Approx(EnumerationOracle(*hard).log_z()));
    for (std::int64_t i = 0; i < 3; ++i) {  // of the last vertex open: log f at 1 less that at 0
      auto open = x.clone();
      open.select(1, i).fill_(kUnknown);
      const auto logits = soft->local()->logits(open).select(1, i).to(torch::kDouble);
      const auto at = [&](std::int64_t k) {
        return soft->log_density(x.index_fill(1, torch::tensor({i}), k));
      };
      CHECK(torch::allclose(logits.select(1, 1) - logits.select(1, 0), at(1) - at(0)));
    }
    CHECK(soft->readable()->to_text(torch::tensor({1, 0, 1})) == "set of 2 and weight 3: 1 3");
    const auto pairs = *soft->pairwise();
    CHECK(pairs.unary.select(1, 1).equal(w.to(torch::kFloat)));
    CHECK(graph_energy("max_cut", named, folder.path)
              ->log_density(torch::tensor({{0, 1, 0}}))
              .item<double>() == 2);
  }
}

TEST_CASE("parameters that name no graph are refused") {
  const auto message = [](const std::string& parameters) {
    const auto said = test::refusal([&] { graph_energy("max_independent_set", parameters); });
    const std::string start = "energy max_independent_set (plugin max_independent_set): ";
    return said.starts_with(start) ? said.substr(start.size()) : said;
  };
  const std::string give =
      "give the graph as \"file\", or as \"edges\" and, where some have none, \"vertices\"";
  CHECK(message(R"("penalty": 1)") == give);
  CHECK(message(R"("file": "a", "edges": ["1 2"])") == give);
  CHECK(message(R"("file": "a", "vertices": 3)") == give);
  CHECK(message(R"("edges": ["1 2", "3"])") == R"("edges"[1]: must be "i j" or "i j w", not "3")");
  CHECK(message(R"("edges": ["1 2", "1 2"])") ==
        R"("edges"[1]: the edge of vertices 1 and 2 stands in "edges"[0] already; give each once, )"
        "or once from each end");
  CHECK(message(R"("edges": ["1 2", "2 1 3"])") ==
        R"("edges"[1]: the edge of vertices 2 and 1 has the weight 3 here, but 1 in "edges"[0])");
  CHECK(message(R"("edges": ["1 2", "2 1"])") == "accepted");
  CHECK(message(R"("edges": ["1 2", "2 x"])") == R"("edges"[1]: "2 x" is not an integer)");
  CHECK(message(R"("edges": ["1 4"], "vertices": 3)") ==
        R"("edges"[0]: there is no vertex 4; they are 1 to 3)");
  CHECK(message(R"("file": "/none")") ==
        "/none: there is no such file, nor that with .gz or .zip; a file is looked for beside the "
        "spec, then in the data directory (--data, $MARGINALIA_DATA)");
}
