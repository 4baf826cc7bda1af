/// \file
/// What users write in Python, as components: an energy, a dataset, a model to be judged.
///
///   {"type": "python", "file": "my_energy.py", "name": "log_density", "parameters": {"beta": 2}}
///
/// The file is run once a process, when the component is built; nothing of it is when a spec is
/// checked. Without a file it is what a Python process has defined by that name.
#include <string>
#include <vector>

#include <marginalia/plugin.h>

#include "interpreter.h"

namespace {

using namespace marginalia;

struct Params {
  FilePath file;
  std::string name;
  AnyObject parameters;
  void visit(ParamVisitor& p) {
    p("file", file, {.doc = "Python that defines it; none: the process of Python has"});
    p("name", name, {.doc = "what it is called there"});
    p("parameters", parameters, {.doc = "handed over as keyword arguments"});
  }
  PythonSource source() const {
    if (name.empty()) throw SpecError("needs \"name\": what it is called in the file");
    return {file ? file.existing() : std::filesystem::path(), name, parameters.text};
  }
};

/// The Python that the module was built for.
std::vector<OptionalPart> python_parts() {
  return {{"Python", MARGINALIA_PYTHON_VERSION,
           "build with python3-dev, python3-numpy and pybind11-dev"}};
}

struct PythonEnergy {
  using Interface = Energy;
  using Params = ::Params;
  static constexpr const char* kName = "python";
  static constexpr const char* kSummary = "a function, or factors, written in Python";
  static constexpr const char* kFormula = "log f(x) = what the function returns";
  static constexpr const char* kExample = R"({"file": "chain.py", "name": "chain"})";
  static std::vector<OptionalPart> parts() { return python_parts(); }
  static std::shared_ptr<Energy> make(const Params& params) {
    return python::parts().energy(params.source());
  }
};

struct PythonDataset {
  using Interface = Dataset;
  using Params = ::Params;
  static constexpr const char* kName = "python";
  static constexpr const char* kSummary = "arrays that Python makes";
  static constexpr const char* kExample = R"({"file": "rows.py", "name": "rows"})";
  static std::vector<OptionalPart> parts() { return python_parts(); }
  static std::shared_ptr<Dataset> make(const Params& params) {
    return python::parts().dataset(params.source());
  }
};

/// Passes every question on.
class PythonFamily final : public Family {
 public:
  static constexpr const char* kName = "python";
  static constexpr const char* kSummary = "a sampler trained elsewhere, to be judged";
  static constexpr const char* kExample = R"({"file": "sampler.py", "name": "sampler"})";
  static std::vector<OptionalPart> parts() { return python_parts(); }
  using Params = ::Params;

  PythonFamily(const Params& params, const FamilyContext& context)
      : inner_(python::parts().family(params.source(), context)) {}
  const StateSpace& space() const override { return inner_->space(); }
  std::vector<Capability> capabilities() const override { return inner_->capabilities(); }
  void step(Step& step) override { inner_->step(step); }
  std::vector<ParameterGroup> parameters() override { return inner_->parameters(); }
  void visit(StateVisitor& visitor) override { inner_->visit(visitor); }
  void set_training(bool training) override { inner_->set_training(training); }

 private:
  Answer compute_answer(const Query& query, Stream& stream) const override {
    return inner_->answer(query, stream);
  }
  std::shared_ptr<Family> inner_;
};

}  // namespace

MARGINALIA_PLUGIN(PythonEnergy, PythonDataset, PythonFamily);
