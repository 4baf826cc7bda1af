#include "lines.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <iostream>
#include <numeric>
#include <optional>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <torch/types.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/text_file.h>

#include "host/runs/samples.h"

namespace marginalia::app {

std::string find_input(const std::string& given, const std::string& verb) {
  if (!given.empty()) return given;
  if (isatty(STDIN_FILENO) != 0) throw SpecError(verb + ": needs --input FILE, or lines on stdin");
  return "-";
}

namespace {

/// Reads lines, and asks of each suspicious key once.
class Reader {
 public:
  explicit Reader(std::string name) : name_(std::move(name)) {}

  void skip() { ++number_; }
  /// The next line; nothing where it is blank.
  std::optional<Line> read(std::string_view text) {
    skip();
    if (text.find_first_not_of(kBlanks) == text.npos) return {};
    Line line{{}, fmt::format("{}:{}", name_, number_)};
    try {
      line.json = parse_json_line(text);
    } catch (const SpecError& e) {
      throw SpecError(fmt::format("{}: {}", line.where, e.what()));
    }
    if (!line.json.is_object())
      throw SpecError(
          fmt::format("{}: must be a JSON object such as {{\"x\": [0, 1, null]}}", line.where));
    for (const auto& doubt : doubtful_keys(line.json))
      if (told_.insert(doubt).second) warn(fmt::format("{}: {}", line.where, doubt));
    return line;
  }

 private:
  std::string name_;
  std::int64_t number_ = 0;
  std::set<std::string> told_;
};

}  // namespace

void for_batches(const std::string& file, const std::function<void(std::vector<Line>&)>& answer) {
  std::ifstream opened;
  if (file != "-") {
    opened.open(file);
    if (!opened || fs::is_directory(file))
      throw SpecError(
          fmt::format("{}: cannot be read: {}", file,
                      fs::is_directory(file) ? "it is a folder" : std::strerror(errno)));
  }
  std::istream& in = file == "-" ? std::cin : opened;
  Reader reader(file == "-" ? "stdin" : file);
  std::vector<Line> lines;
  for (std::string piece; std::getline(in, piece);) {
    if (piece.empty()) reader.skip();
    for (LineReader pieces(piece); pieces.next();)  // which \r may end as well
      if (auto line = reader.read(pieces.line())) lines.push_back(std::move(*line));
    if (lines.size() >= kBatch || (file == "-" && in.rdbuf()->in_avail() <= 0)) {
      if (!lines.empty()) answer(lines);
      lines.clear();
    }
  }
  if (!lines.empty()) answer(lines);
}

States states_in(const Experiment& experiment) {
  return {experiment.space(),
          [&experiment](const PartialText& text) { return state_of_text(experiment, text); }};
}
States states_in(const Energy& energy) {
  return {energy.space(),
          [&energy](const PartialText& text) { return state_of_text(energy, text); }};
}

Question read_question(const Line& line, const States& in) {
  return question_of_line(line.json, in.space, line.where, in.read);
}

Questions read_questions(const std::vector<Line>& lines, const States& in) {
  Questions questions;
  for (const auto& line : lines)
    questions.push_back(read_question(line, in));
  return questions;
}

void need_state(const Question& question, const Line& line) {
  if (question.at)
    throw SpecError(line.where + ": a list \"at\" asks for probabilities of variables, which "
                                 "conditionals and exact answer; log p is that of \"x\"");
  if (!question.names_state)
    throw SpecError(line.where + ": needs \"x\" or \"text\": what log p is of");
}

static Tensor stacked(const Questions& questions, Tensor Question::*part) {
  std::vector<Tensor> rows;
  for (const auto& question : questions)
    rows.push_back(question.*part);
  return torch::stack(rows);
}

Tensor known_in(const Questions& questions) {
  return stacked(questions, &Question::known);
}
Tensor given_in(const Questions& questions) {
  return stacked(questions, &Question::given);
}

std::vector<std::int64_t> asked_variables(const Question& question, const StateSpace& space) {
  if (question.at) return *question.at;
  std::vector<std::int64_t> all(std::size_t(space.dimension()));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

Json list_probabilities(const Tensor& p, const Question& question, const StateSpace& space) {
  const auto values = p.accessor<double, 2>();
  const auto known = question.known.accessor<std::int64_t, 1>();
  Json all = Json::array();
  for (const auto i : asked_variables(question, space)) {
    Json one;
    if (known[i] == kUnknown)
      for (std::int64_t k = 0; k < space.cardinalities[std::size_t(i)]; ++k)
        one.push_back(values[i][k]);
    all.push_back(std::move(one));
  }
  return all;
}

Json json_like(const Question& question, const Tensor& state) {
  if (!question.by_variable) return json_of_state(state);
  Json known = Json::object();
  for (std::int64_t i = 0; i < state.size(0); ++i)
    if (const auto level = state[i].item<std::int64_t>(); level != kUnknown)
      known[std::to_string(i)] = level;
  return known;
}

std::string RowsOfLines::where(std::int64_t row) const {
  return lines.empty() ? "" : lines[std::size_t((first + row) / each)].where + ": ";
}

void by_line(const RowsOfLines& rows, const std::function<void()>& ask) {
  try {
    ask();
  } catch (const ImpossibleGiven& e) {
    throw SpecError(rows.where(e.row()) + e.what());
  }
}

Answer answered(const RowsOfLines& rows, const std::function<Answer()>& ask) {
  Answer answer;
  by_line(rows, [&] { answer = ask(); });
  for (const auto& [row, text] : answer.warnings)
    fmt::print(stderr, "marginalia: warning: {}{}\n", rows.where(row), text);
  return answer;
}

void print(const Json& line) {
  std::cout << line.dump() << "\n" << std::flush;
}

static void pass_through(const Json& from, std::initializer_list<std::string_view> but, Json& to) {
  for (const auto& [key, other] : from.items())
    if (std::ranges::find(but, key) == but.end() && !to.contains(key)) to[key] = other;
}

void print_answer(Json answer, const Line& line) {
  pass_through(line.json, {"x", "given"}, answer);
  print(answer);
}

void print_sample(Json sample, const Line& line) {
  const auto at = line.json.find("at");
  const bool is_asked = at != line.json.end() && at->is_array();
  pass_through(line.json, {"x", "text", "gap", is_asked ? "" : "at"}, sample);
  print(sample);
}

}  // namespace marginalia::app
