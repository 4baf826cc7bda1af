#include "graph_file.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <unordered_map>

#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/unpack.h>

namespace marginalia::graphs {

using marginalia::SpecError;

namespace {

constexpr std::int64_t kMaxVertices = 1 << 24;

using Words = std::vector<std::string_view>;

Words split_words(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r";
  Words words;
  while (true) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    if (line.empty()) return words;
    words.push_back(line.substr(0, line.find_first_of(kBlanks)));
    line.remove_prefix(words.back().size());
  }
}

template <class T>
std::optional<T> parse_value(std::string_view word) {
  T value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return {};
  return value;
}

std::int64_t integer(std::string_view word, const std::string& where) {
  if (const auto value = parse_value<std::int64_t>(word)) return *value;
  throw SpecError(
      fmt::format("{}: \"{}\" is not an integer; vertices are 1, 2, 3, ...", where, word));
}

double number(std::string_view word, const std::string& where) {
  if (const auto value = parse_value<double>(word); value && std::isfinite(*value)) return *value;
  throw SpecError(fmt::format("{}: \"{}\" is not a finite number", where, word));
}

/// Puts edges together to a graph, each with the place it came from.
class Builder {
 public:
  /// place: how a line is named, "line {}".
  Builder(std::int64_t vertices, const std::string& where, const char* place) : place_(place) {
    if (vertices < 1 || vertices > kMaxVertices)
      throw SpecError(
          fmt::format("{}: {} vertices; a graph has 1 to {}", where, vertices, kMaxVertices));
    graph.vertices = vertices;
  }

  /// i and j count from 1.
  void add(std::int64_t i, std::int64_t j, double weight, std::int64_t line,
           const std::string& where) {
    for (const auto vertex : {i, j})
      if (vertex < 1 || vertex > graph.vertices)
        throw SpecError(fmt::format("{}: there is no vertex {}; they are 1 to {}", where, vertex,
                                    graph.vertices));
    if (i == j)
      throw SpecError(fmt::format(
          "{}: an edge from vertex {} to itself; it joins two different ones", where, i));
    const auto [low, high] = std::minmax(i, j);
    const auto [first, is_new] = line_of_.emplace(low * (kMaxVertices + 1) + high, line);
    if (!is_new)
      throw SpecError(
          fmt::format("{}: the edge of vertices {} and {} stands in {} already; give each once",
                      where, i, j, fmt::format(fmt::runtime(place_), first->second)));
    graph.edges.push_back({low - 1, high - 1, weight});
  }

  Graph graph;

 private:
  const char* place_;
  std::unordered_map<std::int64_t, std::int64_t> line_of_;
};

/// Reads a file line by line.
class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  void take(std::string_view line) {
    ++line_;
    const auto words = split_words(line);
    if (words.empty()) return;
    if (words[0] == "c" && (dimacs_ || !builder_)) {
      dimacs_ = true;
    } else if (!builder_) {
      take_header(words);
    } else {
      take_edge(words);
    }
  }

  Graph finish() {
    if (!builder_)
      throw SpecError(
          fmt::format("{}: is empty; a graph starts with \"n m\" or \"p edge n m\"", file_));
    const auto count = static_cast<std::int64_t>(builder_->graph.edges.size());
    if (count != edges_)
      throw SpecError(fmt::format("{}: has {} edges, but its header in line {} says {}", file_,
                                  count, header_, edges_));
    return std::move(builder_->graph);
  }

 private:
  std::string where() const { return fmt::format("{}:{}", file_, line_); }

  void take_header(Words words) {
    if (words[0] == "p") {
      dimacs_ = true;
      if (words.size() > 1 && (words[1] == "edge" || words[1] == "col"))
        words.erase(words.begin() + 1);
      words.erase(words.begin());
    } else if (dimacs_) {
      words.clear();
    }
    const auto vertices = words.size() == 2 ? parse_value<std::int64_t>(words[0]) : std::nullopt;
    const auto edges = words.size() == 2 ? parse_value<std::int64_t>(words[1]) : std::nullopt;
    if (!vertices || !edges)
      throw SpecError(fmt::format("{}: a graph starts with its numbers of vertices and edges: "
                                  "\"n m\" (Gset, BiqMac) or \"p edge n m\" (DIMACS)",
                                  where()));
    builder_.emplace(*vertices, where(), "line {}");
    edges_ = *edges;
    header_ = line_;
  }

  void take_edge(const Words& words) {
    const std::size_t at = dimacs_ ? 1 : 0;
    const bool fits = dimacs_ ? words[0] == "e" && words.size() == 3
                              : words.size() == width_ ||
                                    (width_ == 0 && (words.size() == 2 || words.size() == 3));
    if (!fits)
      throw SpecError(fmt::format("{}: must be an edge, {}", where(),
                                  dimacs_       ? "\"e i j\", or a comment, \"c ...\""
                                  : width_ == 0 ? "\"i j w\" or \"i j\""
                                  : width_ == 2 ? "\"i j\" as in the lines before"
                                                : "\"i j w\" as in the lines before"));
    width_ = words.size();
    const auto weight = !dimacs_ && words.size() == 3 ? number(words[2], where()) : 1.0;
    builder_->add(integer(words[at], where()), integer(words[at + 1], where()), weight, line_,
                  where());
  }

  std::string file_;
  std::int64_t line_ = 0, header_ = 0, edges_ = 0;
  std::size_t width_ = 0;  // words of an edge's line
  bool dimacs_ = false;
  std::optional<Builder> builder_;
};

/// The graph of lines "i j" or "i j w". vertices: 0 for the largest number that occurs.
Graph parse_graph(const std::vector<std::string>& lines, std::int64_t vertices) {
  struct Line {
    std::int64_t i, j;
    double weight;
  };
  const auto where = [](std::size_t line) { return fmt::format("\"edges\"[{}]", line); };
  std::vector<Line> read;
  for (std::size_t line = 0; line < lines.size(); ++line) {
    const auto words = split_words(lines[line]);
    if (words.size() != 2 && words.size() != 3)
      throw SpecError(
          fmt::format("{}: must be \"i j\" or \"i j w\", not \"{}\"", where(line), lines[line]));
    read.push_back({integer(words[0], where(line)), integer(words[1], where(line)),
                    words.size() == 3 ? number(words[2], where(line)) : 1.0});
  }
  if (vertices == 0)
    for (const auto& [i, j, weight] : read)
      vertices = std::max({vertices, i, j});
  Builder builder(vertices, "\"edges\"", "\"edges\"[{}]");
  for (std::size_t line = 0; line < read.size(); ++line)
    builder.add(read[line].i, read[line].j, read[line].weight, static_cast<std::int64_t>(line),
                where(line));
  return std::move(builder.graph);
}

}  // namespace

Graph read_graph(const std::filesystem::path& file) {
  const auto found = marginalia::find_packed(file);
  if (found.empty())
    throw SpecError(fmt::format("{}: there is no such file, nor that with .gz or .zip; a file is "
                                "looked for beside the spec, then in the data directory (--data, "
                                "$MARGINALIA_DATA)",
                                file.string()));
  const auto text = marginalia::read_unpacked(found);
  Reader reader(found.string());
  for (std::string_view rest = text; !rest.empty();) {
    const auto line = rest.substr(0, rest.find('\n'));
    reader.take(line);
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  return reader.finish();
}

void GraphParams::visit(marginalia::ParamVisitor& p) {
  p("file", file,
    {.doc = "the graph: \"n m\", then lines i j w (Gset, BiqMac), or DIMACS; vertices from 1"});
  p("edges", edges, {.doc = "in place of file: [\"1 2\", \"2 3 -1\"], i j or i j w"});
  p("vertices", vertices, {.doc = "n, of edges; 0: the largest number in them", .min = 0});
  p("memory", memory, {.doc = "GiB that exact answers may take", .min = 0});
}

Graph GraphParams::graph() const {
  if (bool(file) == !edges.empty() || (file && vertices != 0))
    throw SpecError(
        "give the graph as \"file\", or as \"edges\" and, where some have none, \"vertices\"");
  return file ? read_graph(file.found) : parse_graph(edges, vertices);
}

}  // namespace marginalia::graphs
