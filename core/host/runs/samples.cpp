#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <torch/types.h>

#include <marginalia/files.h>
#include <marginalia/stream.h>

#include "host/evaluation/answering.h"
#include "host/formats/picture.h"
#include "samples.h"

namespace marginalia {

Json json_of_state(const Tensor& state) {
  const auto x = state.contiguous();
  Json values = Json::array();
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    const auto value = x.data_ptr<std::int64_t>()[i];
    values.push_back(value == kUnknown ? Json() : Json(value));
  }
  return values;
}

namespace {

void write_text(const std::filesystem::path& run, const char* name, const std::string& text) {
  std::filesystem::create_directories(run / "samples");
  write_atomically(run / "samples" / name, text);
}

/// The ways in which variables are hidden, each as the mask of what is hidden: bool [B, D].
std::vector<Tensor> hidden_ways(const StateSpace& space, std::int64_t rows, Stream& stream) {
  const auto D = space.dimension();
  std::vector<Tensor> ways;
  if (space.shape.size() == 2)
    ways.push_back((torch::arange(D) < space.shape[0] / 2 * space.shape[1]).expand({rows, D}));
  for (const std::int64_t percent : {13, 51, 89})
    ways.push_back(stream.permutations(rows, D) < percent * D / 100);
  return ways;
}

/// N states of the model, and what an energy says of them.
struct Drawn {
  Tensor states;              // int64 [N, D]
  Tensor log_prob;            // float64 [N]
  Tensor log_density, score;  // likewise; undefined where there is none
  std::vector<Score> scores;
};

Drawn draw(Experiment& experiment, std::int64_t count) {
  const Answering ask(*experiment.family);
  Streams streams(experiment.seed);
  const Query query{.kind = QueryKind::kSample,
                    .partial = experiment.space().empty().expand({count, -1}).contiguous(),
                    .order = order_named(experiment.evaluation.order)};
  const auto answer = ask(query, streams.at("evaluation/samples"));
  Drawn drawn{answer.states, answer.value, {}, {}, {}};
  if (!experiment.energy) return drawn;
  drawn.log_density = experiment.energy->log_density(answer.states);
  if (const auto readable = experiment.energy->readable()) {
    drawn.score = readable->raw_score(answer.states);
    drawn.scores = readable->scores(answer.states);
  }
  return drawn;
}

Json make_line(const Experiment& experiment, const Drawn& drawn, std::int64_t n) {
  const auto x = drawn.states[n];
  Json line{{"x", json_of_state(x)},
            {"text", to_text(experiment, x)},
            {"log_prob", json_number(drawn.log_prob[n].item<double>())}};
  if (drawn.log_density.defined())
    line["log_density"] = json_number(drawn.log_density[n].item<double>());
  if (drawn.score.defined()) line["score"] = json_number(drawn.score[n].item<double>());
  return line;
}

Json collect_scores(const Drawn& drawn) {
  Json all = Json::array();
  for (const auto& score : drawn.scores) {
    Json one{{"name", score.name}, {"values", Json::array()}};
    for (std::int64_t n = 0; n < score.values.numel(); ++n)
      one["values"].push_back(score.values[n].item<double>());
    if (!score.unit.empty()) one["unit"] = score.unit;
    if (score.target) one["target"] = *score.target;
    if (score.spread) one["spread"] = *score.spread;
    all.push_back(std::move(one));
  }
  return all;
}

/// A state as the dataset draws it, or else the energy; empty where neither draws.
std::string to_svg(const Experiment& experiment, const Tensor& state) {
  if (experiment.dataset)
    if (auto svg = experiment.dataset->to_svg(state); !svg.empty()) return svg;
  const auto readable = experiment.energy ? experiment.energy->readable() : Offer<Readable>{};
  return readable ? readable->to_svg(state) : "";
}

/// Lines of drawings.jsonl. States of the same text are one drawing.
std::string make_drawings(const Experiment& experiment, const Drawn& drawn) {
  constexpr std::size_t kDrawings = 24;
  const auto N = drawn.states.size(0);
  const auto order = drawn.log_density.defined()
                         ? at::argsort(drawn.log_density, /*stable=*/true, 0, /*descending=*/true)
                         : torch::arange(N);
  std::vector<Json> drawings;
  std::map<std::string, std::size_t> places;
  for (std::int64_t i = 0; i < N; ++i) {
    const auto n = order[i].item<std::int64_t>();
    const auto text = to_text(experiment, drawn.states[n]);
    if (const auto known = places.find(text); known != places.end()) {
      auto& times = drawings[known->second]["times"];
      times = times.get<std::int64_t>() + 1;
      continue;
    }
    auto svg = drawings.size() < kDrawings ? to_svg(experiment, drawn.states[n]) : "";
    if (svg.empty()) continue;
    auto line = make_line(experiment, drawn, n);
    line["svg"] = std::move(svg);
    line["times"] = 1;
    for (const auto& score : drawn.scores)
      line["scores"][score.name] = score.values[n].item<double>();
    places[text] = drawings.size();
    drawings.push_back(std::move(line));
  }
  std::string lines;
  for (const auto& line : drawings)
    lines += line.dump() + "\n";
  return lines;
}

}  // namespace

std::string to_text(const Experiment& experiment, const Tensor& state) {
  if (experiment.dataset) return experiment.dataset->to_text(state);
  if (const auto readable = experiment.energy->readable()) return readable->to_text(state);
  return experiment.space().to_text(state);
}

Tensor state_of_text(const Experiment& experiment, const PartialText& text) {
  if (experiment.dataset) return experiment.dataset->from_text(text);
  return state_of_text(*experiment.energy, text);
}

void write_samples(Experiment& experiment, const std::filesystem::path& run, std::int64_t count) {
  if (count == 0 || !experiment.family->offers(QueryKind::kSample)) return;
  const auto drawn = draw(experiment, count);
  std::string lines;
  for (std::int64_t n = 0; n < count; ++n)
    lines += make_line(experiment, drawn, n).dump() + "\n";
  write_text(run, "samples.jsonl", lines);
  if (experiment.space().shape.size() == 2)
    write_text(run, "samples.png", picture_grid(experiment.space(), drawn.states));
  if (!drawn.scores.empty()) write_text(run, "scores.json", collect_scores(drawn).dump() + "\n");
  if (const auto drawings = make_drawings(experiment, drawn); !drawings.empty())
    write_text(run, "drawings.jsonl", drawings);
}

void write_completions(Experiment& experiment, const std::filesystem::path& run,
                       std::int64_t count) {
  const auto& family = *experiment.family;
  if (count == 0 || !experiment.dataset || !family.offers(QueryKind::kSample)) return;
  const Answering ask(*experiment.family);
  Streams streams(experiment.seed);
  auto& stream = streams.at("evaluation/completions");
  const auto split = split_named(experiment.evaluation.split);
  const auto size = experiment.dataset->size(split);
  const auto rows = experiment.dataset->rows(
      split, stream.permutations(1, size)[0].slice(0, 0, std::min(count, size)));
  std::string lines;
  for (const auto& hidden : hidden_ways(experiment.space(), rows.size(0), stream)) {
    const auto given = rows.masked_fill(hidden, kUnknown);
    const auto completed = ask({QueryKind::kSample, given}, stream);
    std::map<std::string, Tensor> log_p;
    for (const auto route : {Route::kOnePass, Route::kAlongOrder})
      if (const auto way = family.by_route(QueryKind::kLogMarginal, route))
        log_p[way->estimator] =
            ask({QueryKind::kLogMarginal, completed.states, {}, way->estimator}, stream).value;
    for (std::int64_t n = 0; n < rows.size(0); ++n) {
      Json line{{"given", json_of_state(given[n])},
                {"x", json_of_state(completed.states[n])},
                {"text", to_text(experiment, completed.states[n])}};
      for (const auto& [estimator, value] : log_p)
        line[estimator] = value[n].item<double>();
      lines += line.dump() + "\n";
    }
  }
  write_text(run, "completions.jsonl", lines);
}

}  // namespace marginalia
