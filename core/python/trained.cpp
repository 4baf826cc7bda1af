#include "trained.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <pybind11/stl.h>

#include <marginalia/error.h>
#include <marginalia/inference/certify.h>

#include "bind.h"
#include "host/runs/samples.h"

namespace marginalia::python {
namespace {

constexpr std::array kKinds{QueryKind::kLogMarginal, QueryKind::kConditionals, QueryKind::kSample,
                            QueryKind::kMaxProbable, QueryKind::kLogZ};

QueryKind kind_named(const std::string& name) {
  const auto* const found =
      std::ranges::find(kKinds, name, [](QueryKind kind) { return to_string(kind); });
  if (found == kKinds.end()) throw SpecError(fmt::format("\"{}\" is no kind of question", name));
  return *found;
}

/// What goes wrong or is worth a word stands in the answer; nothing is printed.
Hooks warning_hooks(Told& told) {
  auto hooks = told.hooks();
  hooks.say = {};
  return hooks;
}

OpenRun open(const Host& host, const std::string& folder, const std::string& checkpoint,
             const std::string& device, int threads) {
  Told told{py::none(), py::none()};
  const auto open = [&] {
    const py::gil_scoped_release free;
    const BorrowedThreads borrowed(threads);
    const KeptGenerator kept;
    return open_run(folder, checkpoint, host.environment(device, threads), warning_hooks(told));
  };
  auto run = open();
  told.rethrow();
  return run;
}

}  // namespace

py::dict to_python(const StateSpace& space) {
  py::dict dict;
  dict["cardinalities"] = space.cardinalities;
  dict["shape"] = space.shape;
  dict["alphabet"] = space.alphabet;
  dict["names"] = space.names;
  return dict;
}

Trained::Trained(std::shared_ptr<Host> host, const std::string& folder,
                 const std::string& checkpoint, const std::string& device, int threads)
    : host_(std::move(host)),
      threads_(threads),
      run_(open(*host_, folder, checkpoint, device, threads)) {}

py::dict Trained::space() const {
  return to_python(run_.experiment.space());
}

Answers& Trained::answers(const std::string& estimator) {
  auto& made = answers_[estimator];
  if (!made) made = std::make_unique<Answers>(run_, estimator);
  return *made;
}

py::tuple Trained::answer(const Levels& partial, const std::optional<Levels>& given,
                          const Asked& asked) {
  const Query query{.kind = kind_named(asked.kind),
                    .partial = as_tensor(partial),
                    .given = given ? as_tensor(*given) : Tensor(),
                    .estimator = asked.estimator,
                    .orders = asked.orders,
                    .order = order_named(asked.order),
                    .steps = asked.steps};
  Answer answer;
  {
    const py::gil_scoped_release free;
    const std::lock_guard lock(one_at_a_time_);
    const BorrowedThreads borrowed(threads_);
    if (query.given.defined()) run_.experiment.space().check(query.given, true, "given");
    Stream stream(asked.seed, "python/" + asked.kind);
    auto& ask = answers(asked.estimator);
    if (query.kind == QueryKind::kSample) ask.check_given(query.partial);
    answer = ask(query, stream);
  }
  const auto array = [](const Tensor& tensor) {
    return tensor.defined() ? py::object(as_array(tensor)) : py::none();
  };
  py::list warnings;
  for (const auto& warning : answer.warnings)
    warnings.append(py::make_tuple(warning.row, warning.text));
  return py::make_tuple(array(answer.value), array(answer.states), answer.estimator,
                        to_string(answer.status), answer.passes, py::tuple(warnings));
}

py::list Trained::certify(const Levels& partial, const std::optional<Levels>& given,
                          double confidence, double width, double seconds, std::uint64_t seed) {
  const auto x = as_tensor(partial), known = given ? as_tensor(*given) : Tensor();
  std::vector<Json> all;
  {
    const py::gil_scoped_release free;
    const std::lock_guard lock(one_at_a_time_);
    const BorrowedThreads borrowed(threads_);
    CertifySettings settings;
    settings.confidence = confidence;
    settings.width = width;
    settings.seconds = seconds;
    settings.colours = find_colours(run_.experiment.networks);
    Certifier certifier(*run_.experiment.family, run_.experiment.energy.get(), settings);
    for (std::int64_t b = 0; b < x.size(0); ++b) {
      certifier.forget();
      Stream stream(seed, "python/certify", std::uint64_t(b));
      const auto given_b = known.defined() ? known[b] : Tensor();
      all.push_back(certifier.certify(x[b], given_b, stream).to_json());
    }
  }
  py::list told;
  for (const auto& one : all)
    told.append(to_python(one));
  return told;
}

py::array Trained::log_density(const Levels& x) {
  const auto states = as_tensor(x);
  const auto ask = [&] {
    const py::gil_scoped_release free;
    const std::lock_guard lock(one_at_a_time_);
    if (!run_.experiment.energy) throw SpecError(folder() + ": learned from data, of no energy");
    return run_.experiment.energy->log_density(states);
  };
  return as_array(ask());
}

py::list Trained::capabilities() const {
  py::list all;
  for (const auto& one : run_.experiment.family->capabilities()) {
    py::dict told;
    told["kind"] = std::string(to_string(one.kind));
    told["estimator"] = one.estimator;
    told["status"] = std::string(to_string(one.status));
    told["passes"] = one.passes;
    told["route"] = std::string(to_string(one.route));
    told["sets"] = one.sets;
    all.append(told);
  }
  return all;
}

std::string Trained::text_of(const Levels& state) const {
  return marginalia::to_text(run_.experiment, as_tensor(state));
}

py::array Trained::state_of(const std::string& text) const {
  return as_array(state_of_text(run_.experiment, {.text = text}));
}

void bind_trained(py::module_& module) {
  py::class_<Trained>(module, "Trained")
      .def(py::init<std::shared_ptr<Host>, const std::string&, const std::string&,
                    const std::string&, int>())
      .def("answer",  // without names of its arguments, which take 3 us to find
           [](Trained& run, const Levels& partial, const std::optional<Levels>& given,
              const std::string& kind, const std::string& estimator, std::int64_t orders,
              const std::string& order, std::int64_t steps, std::uint64_t seed) {
             return run.answer(partial, given, {kind, estimator, order, orders, steps, seed});
           })
      .def("certify", &Trained::certify)
      .def("log_density", &Trained::log_density)
      .def_property_readonly("folder", &Trained::folder)
      .def_property_readonly("step", &Trained::step)
      .def_property_readonly("record", &Trained::record)
      .def("space", &Trained::space)
      .def("capabilities", &Trained::capabilities)
      .def("text_of", &Trained::text_of)
      .def("state_of", &Trained::state_of);
}

}  // namespace marginalia::python
