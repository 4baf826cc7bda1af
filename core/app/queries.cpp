#include <optional>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>

#include "certified.h"
#include "host/runs/samples.h"
#include "lines.h"

namespace marginalia::app {
namespace {

/// log p of some lines' states by what they are conditioned on: lines with and without "given" are
/// asked apart, since the condition is part of the question.
class LogMarginals {
 public:
  LogMarginals(const OpenRun& run, const MarginalsArguments& a)
      : in_(states_in(run.experiment)),
        a_(a),
        answers_(run, a.estimator),
        streams_(run.experiment.seed) {}

  struct Result {
    Tensor states, value;  ///< int64 [B, D], with what is given; float64 [B]
    std::string estimator;
  };
  Result operator()(const std::vector<Line>& lines) {
    const auto questions = read_questions(lines, in_);
    for (std::size_t b = 0; b < lines.size(); ++b)
      need_state(questions[b], lines[b]);
    Result result{known_in(questions), torch::empty({std::int64_t(lines.size())}, torch::kDouble),
                  a_.estimator};
    for (const bool conditioned : {false, true})
      ask(lines, questions, conditioned, result);
    return result;
  }

 private:
  void ask(const std::vector<Line>& lines, const Questions& questions, bool conditioned,
           Result& result) {
    std::vector<Line> asked;
    Questions those;
    std::vector<std::int64_t> rows;
    for (std::size_t b = 0; b < questions.size(); ++b)
      if (questions[b].given.defined() == conditioned) {
        asked.push_back(lines[b]);
        those.push_back(questions[b]);
        rows.push_back(std::int64_t(b));
      }
    if (rows.empty()) return;
    const auto index = torch::tensor(rows);
    Query query{.partial = result.states.index({index}),
                .orders = a_.orders,
                .order = order_named(a_.order)};
    if (conditioned) query.given = given_in(those);
    const auto answer =
        answered({asked}, [&] { return answers_(query, streams_.at("marginals")); });
    result.value.index_put_({index}, answer.value);
    result.estimator = answer.estimator;
  }

  States in_;
  const MarginalsArguments& a_;
  Answers answers_;
  Streams streams_;
};

}  // namespace

void marginals(Session& session, const MarginalsArguments& a) {
  const auto input = find_input(a.input, "marginals");
  auto run = load_run(session, a);
  if (a.certify) return certified_marginals(session, run, input, a.certified);
  LogMarginals log_marginals(run, a);
  std::optional<MeasuredRadii> radii;
  if (a.conformal) radii.emplace(run);
  for_batches(input, [&](std::vector<Line>& lines) {
    const auto [x, value, estimator] = log_marginals(lines);
    for (std::size_t b = 0; b < lines.size(); ++b) {
      const auto row = std::int64_t(b);
      const auto answered = value[row].item<double>();
      Json answer{{"log_marginal", json_number(answered)}, {"estimator", estimator}};
      if (radii && !lines[b].json.contains("given"))
        radii->add_to(answer, estimator, answered, (x[row] != kUnknown).sum().item<std::int64_t>());
      print_answer(std::move(answer), lines[b]);
    }
  });
}

void conditionals(Session& session, const ConditionalsArguments& a) {
  const auto input = find_input(a.input, "conditionals");
  auto run = load_run(session, a);
  const auto in = states_in(run.experiment);
  const Answers answers(run);
  Streams streams(run.experiment.seed);
  for_batches(input, [&](std::vector<Line>& lines) {
    const auto questions = read_questions(lines, in);
    const Query query{QueryKind::kConditionals, known_in(questions), {}, ""};
    const auto answer =
        answered({lines}, [&] { return answers(query, streams.at("conditionals")); });
    const auto p = answer.value.exp().contiguous();
    for (std::size_t b = 0; b < lines.size(); ++b)
      print_answer(
          {{"probabilities", list_probabilities(p[std::int64_t(b)], questions[b], in.space)}},
          lines[b]);
  });
}

/// A sample that completes what a question knows, as it is told.
static Json told(const Experiment& experiment, const Question& question, const Tensor& x) {
  Json drawn{{"x", json_of_state(x)}, {"text", to_text(experiment, x)}};
  if (!question.at) return drawn;
  drawn = Json{{"x", Json::object()}};
  for (const auto i : *question.at)
    drawn["x"][std::to_string(i)] = x[i].item<std::int64_t>();
  return drawn;
}

void sample(Session& session, const SampleArguments& a) {
  auto run = load_run(session, a);
  const auto& experiment = run.experiment;
  const Answers answers(run);
  Streams streams(run.experiment.seed);
  const auto order = order_named(a.order);
  const auto kind = a.most_probable ? QueryKind::kMaxProbable : QueryKind::kSample;
  // One row of `known` a sample; calls tell(row, state, log p).
  const auto draw = [&](const Tensor& known, const std::vector<Line>& lines, const auto& tell) {
    std::int64_t done = 0;
    for (const auto& part : known.split(std::int64_t{kBatch})) {
      const Query query{kind, part.contiguous(), {}, "", 1, order, a.steps};
      const Answer answer =
          answered({lines, done, a.count}, [&] { return answers(query, streams.at("samples")); });
      for (std::int64_t n = 0; n < part.size(0); ++n, ++done)
        tell(done, answer.states[n], json_number(answer.value[n].item<double>()));
    }
  };
  if (a.given.empty())
    return draw(experiment.space().empty().expand({a.count, -1}), {},
                [&](std::int64_t, const Tensor& x, const Json& log_prob) {
                  auto drawn = told(experiment, {}, x);
                  drawn["log_prob"] = log_prob;
                  print(drawn);
                });
  for_batches(a.given, [&](std::vector<Line>& lines) {
    const auto questions = read_questions(lines, states_in(experiment));
    const auto known = known_in(questions);
    by_line({lines}, [&] { answers.check_given(known); });
    draw(known.repeat_interleave(a.count, 0), lines,
         [&](std::int64_t row, const Tensor& x, const Json& log_prob) {
           const auto b = std::size_t(row / a.count);
           auto drawn = told(experiment, questions[b], x);
           drawn["log_prob"] = log_prob;
           drawn["given"] = json_like(questions[b], questions[b].known);
           print_sample(std::move(drawn), lines[b]);
         });
  });
}

}  // namespace marginalia::app
