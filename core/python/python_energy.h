#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include <marginalia/energy.h>
#include <marginalia/params.h>

/// Densities that are functions of Python.
namespace marginalia::python {

/// A function of int64 [B, D] that returns log f, float64 [B], and what its states are.
struct PythonDensity {
  pybind11::function log_density;
  std::vector<std::int64_t> cardinalities, shape;
};

/// Makes a function known to specs of this process by a name; replaces one of that name.
void define_density(const std::string& name, PythonDensity density);
/// Forgets all of them: before the interpreter ends.
void forget_densities();
/// What such a function raised last, once: the host says of it no more than that the energy failed.
std::exception_ptr take_raised();

/// The energy "python": a function that was defined in this process.
class PythonEnergy final : public Energy {
 public:
  static constexpr const char* kName = "python";
  static constexpr const char* kSummary = "a function of this Python process";
  static constexpr const char* kFormula = "log f(x) = what it returns";

  struct Params {
    std::string function;
    void visit(ParamVisitor& p) {
      p("function", function, {.doc = "the name that it was defined by"});
    }
  };
  /// Throws SpecError where nothing of that name is defined.
  explicit PythonEnergy(const Params& params);

  const StateSpace& space() const override { return space_; }

 private:
  Tensor compute_log_density(const Tensor& x) const override;

  std::string name_;
  std::shared_ptr<const PythonDensity> density_;
  StateSpace space_;
};

}  // namespace marginalia::python
