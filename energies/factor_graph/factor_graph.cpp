/// \file
/// Any density given by factors, from a file of the UAI competitions, with evidence:
///
///   f(x) = prod_a phi_a(x_a) prod_{i in evidence} 1[x_i = e_i]
///
/// Z is then the probability of the evidence (BAYES), or the partition function given it (MARKOV).
/// Source: Gogate (2014), UAI Inference Competition, https://www.ics.uci.edu/~dechter/softwares.
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/inference/factored_energy.h>
#include <marginalia/plugin.h>

#include "uai.h"

using namespace marginalia;

namespace {

/// Whether a factor has an entry above 0 that goes with the evidence, kUnknown where there is none.
bool agrees(const Factor& factor, const std::vector<std::int64_t>& cardinalities,
            const std::vector<std::int64_t>& evidence) {
  for (std::size_t entry = 0; entry < factor.log_values.size(); ++entry) {
    if (factor.log_values[entry] == -INFINITY) continue;
    bool goes = true;
    auto rest = std::int64_t(entry);
    for (auto s = factor.scope.size(); s-- > 0;) {  // the last variable is the fastest
      const auto i = std::size_t(factor.scope[s]);
      const auto value = rest % cardinalities[i];
      rest /= cardinalities[i];
      goes = goes && (evidence[i] == kUnknown || evidence[i] == value);
    }
    if (goes) return true;
  }
  return false;
}

/// The factors of the file, and one for each variable that is clamped.
FactorModel read_factors(const FilePath& file, const FilePath& evidence_file) {
  auto model = uai::read_model(file.found);
  if (!evidence_file) return model;
  const auto evidence = uai::read_evidence(evidence_file.found, model.cardinalities);
  for (std::size_t a = 0; a < model.factors.size(); ++a)
    if (!agrees(model.factors[a], model.cardinalities, evidence))
      throw SpecError(fmt::format("{}: no state agrees with it: factor {} of {} is 0 wherever its "
                                  "variables {} have these values",
                                  evidence_file.found.string(), a, file.found.string(),
                                  fmt::join(model.factors[a].scope, ", ")));
  for (std::size_t i = 0; i < evidence.size(); ++i) {
    if (evidence[i] == kUnknown) continue;
    Factor clamp{{std::int64_t(i)},
                 std::vector<double>(std::size_t(model.cardinalities[i]), -INFINITY)};
    clamp.log_values[std::size_t(evidence[i])] = 0;
    model.factors.push_back(std::move(clamp));
  }
  return model;
}

StateSpace make_space(const FactorModel& model) {
  return {model.cardinalities, {std::int64_t(model.cardinalities.size())}};
}

class FactorGraph final : public FactoredEnergy {
 public:
  static constexpr const char* kName = "factor_graph";
  static constexpr const char* kSummary = "factors on any variables, from a UAI file";
  static constexpr const char* kFormula = "log f(x) = sum_a log phi_a(x_a), evidence clamped";
  static constexpr const char* kSource =
      "Gogate (2014), UAI Inference Competition; Dechter (1999), "
      "doi:10.1016/S0004-3702(99)00059-4 (exact answers)";
  static constexpr const char* kExample = R"({"file": "tiny.uai"})";

  struct Params {
    FilePath file, evidence;
    double memory = 8;
    void visit(ParamVisitor& p) {
      p("file", file, {.doc = "network in UAI format, plain or packed"});
      p("evidence", evidence,
        {.doc = "file of clamped variables, plain or packed; none: all free"});
      p("memory", memory, {.doc = "GiB that exact answers may take", .min = 0});
    }
  };

  explicit FactorGraph(const Params& params)
      : FactorGraph(read_factors(need_file(params), params.evidence), params.memory) {}

 private:
  FactorGraph(FactorModel model, double memory)
      : FactoredEnergy(model, make_space(model), memory) {}

  static const FilePath& need_file(const Params& params) {
    if (!params.file) throw SpecError("needs \"file\": a network in UAI format");
    return params.file;
  }
};

}  // namespace

MARGINALIA_PLUGIN(FactorGraph);
