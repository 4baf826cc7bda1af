#include <algorithm>
#include <string>
#include <vector>

#include <torch/types.h>

#include <marginalia/files.h>
#include <marginalia/picture.h>
#include <marginalia/samples.h>
#include <marginalia/stream.h>

namespace marginalia {
namespace {

Json values_of(const Tensor& state) {
  const auto x = state.contiguous();
  Json values = Json::array();
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    const auto value = x.data_ptr<std::int64_t>()[i];
    values.push_back(value == kUnknown ? Json() : Json(value));
  }
  return values;
}

void write_lines(const std::filesystem::path& run, const char* name, const std::string& lines) {
  std::filesystem::create_directories(run / "samples");
  write_atomically(run / "samples" / name, lines);
}

/// Which variables are hidden: bool [B, D] for each of the ways.
std::vector<Tensor> hidden_ways(const StateSpace& space, std::int64_t rows, Stream& stream) {
  const auto D = space.dimension();
  std::vector<Tensor> ways;
  if (space.shape.size() == 2)
    ways.push_back((torch::arange(D) < space.shape[0] / 2 * space.shape[1]).expand({rows, D}));
  for (const std::int64_t percent : {13, 51, 89})
    ways.push_back(stream.permutations(rows, D) < percent * D / 100);
  return ways;
}

/// The family answering while it is not trained.
class Answering {
 public:
  explicit Answering(Family& family) : family_(family) { family_.set_training(false); }
  ~Answering() { family_.set_training(true); }
  Answer operator()(const Query& query, Stream& stream) const {
    return family_.answer(query, stream);
  }

 private:
  torch::NoGradGuard no_grad_;
  Family& family_;
};

}  // namespace

std::string text_of(const Experiment& experiment, const Tensor& state) {
  if (experiment.dataset) return experiment.dataset->to_text(state);
  if (const auto readable = experiment.energy->readable()) return readable->to_text(state);
  return experiment.space().to_text(state);
}

void write_samples(const Experiment& experiment, const std::filesystem::path& run,
                   std::int64_t count) {
  if (count == 0 || !experiment.family->offers(QueryKind::kSample)) return;
  const Answering ask(*experiment.family);
  Streams streams(experiment.seed);
  const auto& space = experiment.space();
  const Query query{QueryKind::kSample, space.empty().expand({count, -1}).contiguous()};
  const auto answer = ask(query, streams.at("evaluation/samples"));
  const auto density = experiment.energy ? experiment.energy->log_density(answer.states) : Tensor();
  const auto readable = experiment.energy ? experiment.energy->readable() : Offer<Readable>{};
  const auto score = readable ? readable->raw_score(answer.states) : Tensor();
  std::string lines;
  for (std::int64_t n = 0; n < count; ++n) {
    const auto x = answer.states[n];
    Json line{{"x", values_of(x)},
              {"text", text_of(experiment, x)},
              {"log_prob", answer.value[n].item<double>()}};
    if (density.defined()) line["log_density"] = density[n].item<double>();
    if (score.defined()) line["score"] = score[n].item<double>();
    lines += line.dump() + "\n";
  }
  write_lines(run, "samples.jsonl", lines);
  if (space.shape.size() == 2)
    write_atomically(run / "samples" / "samples.png", picture_grid(space, answer.states));
}

void write_completions(const Experiment& experiment, const std::filesystem::path& run,
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
    for (const std::string estimator : {"one_pass", "chain"})
      if (family.offers(QueryKind::kLogMarginal, estimator))
        log_p[estimator] =
            ask({QueryKind::kLogMarginal, completed.states, {}, estimator}, stream).value;
    for (std::int64_t n = 0; n < rows.size(0); ++n) {
      Json line{{"given", values_of(given[n])},
                {"x", values_of(completed.states[n])},
                {"text", text_of(experiment, completed.states[n])}};
      for (const auto& [estimator, value] : log_p)
        line[estimator] = value[n].item<double>();
      lines += line.dump() + "\n";
    }
  }
  write_lines(run, "completions.jsonl", lines);
}

}  // namespace marginalia
