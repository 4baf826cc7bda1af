#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/most_probable.h>

#include "energy_words.h"
#include "host/runs/samples.h"
#include "lines.h"

namespace marginalia::app {
namespace {

/// The most probable completions of an energy's states: by its factors, else by enumeration.
class EnergyStates {
 public:
  EnergyStates(const Energy& energy, const MostProbableSettings& settings) : energy_(energy) {
    const auto factors = energy.factors();
    const auto& space = energy.space();
    if (factors) {
      by_factors_.emplace(*factors, settings);
    } else if (space.log_states() <= std::log(double(kEnumerationLimit)) + 1e-9) {
      states_ = all_states(space);
      log_f_ = energy.log_density(states_);
    } else {
      throw SpecError(fmt::format(
          "{}: no most probable state: {}, and its 10^{:.1f} states are too many to enumerate",
          energy.label(), factors.reason, space.log_states() / std::log(10.0)));
    }
  }

  /// known: int64 [D]
  MostProbable operator()(const Tensor& known) const {
    const auto found = by_factors_ ? (*by_factors_)(known) : enumerated(known);
    if (found.log_density == -INFINITY)
      throw Error(fmt::format("{}: no state was found that is not forbidden; --seconds gives the "
                              "search more",
                              energy_.label()));
    return found;
  }

 private:
  MostProbable enumerated(const Tensor& known) const {
    const auto agree = (known == kUnknown).logical_or(states_ == known).all(1);
    const auto log_f = log_f_.masked_fill(agree.logical_not(), -INFINITY);
    const auto best = log_f.argmax().item<std::int64_t>();
    const auto value = log_f[best].item<double>();
    if (value == -INFINITY) throw ImpossibleGiven(0);
    return {states_[best].clone(), value, value, "enumeration"};
  }

  const Energy& energy_;
  std::optional<MostProbableStates> by_factors_;
  Tensor states_, log_f_;
};

/// A completion as it is told: all of it, or the variables that a question is about.
Json told(const Question& question, const Tensor& x) {
  if (!question.at) return json_of_state(x);
  auto asked = Json::object();
  for (const auto i : *question.at)
    asked[std::to_string(i)] = x[i].item<std::int64_t>();
  return asked;
}

Json to_json(const MostProbable& found, const Question& question) {
  return {{"x", told(question, found.state)},
          {"log_density", found.log_density},
          {"upper", json_number(found.upper)},
          {"proved", found.proved()},
          {"method", found.method}};
}

MostProbableSettings settings_of(const MostProbableArguments& a) {
  return {.memory = a.memory, .seconds = a.seconds};
}

void energy_lines(const Energy& energy, const MostProbableArguments& a) {
  const EnergyStates states(energy, settings_of(a));
  const auto in = states_in(energy);
  for_batches(a.input, [&](std::vector<Line>& lines) {
    for (std::size_t b = 0; b < lines.size(); ++b) {
      const auto question = read_question(lines[b], in);
      Json answer;
      by_line({lines, std::int64_t(b)},
              [&] { answer = to_json(states(question.known), question); });
      answer["given"] = json_like(question, question.known);
      print_sample(std::move(answer), lines[b]);
    }
  });
}

/// What a trained run's family says.
void run_lines(Session& session, const MostProbableArguments& a) {
  auto run = load_run(session, {a.words[0], a.checkpoint});
  const auto& experiment = run.experiment;
  const Answers answers(run);
  Streams streams(experiment.seed);
  const auto ask = [&](const std::vector<Line>& lines, const Questions& questions) {
    const Query query{.kind = QueryKind::kMaxProbable, .partial = known_in(questions)};
    by_line({lines}, [&] { answers.check_given(query.partial); });
    const auto answer =
        answered({lines}, [&] { return answers(query, streams.at("most_probable")); });
    for (std::size_t b = 0; b < questions.size(); ++b) {
      const auto row = std::int64_t(b);
      const auto& x = answer.states[row];
      Json line{{"x", told(questions[b], x)},
                {"log_prob", json_number(answer.value[row].item<double>())},
                {"proved", answer.status == Status::kExact},
                {"estimator", answer.estimator}};
      if (!questions[b].at) line["text"] = to_text(experiment, x);
      if (lines.empty()) return print(line);
      line["given"] = json_like(questions[b], questions[b].known);
      print_sample(std::move(line), lines[b]);
    }
  };
  if (a.input.empty()) return ask({}, {Question{experiment.space().empty()[0], {}}});
  for_batches(a.input, [&](std::vector<Line>& lines) {
    ask(lines, read_questions(lines, states_in(experiment)));
  });
}

}  // namespace

void most_probable(Session& session, const MostProbableArguments& a) {
  const bool is_run = fs::exists(fs::path(a.words[0]) / "run.json");
  if (is_run && a.words.size() > 1)
    throw SpecError(fmt::format("most-probable: {} is a run, which goes alone", a.words[0]));
  if (is_run) return run_lines(session, a);
  if (!a.checkpoint.empty()) throw SpecError("most-probable: --checkpoint is of a run");
  const auto words = read_energy_words(a.words, "most-probable");
  if (a.input.empty())
    return answer_each(words, session, [&](const Energy& energy) {
      const auto empty = energy.space().empty()[0];
      return to_json(EnergyStates(energy, settings_of(a))(empty), {empty, {}});
    });
  if (words.several) throw SpecError("most-probable: --input asks one spec alone");
  energy_lines(*energy_of(words.files[0], words.settings, session), a);
}

}  // namespace marginalia::app
