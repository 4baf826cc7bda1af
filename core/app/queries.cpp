#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/oracle.h>
#include <marginalia/routed.h>
#include <marginalia/samples.h>

#include "certified.h"
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

Streams query_streams(const LoadedRun& run) {
  return Streams(run.experiment.seed);
}

}  // namespace

void marginals(Session& session, const MarginalsArguments& a) {
  auto run = load_run(session, a);
  if (a.certify) return certified_marginals(session, run, a.input, a.certified);
  const auto in = states_in(run.experiment);
  std::optional<ExactAnswers> exact;
  if (a.estimator == "exact") {
    if (!run.experiment.energy)
      throw SpecError(a.run + ": \"exact\" asks the energy's oracle, and this run has no energy");
    exact.emplace(*run.experiment.energy);
    oracle_or_refuse(*exact, run.experiment.energy->label());
  }
  std::optional<ConformalRadii> radii;
  if (a.conformal) radii.emplace(run);
  std::optional<Routed> routed;
  if (a.estimator == Routed::kName) {
    if (const auto why = Routed::obstacle(*run.experiment.family, run.experiment.energy.get());
        !why.empty())
      throw SpecError(a.run + ": " + why);
    routed.emplace(*run.experiment.family, *run.experiment.energy);
  }
  auto streams = query_streams(run);
  for_batches(a.input, [&](std::vector<Line>& lines) {
    auto x = states_of(lines, in);
    std::string estimator = a.estimator;
    auto value = torch::empty({x.size(0)}, torch::kDouble);
    // Lines with and without "given" are asked apart: the condition is part of the question.
    for (const bool conditioned : {false, true}) {
      std::vector<Line> those;
      std::vector<std::int64_t> rows;
      for (std::size_t b = 0; b < lines.size(); ++b)
        if (lines[b].json.contains("given") == conditioned) {
          those.push_back(lines[b]);
          rows.push_back(std::int64_t(b));
        }
      if (rows.empty()) continue;
      const auto index = torch::tensor(rows);
      Query query{QueryKind::kLogMarginal, x.index({index}), {}, a.estimator, a.orders,
                  order_named(a.order)};
      if (conditioned) {
        query.given = conditions_of(those, in);
        query.partial = merged(query.partial, query.given, those);
      }
      if (exact) {
        value.index_put_({index}, exact_log_marginal(*exact->oracle(), query.partial, query.given));
        continue;
      }
      const auto answer =
          routed ? routed->log_marginal(query.partial, query.given, streams.at("marginals"))
                 : run.experiment.family->answer(query, streams.at("marginals"));
      value.index_put_({index}, answer.value);
      estimator = answer.estimator;
    }
    for (std::size_t b = 0; b < lines.size(); ++b) {
      const auto answered = value[std::int64_t(b)].item<double>();
      Json answer{{"log_marginal", number(answered)}, {"estimator", estimator}};
      if (radii && estimator == "one_pass" && !lines[b].json.contains("given"))
        radii->add_to(answer, answered,
                      (x[std::int64_t(b)] != kUnknown).sum().item<std::int64_t>());
      print_answer(std::move(answer), lines[b]);
    }
  });
}

void conditionals(Session& session, const ConditionalsArguments& a) {
  auto run = load_run(session, a);
  const auto& space = run.experiment.space();
  auto streams = query_streams(run);
  for_batches(a.input, [&](std::vector<Line>& lines) {
    const auto x = states_of(lines, states_in(run.experiment));
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

static Json state_json(const Tensor& x) {
  const auto row = x.contiguous();
  const auto* values = row.data_ptr<std::int64_t>();
  Json list = Json::array();
  for (std::int64_t i = 0; i < row.numel(); ++i)
    list.push_back(values[i] == kUnknown ? Json() : Json(values[i]));
  return list;
}

void sample(Session& session, const SampleArguments& a) {
  auto run = load_run(session, a);
  const auto& experiment = run.experiment;
  const auto& space = experiment.space();
  auto streams = query_streams(run);
  const auto order = order_named(a.order);
  const auto draw = [&](const Tensor& given, const std::vector<Line>& lines) {  // one row a sample
    std::int64_t done = 0;
    for (const auto& part : given.split(std::int64_t{kBatch})) {
      const Query query{QueryKind::kSample, part.contiguous(), {}, "", 1, order, a.steps};
      const auto answer = experiment.family->answer(query, streams.at("samples"));
      for (std::int64_t n = 0; n < part.size(0); ++n, ++done) {
        const auto x = answer.states[n];
        Json drawn{{"x", state_json(x)},
                   {"text", text_of(experiment, x)},
                   {"log_prob", number(answer.value[n].item<double>())}};
        if (lines.empty()) {
          print(drawn);
          continue;
        }
        drawn["given"] = state_json(part[n]);
        print_sample(std::move(drawn), lines[std::size_t(done / a.count)]);
      }
    }
  };
  if (a.given.empty()) return draw(space.empty().expand({a.count, -1}), {});
  for_batches(a.given, [&](std::vector<Line>& lines) {
    draw(states_of(lines, states_in(experiment)).repeat_interleave(a.count, 0), lines);
  });
}

void exact(Session& session, const ExactArguments& a) {
  const auto spec = Spec::from_file(a.spec, session.data()).with(a.settings);
  const auto energy = Experiment::energy_of(spec, session.registry());
  const ExactAnswers answers(*energy);
  if (!answers.oracle() && a.input.empty())
    if (const auto known = energy->known_log_z())
      return print({{"log_z", known->value}, {"error", known->error}, {"method", known->method}});
  const auto oracle = oracle_or_refuse(answers, energy->label());
  if (oracle->log_z() == -INFINITY)
    throw SpecError(energy->label() + ": every state is forbidden (log f = -inf), and so log Z is "
                                      "-inf; evidence that contradicts a factor can be why");
  if (!a.input.empty()) {
    for_batches(a.input, [&](std::vector<Line>& lines) {
      const auto x = states_of(lines, states_in(*energy));
      for (std::size_t b = 0; b < lines.size(); ++b) {
        const auto row = std::int64_t(b);
        Tensor given, partial = x.slice(0, row, row + 1);
        if (lines[b].json.contains("given")) {
          given = conditions_of({lines[b]}, states_in(*energy));
          partial = merged(partial, given, {lines[b]});
        }
        print_answer(
            {{"log_marginal", number(exact_log_marginal(*oracle, partial, given).item<double>())},
             {"estimator", "exact"}},
            lines[b]);
      }
    });
    return;
  }
  const auto p = oracle->single_marginals(energy->space().empty()[0]);
  Json marginals = Json::array();
  for (std::int64_t i = 0; i < energy->space().dimension(); ++i) {
    Json one = Json::array();
    for (std::int64_t k = 0; k < energy->space().cardinalities[std::size_t(i)]; ++k)
      one.push_back(p[i][k].item<double>());
    marginals.push_back(std::move(one));
  }
  print(
      {{"log_z", oracle->log_z()}, {"single_marginals", marginals}, {"method", oracle->method()}});
}

}  // namespace marginalia::app
