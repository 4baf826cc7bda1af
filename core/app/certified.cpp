#include "certified.h"

#include <cmath>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/inference/certify.h>

#include "host/experiment/energy_identity.h"
#include "lines.h"

namespace marginalia::app {
namespace {

/// log Z's certificate, kept with the run: of the energy alone, whatever network sampled it.
class KeptLogZ {
 public:
  KeptLogZ(const OpenRun& run, const Json& energy, const CertifySettings& settings)
      : file_(run.directory.path() / "certified_log_z.json"),
        key_{{"energy", energy},
             {"confidence", settings.confidence},
             {"width", settings.width},
             {"exact_width", settings.exact_width}} {}

  void give_to(Certifier& certifier) const {
    if (!fs::exists(file_)) return;
    const auto kept = Json::parse(read_text(file_), nullptr, false);
    if (kept.is_object() && kept.value("of", Json()) == key_ && kept.contains("log_z"))
      certifier.set_log_z(Certificate::from_json(kept.at("log_z")));
  }
  /// Keeps what has both sides. A run that cannot be written in is asked all the same.
  void keep(const Certificate& log_z) const {
    if (!std::isfinite(log_z.width())) return;
    try {
      write_atomically(file_, Json{{"of", key_}, {"log_z", log_z.to_json()}}.dump(2) + "\n");
    } catch (const Error& e) {
      fmt::print(stderr, "marginalia: warning: {}\n", e.what());
    }
  }

 private:
  fs::path file_;
  Json key_;
};

CertifySettings make_settings(const CertifyArguments& a, const Networks& networks) {
  CertifySettings settings;
  settings.confidence = a.confidence;
  settings.width = a.width > 0 || a.seconds > 0 ? a.width : 0.1;
  settings.seconds = a.seconds;
  settings.samples = a.samples;
  settings.exact_width = a.exact_width;
  settings.colours = find_colours(networks);
  return settings;
}

/// The certificates of a run, line by line.
class CertifiedLines {
 public:
  CertifiedLines(const OpenRun& run, const Json& energy, const CertifySettings& settings)
      : experiment_(run.experiment),
        in_(states_in(run.experiment)),
        certifier_(*experiment_.family, experiment_.energy.get(), settings),
        kept_(run, energy, settings),
        answers_(run),
        one_pass_(experiment_.family->by_route(QueryKind::kLogMarginal, Route::kOnePass)),
        streams_(experiment_.seed) {
    kept_.give_to(certifier_);
    keep_ = experiment_.energy && !certifier_.has_log_z();
  }

  Json answer(const Line& line) {
    const auto question = read_question(line, in_);
    need_state(question, line);
    const auto x = question.known.unsqueeze(0);
    const auto given = question.given.defined() ? question.given.unsqueeze(0) : Tensor();
    // each question has a stream of its own, so that it is settled before the stream is drawn
    auto& stream = streams_.at("certify/" + line.where);
    const auto certificate = certified(x, given, line, stream);
    auto answer = certificate.to_json();
    answer["seconds"] = std::round(certificate.seconds * 1e6) / 1e6;
    if (one_pass_) {
      const Query query{.partial = x, .given = given, .estimator = one_pass_->estimator};
      const auto log_p = experiment_.family->answer(query, stream).value.item<double>();
      answer[one_pass_->estimator] = json_number(log_p);
    }
    return answer;
  }

  /// Keeps log Z once it is known.
  void keep(const Line& line) {
    if (!keep_ || !certifier_.has_log_z()) return;
    kept_.keep(certifier_.log_z(streams_.at("certify/" + line.where)));
    keep_ = false;
  }

 private:
  Certificate certified(const Tensor& x, const Tensor& given, const Line& line, Stream& stream) {
    try {
      if (given.defined()) answers_.check_given(given);
      return certifier_.certify(x[0], given.defined() ? given[0] : given, stream);
    } catch (const SpecError& e) {
      throw SpecError(fmt::format("{}: {}", line.where, e.what()));
    }
  }

  const Experiment& experiment_;
  States in_;
  Certifier certifier_;
  KeptLogZ kept_;
  Answers answers_;
  std::optional<Capability> one_pass_;
  bool keep_ = false;
  Streams streams_;
};

}  // namespace

void certified_marginals(Session& session, OpenRun& run, const std::string& input,
                         const CertifyArguments& a) {
  const auto& experiment = run.experiment;
  const auto energy =
      experiment.energy
          ? compute_identity(*experiment.energy, experiment.resolved.at("energy"),
                             run.directory.spec(session.data()).paths(), session.registry())
          : Json();
  CertifiedLines certified(run, energy, make_settings(a, experiment.networks));
  for_batches(input, [&](std::vector<Line>& lines) {
    for (auto& line : lines) {
      print_answer(certified.answer(line), line);
      certified.keep(line);
    }
  });
}

MeasuredRadii::MeasuredRadii(const OpenRun& run) {
  const auto directory = run.directory.path();
  const auto file = directory / "evaluation.json";
  const auto evaluation =
      fs::exists(file) ? Json::parse(read_text(file), nullptr, false) : Json::object();
  if (evaluation.is_object() && evaluation.contains("metrics"))
    for (const auto& [_, by_estimator] : evaluation.at("metrics").items())
      for (const auto& [estimator, measurement] : by_estimator.items())
        if (auto radii = ConformalRadii::from_json(measurement))
          radii_.emplace(estimator, std::move(*radii));
  if (radii_.empty())
    throw SpecError(
        fmt::format("{}: has no conformal radii; \"marginalia evaluate {} --metrics conformal\" "
                    "measures them, and keeps what else was measured",
                    file.string(), directory.string()));
  if (evaluation.at("step") != run.step)
    throw SpecError(
        fmt::format("{}: its conformal radii are of step {}, and the answers would be of step {}",
                    file.string(), evaluation.at("step").get<std::int64_t>(), run.step));
}

void MeasuredRadii::add_to(Json& answer, const std::string& estimator, double log_marginal,
                           std::int64_t size) const {
  const auto found = radii_.find(estimator);
  if (found == radii_.end()) return;
  const auto radius = found->second.radius(size);
  answer["lower"] = radius ? Json(log_marginal - *radius) : Json();
  answer["upper"] = radius ? Json(log_marginal + *radius) : Json();
  answer["confidence"] = found->second.confidence;
  answer["law"] = found->second.law;
}

}  // namespace marginalia::app
