#include "graph_file.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include <marginalia/error.h>

#include "graph_builder.h"

namespace marginalia::graphs {

namespace {

using Words = std::vector<std::string_view>;

/// Reads the lines of a file that are no comments, in one of the forms.
class Reader {
 public:
  explicit Reader(const TextFile& file) : file_(file), lines_(file.text(), "c#%") {}

  Graph read(const std::string& format) {
    if (format == "metis") return read_metis();
    if (!lines_.next_filled())
      throw SpecError(
          fmt::format("{}: is empty; a graph starts with \"n m\" or \"p edge n m\"", file_.name()));
    auto words = split_words(lines_.line());
    if (format == "dimacs" || (format == "auto" && words[0] == "p")) return read_dimacs(words);
    if (format == "coo" || (format == "auto" && words.size() == 3)) return read_coo(words);
    return read_gset(words);
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const { file_.fail(lines_.number(), reason); }

  /// The graph of "n m" in the header's line.
  GraphBuilder begin(const Words& counts, const char* form) {
    const auto vertices = counts.empty() ? Parsed<std::int64_t>{0, ""} : parse_integer(counts[0]);
    const auto edges = counts.size() < 2 ? Parsed<std::int64_t>{0, ""} : parse_integer(counts[1]);
    if (vertices.fault || edges.fault || edges.value < 0)
      fail(fmt::format("a graph starts with its numbers of vertices and edges: {}", form));
    header_ = lines_.number();
    edges_ = edges.value;
    return {vertices.value, 1, header_, place()};
  }

  Place place() const {
    return [file = file_](std::int64_t line) { return file.place(line); };
  }

  Graph end(GraphBuilder& builder) const {
    const auto count = std::ssize(builder.graph().edges);
    if (count != edges_ && builder.lines() != edges_)
      throw SpecError(
          fmt::format("{}: has {} edges{}, but its header in line {} says {}", file_.name(), count,
                      builder.lines() == count ? "" : fmt::format(" on {} lines", builder.lines()),
                      header_, edges_));
    return builder.finish();
  }

  Graph read_gset(const Words& header) {
    if (header.size() != 2)
      fail("a graph starts with its numbers of vertices and edges: \"n m\" (Gset, BiqMac) or \"p "
           "edge n m\" (DIMACS)");
    auto builder = begin(header, "\"n m\" (Gset, BiqMac) or \"p edge n m\" (DIMACS)");
    std::size_t width = 0;
    while (lines_.next_filled()) {
      const auto words = split_words(lines_.line());
      if (width == 0 && (words.size() == 2 || words.size() == 3)) width = words.size();
      if (words.size() != width)
        fail(fmt::format("must be an edge, {}", width == 0   ? "\"i j w\" or \"i j\""
                                                : width == 2 ? "\"i j\" as in the lines before"
                                                             : "\"i j w\" as in the lines before"));
      add_edge(builder, words, 0);
    }
    return end(builder);
  }

  std::int64_t vertex(std::string_view word) const {
    const auto value = file_.integer(word, lines_.number(), "the vertex");
    if (value > kMaxVertices) fail(fmt::format("there is no vertex {}", value));
    return value;
  }

  /// words[at] and words[at + 1] are the ends, and the weight follows where there is one.
  void add_edge(GraphBuilder& builder, const Words& words, std::size_t at) {
    const auto line = lines_.number();
    builder.add_edge(vertex(words[at]), vertex(words[at + 1]),
                     words.size() == at + 3 ? file_.number(words[at + 2], line, "the weight") : 1,
                     line);
  }

  Graph read_dimacs(Words header) {
    header.erase(header.begin());
    const bool is_named = !header.empty() && parse_integer(header[0]).fault;
    if (is_named && header[0] != "edge" && header[0] != "col" && header[0] != "sp")
      fail(fmt::format("\"p {}\" is no graph; \"p edge n m\" or \"p sp n m\" is", header[0]));
    if (is_named) header.erase(header.begin());
    auto builder = begin(header, "\"p edge n m\" or \"p sp n m\" (DIMACS)");
    while (lines_.next_filled()) {
      const auto words = split_words(lines_.line());
      const auto is = [&](std::string_view kind, std::size_t least, std::size_t most) {
        return words[0] == kind && least <= words.size() && words.size() <= most;
      };
      if (is("e", 3, 4) || is("a", 4, 4))
        add_edge(builder, words, 1);
      else if (is("n", 3, 3))
        builder.add_weight(vertex(words[1]), file_.number(words[2], lines_.number(), "the weight"),
                           lines_.number());
      else if (words[0] != "d" && words[0] != "v" && words[0] != "x")
        fail(
            "must be an edge, \"e i j\", \"e i j w\" or \"a i j w\", the weight of a vertex, \"n i "
            "w\", or a comment, \"c ...\"");
    }
    return end(builder);
  }

  Graph read_coo(Words words) {
    if (file_.text().find("vartype=BINARY") != std::string_view::npos)
      throw SpecError(
          fmt::format("{}: is a model of 0 and 1 (vartype=BINARY); convert it to one of "
                      "spins, vartype=SPIN",
                      file_.name()));
    struct Entry {
      std::int64_t i, j, line;
      std::string_view value;
    };
    std::vector<Entry> entries;
    std::int64_t last = 0;
    do {
      words = split_words(lines_.line());
      if (words.size() != 3) fail("must be \"i j w\" as in the lines before");
      entries.push_back({vertex(words[0]), vertex(words[1]), lines_.number(), words[2]});
      last = std::max({last, entries.back().i, entries.back().j});
    } while (lines_.next_filled());
    GraphBuilder builder(last + 1, 0, entries[0].line, place());
    for (const auto& [i, j, line, value] : entries) {
      if (i == j)
        builder.add_field(i, file_.number(value, line, "the field"), line);
      else
        builder.add_edge(i, j, file_.number(value, line, "the weight"), line);
    }
    return builder.finish();
  }

  /// What fmt says of the lines of METIS: "abc", whether vertices have sizes, weights, edges
  /// weights.
  struct MetisFormat {
    bool sizes, vertex_weights, edge_weights;
  };

  MetisFormat metis_format(const Words& header) {
    const auto fmt = header.size() > 2 ? header[2] : "0";
    if (fmt.size() > 3 || fmt.find_first_not_of("01") != fmt.npos)
      fail(fmt::format("the format of a METIS file is three digits 0 or 1, not \"{}\"", fmt));
    if (header.size() > 4 || (header.size() == 4 && header[3] != "1"))
      fail("a METIS file is read with one weight a vertex");
    const auto digit = [&](std::size_t from_right) {
      return fmt.size() >= from_right && fmt[fmt.size() - from_right] == '1';
    };
    return {digit(3), digit(2), digit(1)};
  }

  Graph read_metis() {
    if (!lines_.next_filled())
      throw SpecError(fmt::format("{}: is empty; a METIS file starts with \"n m\"", file_.name()));
    const auto header = split_words(lines_.line());
    const auto format = metis_format(header);
    auto builder = begin(header, "\"n m\" or \"n m fmt\" (METIS)");
    for (std::int64_t i = 1; i <= builder.graph().vertices; ++i) {
      if (!lines_.next())
        fail(fmt::format("the file ends before the line of vertex {}; a vertex without neighbours "
                         "has an empty one",
                         i));
      read_vertex(builder, i, format);
    }
    if (lines_.next_filled())
      fail(fmt::format("goes on after the lines of its {} vertices", builder.graph().vertices));
    builder.check_both_ends();
    return end(builder);
  }

  void read_vertex(GraphBuilder& builder, std::int64_t i, MetisFormat format) {
    const auto line = lines_.number();
    const auto words = split_words(lines_.line());
    const auto before = std::size_t(format.sizes) + std::size_t(format.vertex_weights);
    const std::size_t step = format.edge_weights ? 2 : 1;
    if (words.size() < before || (words.size() - before) % step != 0)
      fail(fmt::format("{} numbers do not fit the format that line {} states", words.size(),
                       header_));
    if (format.vertex_weights)
      builder.add_weight(i, file_.number(words[before - 1], line, "the weight"), line);
    for (auto at = before; at < words.size(); at += step)
      builder.add_edge(i, vertex(words[at]),
                       step == 2 ? file_.number(words[at + 1], line, "the weight") : 1, line);
  }

  TextFile file_;
  LineReader lines_;
  std::int64_t header_ = 0, edges_ = 0;
};

/// The graph of lines "i j" or "i j w". vertices: 0 for the largest number that occurs.
Graph parse_graph(const std::vector<std::string>& lines, std::int64_t vertices) {
  struct Entry {
    std::int64_t i, j;
    double weight;
  };
  const auto place = [](std::int64_t line) { return fmt::format("\"edges\"[{}]", line); };
  std::vector<Entry> entries;
  std::int64_t last = 0;
  for (std::size_t line = 0; line < lines.size(); ++line) {
    const auto words = split_words(lines[line]);
    if (words.size() != 2 && words.size() != 3)
      throw SpecError(fmt::format("{}: must be \"i j\" or \"i j w\", not \"{}\"",
                                  place(std::int64_t(line)), lines[line]));
    const auto i = parse_integer(words[0]), j = parse_integer(words[1]);
    const auto weight = words.size() == 3 ? parse_number(words[2]) : Parsed<double>{1};
    for (const auto* const fault : {i.fault, j.fault, weight.fault})
      if (fault)
        throw SpecError(
            fmt::format("{}: \"{}\" {}", place(std::int64_t(line)), lines[line], fault));
    entries.push_back({i.value, j.value, weight.value});
    last = std::max({last, i.value, j.value});
  }
  GraphBuilder builder(vertices == 0 ? last : vertices, 1, 0, place);
  for (std::size_t line = 0; line < entries.size(); ++line)
    builder.add_edge(entries[line].i, entries[line].j, entries[line].weight, std::int64_t(line));
  return builder.finish();
}

std::string choose_form(const std::string& format, std::filesystem::path file) {
  if (format != "auto") return format;
  if (file.extension() == ".gz" || file.extension() == ".zip") file.replace_extension();
  return file.extension() == ".graph" ? "metis" : "auto";
}

}  // namespace

Graph read_graph(const TextFile& file, const std::string& format) {
  return Reader(file).read(choose_form(format, file.name()));
}

void ignore_vertices(const Graph& graph, const std::string& file) {
  if (!graph.weights.empty())
    marginalia::warn(fmt::format("{}: the weights of vertices are passed over; "
                                 "max_independent_set knows what they mean",
                                 file));
  if (std::ranges::any_of(graph.fields, [](double h) { return h != 0; }))
    throw SpecError(fmt::format("{}: has fields, lines \"i i h\", which only ising knows", file));
}

void visit_format(marginalia::ParamVisitor& p, std::string& format) {
  p("format", format,
    {.doc = "of the graph's file: gset: \"n m\", then \"i j w\", vertices from 1; dimacs: \"p edge "
            "n m\", then \"e i j\"; metis: \"n m\", then a line a vertex; coo: lines \"i j w\" "
            "alone, vertices from 0; auto: metis where the name ends in .graph, else by its first "
            "line",
     .one_of = {"auto", "gset", "dimacs", "metis", "coo"}});
}

void GraphParams::visit(marginalia::ParamVisitor& p) {
  p("file", file, {.doc = "the graph, plain or packed: Gset, BiqMac, DIMACS, METIS or COO"});
  visit_format(p, format);
  p("edges", edges, {.doc = "in place of file: [\"1 2\", \"2 3 -1\"], i j or i j w"});
  p("vertices", vertices, {.doc = "n, of edges; 0: the largest number in them", .min = 0});
  p("memory", memory, {.doc = "GiB that exact answers may take", .min = 0});
}

Graph GraphParams::graph() const {
  if (bool(file) == !edges.empty() || (file && vertices != 0))
    throw SpecError(
        "give the graph as \"file\", or as \"edges\" and, where some have none, \"vertices\"");
  return file ? read_graph(TextFile(file.existing()), format) : parse_graph(edges, vertices);
}

}  // namespace marginalia::graphs
