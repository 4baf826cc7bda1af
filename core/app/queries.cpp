#include <optional>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/oracle.h>

#include "certified.h"
#include "host/runs/samples.h"
#include "lines.h"

namespace marginalia::app {
namespace {

/// log p of the energy itself, by its oracle.
Tensor exact_log_marginal(const Oracle& oracle, const Tensor& partial, const Tensor& given) {
  const auto sum = oracle.log_sum(partial);
  return given.defined() ? sum - oracle.log_sum(given) : sum - oracle.log_z();
}

Offer<Oracle> oracle_or_refuse(const ExactAnswers& exact, const std::string& label) {
  const auto oracle = exact.oracle();
  if (!oracle) throw SpecError(fmt::format("{}: no exact answer: {}", label, oracle.reason));
  return oracle;
}

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
    Tensor states, value;  ///< int64 [B, D], float64 [B]
    std::string estimator;
  };
  Result operator()(const std::vector<Line>& lines) {
    Result result{read_states(lines, in_),
                  torch::empty({std::int64_t(lines.size())}, torch::kDouble), a_.estimator};
    for (const bool conditioned : {false, true})
      ask(lines, conditioned, result);
    return result;
  }

 private:
  void ask(const std::vector<Line>& lines, bool conditioned, Result& result) {
    std::vector<Line> those;
    std::vector<std::int64_t> rows;
    for (std::size_t b = 0; b < lines.size(); ++b)
      if (lines[b].json.contains("given") == conditioned) {
        those.push_back(lines[b]);
        rows.push_back(std::int64_t(b));
      }
    if (rows.empty()) return;
    const auto index = torch::tensor(rows);
    Query query{.partial = result.states.index({index}),
                .orders = a_.orders,
                .order = order_named(a_.order)};
    if (conditioned) {
      query.given = read_conditions(those, in_);
      query.partial = merged(query.partial, query.given, those);
    }
    const auto answer = answers_(query, streams_.at("marginals"));
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
  auto run = load_run(session, a);
  if (a.certify) return certified_marginals(session, run, a.input, a.certified);
  LogMarginals log_marginals(run, a);
  std::optional<MeasuredRadii> radii;
  if (a.conformal) radii.emplace(run);
  for_batches(a.input, [&](std::vector<Line>& lines) {
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
  auto run = load_run(session, a);
  const auto& space = run.experiment.space();
  Streams streams(run.experiment.seed);
  for_batches(a.input, [&](std::vector<Line>& lines) {
    const auto x = read_states(lines, states_in(run.experiment));
    for (const auto& line : lines)
      if (line.json.contains("given"))
        throw SpecError(line.where + ": conditionals are given all of \"x\": put \"given\" there");
    const Query query{QueryKind::kConditionals, x, {}, ""};
    const auto p =
        run.experiment.family->answer(query, streams.at("conditionals")).value.exp().contiguous();
    const auto values = p.accessor<double, 3>();
    const auto states = x.accessor<std::int64_t, 2>();
    for (std::size_t row = 0; row < lines.size(); ++row) {
      const auto b = std::int64_t(row);
      Json all = Json::array();
      for (std::int64_t i = 0; i < space.dimension(); ++i) {
        Json one;  // null where the variable is known
        if (states[b][i] == kUnknown)
          for (std::int64_t k = 0; k < space.cardinalities[std::size_t(i)]; ++k)
            one.push_back(values[b][i][k]);
        all.push_back(std::move(one));
      }
      print_answer({{"probabilities", std::move(all)}}, lines[row]);
    }
  });
}

void sample(Session& session, const SampleArguments& a) {
  auto run = load_run(session, a);
  const auto& experiment = run.experiment;
  const auto& space = experiment.space();
  Streams streams(run.experiment.seed);
  const auto order = order_named(a.order);
  const auto kind = a.most_probable ? QueryKind::kMaxProbable : QueryKind::kSample;
  const auto draw = [&](const Tensor& given, const std::vector<Line>& lines) {  // one row a sample
    std::int64_t done = 0;
    for (const auto& part : given.split(std::int64_t{kBatch})) {
      const Query query{kind, part.contiguous(), {}, "", 1, order, a.steps};
      const auto answer = experiment.family->answer(query, streams.at("samples"));
      for (std::int64_t n = 0; n < part.size(0); ++n, ++done) {
        const auto x = answer.states[n];
        Json drawn{{"x", json_of_state(x)},
                   {"text", to_text(experiment, x)},
                   {"log_prob", json_number(answer.value[n].item<double>())}};
        if (lines.empty()) {
          print(drawn);
          continue;
        }
        drawn["given"] = json_of_state(part[n]);
        print_sample(std::move(drawn), lines[std::size_t(done / a.count)]);
      }
    }
  };
  if (a.given.empty()) return draw(space.empty().expand({a.count, -1}), {});
  for_batches(a.given, [&](std::vector<Line>& lines) {
    draw(read_states(lines, states_in(experiment)).repeat_interleave(a.count, 0), lines);
  });
}

/// Answers lines by the energy's oracle.
static void exact_lines(const Energy& energy, const Oracle& oracle, const std::string& input) {
  const auto in = states_in(energy);
  for_batches(input, [&](std::vector<Line>& lines) {
    const auto x = read_states(lines, in);
    for (std::size_t b = 0; b < lines.size(); ++b) {
      const auto row = std::int64_t(b);
      Tensor given, partial = x.slice(0, row, row + 1);
      if (lines[b].json.contains("given")) {
        given = read_conditions({lines[b]}, in);
        partial = merged(partial, given, {lines[b]});
      }
      const auto log_p = exact_log_marginal(oracle, partial, given).item<double>();
      print_answer({{"log_marginal", json_number(log_p)}, {"estimator", "exact"}}, lines[b]);
    }
  });
}

/// p(x_i = k) of each variable, by its values.
static Json single_marginals(const StateSpace& space, const Oracle& oracle) {
  const auto p = oracle.single_marginals(space.empty()[0]);
  Json marginals = Json::array();
  for (std::int64_t i = 0; i < space.dimension(); ++i) {
    Json one = Json::array();
    for (std::int64_t k = 0; k < space.cardinalities[std::size_t(i)]; ++k)
      one.push_back(p[i][k].item<double>());
    marginals.push_back(std::move(one));
  }
  return marginals;
}

void exact(Session& session, const ExactArguments& a) {
  const auto spec = Spec::from_file(a.spec, session.data()).with(a.settings);
  const auto energy = Experiment::make_energy(spec, session.registry());
  const ExactAnswers answers(*energy);
  if (!answers.oracle() && a.input.empty())
    if (const auto known = energy->known_log_z())
      return print({{"log_z", known->value}, {"error", known->error}, {"method", known->method}});
  const auto oracle = oracle_or_refuse(answers, energy->label());
  if (oracle->log_z() == -INFINITY)
    throw SpecError(energy->label() + ": every state is forbidden (log f = -inf), and so log Z is "
                                      "-inf; evidence that contradicts a factor can be why");
  if (!a.input.empty()) return exact_lines(*energy, *oracle, a.input);
  print({{"log_z", oracle->log_z()},
         {"single_marginals", single_marginals(energy->space(), *oracle)},
         {"method", oracle->method()}});
}

}  // namespace marginalia::app
