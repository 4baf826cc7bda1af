#include "lines.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <iostream>
#include <string_view>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/partial_state.h>

#include "host/runs/samples.h"

namespace marginalia::app {

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
  const auto name = file == "-" ? "stdin" : file;
  std::vector<Line> lines;
  std::int64_t number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto where = fmt::format("{}:{}", name, number);
    auto json = Json::parse(text, nullptr, false);
    if (!json.is_object())
      throw SpecError(
          fmt::format("{}: must be a JSON object such as {{\"x\": [0, 1, null]}}", where));
    lines.push_back({std::move(json), where});
    if (lines.size() == kBatch || (file == "-" && in.rdbuf()->in_avail() <= 0)) {
      answer(lines);
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

Tensor read_states(const std::vector<Line>& lines, const States& in) {
  std::vector<Tensor> rows;
  for (const auto& [json, where] : lines)
    rows.push_back(partial_state_of_line(json, in.space, where, in.read));
  return torch::stack(rows);
}

Tensor read_conditions(const std::vector<Line>& lines, const States& in) {
  std::vector<Tensor> rows;
  for (const auto& [json, where] : lines)
    rows.push_back(partial_state(json.at("given"), in.space, where + ": \"given\"", in.read));
  return torch::stack(rows);
}

Tensor merged(const Tensor& x, const Tensor& given, const std::vector<Line>& lines) {
  const auto clash = (x != kUnknown).logical_and(given != kUnknown).logical_and(x != given).any(1);
  if (const auto rows = clash.nonzero(); rows.numel() > 0)
    throw SpecError(fmt::format("{}: \"x\" and \"given\" disagree on a variable",
                                lines[std::size_t(rows[0].item<std::int64_t>())].where));
  return torch::where(given != kUnknown, given, x);
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
  pass_through(line.json, {"x", "text", "at"}, sample);
  print(sample);
}

}  // namespace marginalia::app
