#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "arrays.h"
#include "host.h"
#include "host/execution/answer.h"

namespace marginalia::python {

/// How a question is asked.
struct Asked {
  std::string kind, estimator, order;  ///< as to_string of QueryKind and of Order
  std::int64_t orders = 5, steps = 0;
  std::uint64_t seed = 0;
};

/// A trained run that answers. Questions hold the run's lock: one at a time.
class Trained {
 public:
  Trained(std::shared_ptr<Host> host, const std::string& folder, const std::string& checkpoint,
          const std::string& device, int threads);

  /// Of rows int64 [B, D]; `given` likewise, or nothing.  -> (value, states, estimator, status,
  /// passes, warnings), as marginalia.Answer has them.
  pybind11::tuple answer(const Levels& partial, const std::optional<Levels>& given,
                         const Asked& asked);

  /// An interval of log p of each row, a dict each, as Certificate::to_json has it.
  pybind11::list certify(const Levels& partial, const std::optional<Levels>& given,
                         double confidence, double width, double seconds, std::uint64_t seed);

  /// log f of full states, float64 [B]; throws SpecError where the run has no energy.
  py::array log_density(const Levels& x);

  std::string folder() const { return run_.directory.path().string(); }
  std::int64_t step() const { return run_.step; }
  pybind11::dict space() const;
  pybind11::list capabilities() const;
  pybind11::object record() const { return to_python(run_.directory.record()); }
  std::string text_of(const Levels& state) const;     ///< of one state, int64 [D]
  py::array state_of(const std::string& text) const;  ///< the inverse

 private:
  Answers& answers(const std::string& estimator);

  std::shared_ptr<Host> host_;  // whose plugins the run is made of
  int threads_;
  OpenRun run_;
  std::map<std::string, std::unique_ptr<Answers>> answers_;
  std::mutex one_at_a_time_;
};

pybind11::dict to_python(const StateSpace& space);

}  // namespace marginalia::python
