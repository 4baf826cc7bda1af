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

#include "../published/uai2014.h"
#include "uai.h"

using namespace marginalia;

namespace {

/// Whether a factor has an entry above 0 that goes with the evidence.
bool agrees(const Factor& factor, const std::vector<std::int64_t>& cardinalities,
            const uai::Evidence& evidence) {
  for (std::size_t entry = 0; entry < factor.log_values.size(); ++entry) {
    if (factor.log_values[entry] == -INFINITY) continue;
    bool goes = true;
    auto rest = std::int64_t(entry);
    for (auto s = factor.scope.size(); s-- > 0;) {  // the last variable is the fastest
      const auto i = factor.scope[s];
      const auto cardinality = cardinalities[std::size_t(i)];
      const auto given = evidence.find(i);
      goes = goes && (given == evidence.end() || given->second == rest % cardinality);
      rest /= cardinality;
    }
    if (goes) return true;
  }
  return false;
}

/// Clamps the variables of the evidence: one factor more for each.
void clamp(FactorModel& model, const uai::Evidence& evidence, const std::string& file,
           const std::string& evidence_file) {
  for (std::size_t a = 0; a < model.factors.size(); ++a)
    if (!agrees(model.factors[a], model.cardinalities, evidence))
      throw SpecError(fmt::format("{}: no state agrees with it: factor {} of {} is 0 wherever its "
                                  "variables {} have these values",
                                  evidence_file, a, file, fmt::join(model.factors[a].scope, ", ")));
  for (const auto& [i, value] : evidence) {
    Factor clamped{
        {i}, std::vector<double>(std::size_t(model.cardinalities[std::size_t(i)]), -INFINITY)};
    clamped.log_values[std::size_t(value)] = 0;
    model.factors.push_back(std::move(clamped));
  }
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
  static std::vector<PublicFile> sources() {
    std::vector<PublicFile> all;
    add_published(all, kUai2014, "uai2014",
                  "https://raw.githubusercontent.com/dechterlab/uai-competitions/"
                  "f13ae36507f4d4a91ae7b20d44ac11765b208450/UAI-2014/PE");
    return all;
  }

  struct Params {
    FilePath file, evidence;
    std::string tables = "auto";
    std::int64_t evidence_sample = 0;
    double memory = 8;
    void visit(ParamVisitor& p) {
      p("file", file,
        {.doc =
             "network in UAI format, plain or packed; lines that begin with c or # are comments"});
      p("tables", tables,
        {.doc = "what its tables hold; auto: natural logs where its name ends in .LG, as "
                "model.UAI.LG, else values",
         .one_of = {"auto", "values", "log"}});
      p("evidence", evidence,
        {.doc =
             "file of clamped variables, plain or packed: \"2 0 1 4 0\" clamps x_0 = 1 and x_4 = "
             "0; the number of samples may stand before; none: all free"});
      p("evidence_sample", evidence_sample,
        {.doc = "which of its samples, from 1; 0: the only one", .min = 0});
      p("memory", memory, {.doc = "GiB that exact answers may take", .min = 0});
    }
  };

  explicit FactorGraph(const Params& params) : FactorGraph(build(params), params.memory) {}

 private:
  FactorGraph(FactorModel model, double memory)
      : FactoredEnergy(model, make_space(model), memory) {}

  static FactorModel build(const Params& params) {
    if (!params.file) throw SpecError("needs \"file\": a network in UAI format");
    const auto& file = params.file.existing();
    auto model = uai::read_model(TextFile(file), uai::kind_of_tables(params.tables, file));
    if (!params.evidence) return model;
    const TextFile evidence(params.evidence.existing());
    clamp(model,
          uai::choose_sample(uai::read_evidence(evidence, model.cardinalities),
                             params.evidence_sample, evidence.name()),
          file.string(), evidence.name());
    return model;
  }
};

}  // namespace

MARGINALIA_PLUGIN(FactorGraph);
