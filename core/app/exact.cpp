#include <cmath>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/inference/conditioning.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/oracle.h>

#include "energy_words.h"
#include "host/runs/samples.h"
#include "lines.h"

namespace marginalia::app {
namespace {

Offer<Oracle> oracle_or_refuse(const ExactAnswers& exact, const std::string& label) {
  const auto oracle = exact.oracle();
  if (!oracle) throw SpecError(fmt::format("{}: no exact answer: {}", label, oracle.reason));
  return oracle;
}

/// p(x_i = k | known) of the variables that are asked about, of planar answers by a sum each where
/// they are few: float64 [D, K].
Tensor marginals_at(const Oracle& oracle, const Question& question) {
  constexpr std::size_t kFew = 16;
  const auto& at = *question.at;
  const auto& space = oracle.space();
  if (!oracle.digits() || at.size() > kFew)
    return oracle.single_marginals(question.known).contiguous();
  auto p = torch::zeros({space.dimension(), space.levels()}, torch::kDouble);
  for (const auto i : at) {
    if (const auto known = question.known[i].item<std::int64_t>(); known != kUnknown) {
      p[i][known] = 1.0;
      continue;
    }
    auto rows = question.known.repeat({space.cardinalities[std::size_t(i)], 1});
    rows.select(1, i).copy_(torch::arange(rows.size(0)));
    p[i].slice(0, 0, rows.size(0)).copy_(torch::softmax(oracle.log_sum(rows), 0));
  }
  return p;
}

/// What the energy's oracle says of one line: the probabilities of the variables in a list "at",
/// else log p of its state.
Json exact_answer(const Oracle& oracle, const Line& line, const States& in) {
  const auto question = read_question(line, in);
  if (question.at && oracle.log_sum(question.known.unsqueeze(0)).item<double>() == -INFINITY)
    throw ImpossibleGiven(0);
  if (question.at)
    return {
        {"probabilities", list_probabilities(marginals_at(oracle, question), question, in.space)},
        {"estimator", "exact"}};
  need_state(question, line);
  const auto given = question.given.defined() ? question.given.unsqueeze(0) : Tensor();
  const auto log_p = exact_log_marginal(oracle, question.known.unsqueeze(0), given);
  return {{"log_marginal", json_number(log_p.item<double>())}, {"estimator", "exact"}};
}

/// Answers lines by the energy's oracle.
void exact_lines(const Energy& energy, const std::string& input) {
  const ExactAnswers answers(energy);
  const auto oracle = oracle_or_refuse(answers, energy.label());
  if (oracle->log_z() == -INFINITY) refuse_all_forbidden(energy);
  const auto in = states_in(energy);
  for_batches(input, [&](std::vector<Line>& lines) {
    for (std::size_t b = 0; b < lines.size(); ++b) {
      Json answer;
      by_line({lines, std::int64_t(b)}, [&] { answer = exact_answer(*oracle, lines[b], in); });
      print_answer(std::move(answer), lines[b]);
    }
  });
}

/// p(x_i = k) of each variable, by its values.
Json single_marginals(const StateSpace& space, const Oracle& oracle) {
  const auto p = oracle.single_marginals(space.empty()[0]).contiguous();
  const auto values = p.accessor<double, 2>();
  Json marginals = Json::array();
  for (std::int64_t i = 0; i < space.dimension(); ++i) {
    Json one = Json::array();
    for (std::int64_t k = 0; k < space.cardinalities[std::size_t(i)]; ++k)
      one.push_back(values[i][k]);
    marginals.push_back(std::move(one));
  }
  return marginals;
}

Json log_z_and_marginals(const Energy& energy) {
  const ExactAnswers answers(energy);
  if (!answers.oracle())
    if (const auto known = energy.known_log_z())
      return {{"log_z", known->value}, {"error", known->error}, {"method", known->method}};
  const auto oracle = oracle_or_refuse(answers, energy.label());
  Json marginals;
  try {  // first, since log Z falls off on the way
    marginals = single_marginals(energy.space(), *oracle);
  } catch (const Error&) {
    if (oracle->log_z() == -INFINITY) refuse_all_forbidden(energy);
    throw;
  }
  Json answer{{"log_z", oracle->log_z()},
              {"single_marginals", std::move(marginals)},
              {"method", oracle->method()}};
  if (const auto digits = oracle->digits()) answer["digits"] = std::floor(*digits);
  if (const auto moments = oracle->log_density_moments()) {
    answer["energy"] = -moments->mean;
    answer["heat_capacity"] = moments->variance;
  }
  return answer;
}

}  // namespace

void exact(Session& session, const ExactArguments& a) {
  const auto words = read_energy_words(a.words, "exact");
  if (a.input.empty()) return answer_each(words, session, log_z_and_marginals);
  if (words.several) throw SpecError("exact: --input asks one spec alone");
  exact_lines(*energy_of(words.files[0], words.settings, session), a.input);
}

}  // namespace marginalia::app
