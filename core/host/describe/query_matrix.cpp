#include "query_matrix.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/factored_energy.h>

namespace marginalia {
namespace {

constexpr std::int64_t kVariables = 3;

/// A chain of three spins, log f = sum_i x_i x_{i+1}: as much as any energy can offer.
class SmallEnergy final : public FactoredEnergy {
 public:
  SmallEnergy() : FactoredEnergy(model(), StateSpace::uniform(kVariables, 2), 1) {}

 private:
  static FactorModel model() {
    return {{2, 2, 2}, {{{0, 1}, {0, 0, 0, 1}}, {{1, 2}, {0, 0, 0, 1}}}};
  }
};

/// A dataset whose rows are the eight states of the space.
class SmallDataset final : public Dataset {
 public:
  const StateSpace& space() const override { return space_; }
  std::int64_t size(Split) const override { return states_.size(0); }

 private:
  Tensor compute_rows(Split, const Tensor& indices, std::uint64_t) const override {
    return states_.index_select(0, indices);
  }
  StateSpace space_ = StateSpace::uniform(kVariables, 2);
  Tensor states_ = all_states(space_);
};

/// A network that has every head and answers uniformly.
class SmallNetwork final : public Network {
 public:
  explicit SmallNetwork(const StateSpace& space) : Network({space}) {}
  HeadSet heads() const override {
    return kLogMarginal | kLogits | kExtensions | kPositionLogits | kCausalLogits | kEmbedding;
  }

 private:
  Heads compute(const NetworkInput& input, HeadSet) override {
    const auto B = input.partial.size(0);
    Heads heads;
    heads.log_marginal = torch::zeros({B});
    heads.logits = heads.extensions = heads.causal_logits = torch::zeros({B, kVariables, 2});
    heads.position_logits = torch::zeros({B, kVariables});
    heads.embedding = torch::zeros({B, 1});
    return heads;
  }
};

/// What a family answers from the sources given; nothing where it does not learn from them.
std::vector<Capability> answers_from(const Registry& registry, const Description& d,
                                     const Energy* energy, const Dataset* dataset) {
  const auto space = StateSpace::uniform(kVariables, 2);
  FamilyContext context{space, energy, dataset, {}};
  for (const auto& [role, _] : d.roles)
    context.networks.add(role, std::make_shared<SmallNetwork>(space));
  auto json = Json::parse(d.example);
  json["type"] = d.name;
  try {
    return registry.make<Family>(Spec::from_text(json.dump(), d.name), context)->capabilities();
  } catch (const SpecError&) {
    return {};
  }
}

bool operator==(const Capability& a, const Capability& b) {
  return a.kind == b.kind && a.estimator == b.estimator && a.status == b.status &&
         a.passes == b.passes && a.route == b.route && a.sets == b.sets;
}

struct AnswerColumn {
  const char* heading;
  QueryKind kind;
};
constexpr AnswerColumn kAnswerColumns[] = {{"log p(x_S)", QueryKind::kLogMarginal},
                                           {"p(x_i given x_S)", QueryKind::kConditionals},
                                           {"sample", QueryKind::kSample},
                                           {"most probable completion", QueryKind::kMaxProbable},
                                           {"log Z", QueryKind::kLogZ}};

std::string cell(const AnswersOfFamily& row, const AnswerColumn& column) {
  std::vector<std::string> ways;
  for (const auto& c : row.capabilities)
    if (c.kind == column.kind)
      ways.push_back(fmt::format("`{}` {}, {}{}", c.estimator, to_string(c.status), c.passes,
                                 c.sets ? "; sets" : ""));
  auto text = fmt::format("{}", fmt::join(ways, "<br>"));
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
    text.insert(at, 1, '\\');
  return text;
}

/// The estimator whose -log2 p(x) is the length of a code for x: an exact one, or the sum along one
/// order, which importance sampling is at whole states.
std::string code(const AnswersOfFamily& row) {
  for (const auto& c : row.capabilities)
    if (c.kind == QueryKind::kLogMarginal &&
        (c.status == Status::kExact || c.route == Route::kAlongOrder ||
         c.route == Route::kImportance))
      return fmt::format("`{}`", c.estimator);
  return "";
}

constexpr const char* kLegend =
    R"(Each answer: its estimator; how far it can be trusted, equal to the model's own law, a bound on it, or an estimate;
and the network passes a row that it takes, with S the known variables, U the unknown, D all. An empty cell is a
question that the family refuses; "sets" says that what is known may be sets of values. log p(x) is log p(x_S) with
nothing unknown, log p(x_Q given x_E) is asked with `given`. The last column names the estimator whose -log2 p(x) is
the length of a code for x.
)";

}  // namespace

std::vector<AnswersOfFamily> query_matrix(const Registry& registry) {
  const SmallEnergy energy;
  const SmallDataset dataset;
  std::vector<AnswersOfFamily> matrix;
  for (const auto& [name, entry] : registry.all<Family>()) {
    auto from_data = answers_from(registry, entry.description, nullptr, &dataset);
    auto from_energy = answers_from(registry, entry.description, &energy, nullptr);
    const auto same = std::ranges::equal(from_data, from_energy,
                                         [](const auto& a, const auto& b) { return a == b; });
    if (!from_data.empty()) matrix.push_back({name, same ? "either" : "dataset", from_data});
    if (!from_energy.empty() && !same) matrix.push_back({name, "energy", from_energy});
  }
  return matrix;
}

std::string query_table(const std::vector<AnswersOfFamily>& matrix) {
  std::string text = "| family | learned from |", rule = "|---|---|";
  for (const auto& column : kAnswerColumns) {
    text += fmt::format(" {} |", column.heading);
    rule += "---|";
  }
  text += fmt::format(" code |\n{}---|\n", rule);
  for (const auto& row : matrix) {
    text += fmt::format("| {} | {} |", row.family, row.source);
    for (const auto& column : kAnswerColumns)
      text += fmt::format(" {} |", cell(row, column));
    text += fmt::format(" {} |\n", code(row));
  }
  return text + "\n" + kLegend;
}

}  // namespace marginalia
