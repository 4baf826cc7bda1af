/// \file
/// Another energy, some of whose variables are held at given values:
///
///   log g(x) = log f(x) where x_C = c, else -inf
///
/// The space keeps all variables. g is f's density given c, up to its normalisation p_f(x_C = c).
#include <cmath>
#include <mutex>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/energy.h>
#include <marginalia/inference/elimination.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/partial_state.h>
#include <marginalia/plugin.h>
#include <marginalia/text_file.h>

using namespace marginalia;

namespace {

/// Calls `parse`, whose refusals are told of `where`.
template <class Parse>
Json parsed(const std::string& where, Parse parse) {
  try {
    return parse();
  } catch (const SpecError& e) {
    throw SpecError(fmt::format("{}: {}", where, e.what()));
  }
}

/// The one line of a JSON Lines file, as `sample --given` takes them.
Tensor read_partial_state(const std::filesystem::path& file, const Energy& energy) {
  const auto where = file.string();
  const TextFile text(file);
  const auto json = parsed(where, [&] { return parse_json(text.text()); });
  if (!json.is_object())
    throw SpecError(where + ": must be one JSON object such as {\"x\": [0, 1, null]}");
  for (const auto& doubt : doubtful_keys(json))
    warn(fmt::format("{}: {}", where, doubt));
  const auto question = question_of_line(json, energy.space(), where, [&](const PartialText& part) {
    return state_of_text(energy, part);
  });
  if (question.at)
    throw SpecError(where + ": a list \"at\" asks about variables, and here they are held");
  return question.known;
}

/// Rows of a partial state that agree with c, and those rows with c filled in.
struct Clamp {
  Tensor values;  // c: int64 [D], kUnknown where a variable is free

  Tensor agrees(const Tensor& partial) const {  // bool [B]
    const auto c = values.to(partial.device());
    return (c == kUnknown).logical_or(partial == kUnknown).logical_or(partial == c).all(1);
  }
  Tensor filled(const Tensor& partial) const {
    const auto c = values.to(partial.device());
    return torch::where(c == kUnknown, partial, c);
  }
};

/// The answers of f's oracle about rows with c filled in.
class ClampedOracle final : public Oracle {
 public:
  ClampedOracle(const Oracle& oracle, const Clamp& clamp) : oracle_(oracle), clamp_(clamp) {}
  const StateSpace& space() const override { return oracle_.space(); }
  std::string method() const override { return oracle_.method() + ", clamped"; }
  Tensor can_sum(const Tensor& partial) const override {
    return oracle_.can_sum(clamp_.filled(partial));
  }
  Tensor nearest_sets(const Tensor& known, Stream& stream) const override {
    return oracle_.nearest_sets(known.logical_or(clamp_.values != kUnknown), stream);
  }
  std::optional<double> digits() const override { return oracle_.digits(); }

 private:
  Tensor compute_log_sum(const Tensor& partial) const override {
    return oracle_.log_sum(clamp_.filled(partial))
        .masked_fill(clamp_.agrees(partial).logical_not(), -INFINITY);
  }
  Tensor compute_sample(const Tensor& partial, Stream& stream) const override {
    if (!clamp_.agrees(partial).all().item<bool>())
      throw Error("a state to complete disagrees with what the energy's \"given\" holds fixed");
    return oracle_.sample(clamp_.filled(partial), stream);
  }

  const Oracle& oracle_;
  const Clamp& clamp_;
};

class Constrained final : public Energy, private LocalConditionals {
 public:
  static constexpr const char* kName = "constrained";
  static constexpr const char* kSummary = "another energy with some variables held fixed";
  static constexpr const char* kFormula = "log g(x) = log f(x) where x_C = c, else -inf";
  static constexpr const char* kExample =
      R"({"energy": {"type": "ising", "side": 3},)"
      R"( "given": "[null, null, null, null, 1, null, null, null, null]"})";

  struct Params {
    Child<Energy> energy;
    std::string given;
    FilePath file;
    double memory = 8;
    void visit(ParamVisitor& p) {
      p("energy", energy, {.doc = "f"});
      p("given", given,
        {.doc = "c, null for a free variable, as \"x\" of sample --given: \"[0, null, 1]\" "
                "or \"{\\\"2\\\": 1}\""});
      p("file", file,
        {.doc = "in place of given: one line {\"x\": [0, null, 1]} or {\"text\": \"01?\"}, with "
                "\"given\" likewise"});
      p("memory", memory, {.doc = "GiB that exact answers may take", .min = 0});
    }
  };

  explicit Constrained(const Params& params)
      : inner_(params.energy.value), elimination_(params.memory) {
    if (!inner_) throw SpecError("give \"energy\": the one to be constrained");
    if (params.given.empty() != bool(params.file))
      throw SpecError("give \"given\" or \"file\": the values of the variables that are held");
    clamp_.values =
        params.file
            ? read_partial_state(params.file.existing(), *inner_)
            : partial_state(parsed("\"given\"", [&] { return parse_json_line(params.given); }),
                            space(), "\"given\"");
    const auto constraints = inner_->factors() ? inner_->factors() : inner_->constraints();
    model_ = clamped(constraints ? *constraints : FactorModel{space().cardinalities, {}});
  }

  const StateSpace& space() const override { return inner_->space(); }
  Offer<Oracle> exact() const override;
  Offer<Readable> readable() const override { return inner_->readable(); }
  Offer<LocalConditionals> local() const override {
    const auto local = inner_->local();
    if (!local)
      return Offer<LocalConditionals>::none(fmt::format("{}: {}", inner_->label(), local.reason));
    return {this};
  }
  Offer<PairwiseFactors> pairwise() const override {
    return Offer<PairwiseFactors>::none("other values are forbidden, which no finite factor says");
  }
  Offer<FactorModel> factors() const override {
    const auto factors = inner_->factors();
    if (!factors)
      return Offer<FactorModel>::none(fmt::format("{}: {}", inner_->label(), factors.reason));
    return {&model_};
  }
  Offer<FactorModel> constraints() const override { return {&model_}; }

 private:
  FactorModel clamped(FactorModel model) const;
  Tensor compute_log_density(const Tensor& x) const override;
  Tensor logits(const Tensor& partial) const override;
  Tensor known_part(const Tensor& partial) const override {
    return inner_->local()
        ->known_part(clamp_.filled(partial))
        .masked_fill(clamp_.agrees(partial).logical_not(), -INFINITY);
  }
  const Tensor& colours() const override { return inner_->local()->colours(); }

  std::shared_ptr<Energy> inner_;  // f
  Clamp clamp_;
  mutable std::once_flag asked_;
  mutable std::unique_ptr<ExactAnswers> answers_;  // of f
  mutable std::unique_ptr<Oracle> oracle_;
  FactorModel model_;  // f's factors, or else its constraints, and one for each variable held
  ByElimination elimination_;
};

/// f is asked about the states that agree with c, and about no others.
Tensor Constrained::compute_log_density(const Tensor& x) const {
  const auto rows = clamp_.agrees(x).nonzero().squeeze(1);
  auto result = torch::full({x.size(0)}, -INFINITY, x.options().dtype(torch::kDouble));
  if (rows.numel() > 0) result.index_copy_(0, rows, inner_->log_density(x.index_select(0, rows)));
  return result;
}

/// The logits of f with c filled in; a variable that is held has 0 for its value and -inf for
/// others.
Tensor Constrained::logits(const Tensor& partial) const {
  const auto c = clamp_.values.to(partial.device()).unsqueeze(1);                 // [D, 1]
  const auto levels = torch::arange(space().levels(), partial.options());         // [K]
  const auto held = torch::where(levels == c, 0.0, -INFINITY).to(torch::kFloat);  // [D, K]
  return torch::where(c == kUnknown, inner_->local()->logits(clamp_.filled(partial)), held);
}

FactorModel Constrained::clamped(FactorModel model) const {
  const auto values = clamp_.values.accessor<std::int64_t, 1>();
  for (std::int64_t i = 0; i < values.size(0); ++i) {
    if (values[i] == kUnknown) continue;
    const auto levels = std::size_t(model.cardinalities[std::size_t(i)]);
    auto& factor = model.factors.emplace_back();
    factor = {{i}, std::vector<double>(levels, -INFINITY)};
    factor.log_values[std::size_t(values[i])] = 0;
  }
  return model;
}

/// f's answers with c filled in; else by elimination of what is free, which may be narrower than f.
Offer<Oracle> Constrained::exact() const {
  std::call_once(asked_, [&] {
    answers_ = std::make_unique<ExactAnswers>(*inner_);
    const auto oracle = answers_->oracle();
    if (oracle && oracle->can_sum(clamp_.values.unsqueeze(0)).item<bool>())
      oracle_ = std::make_unique<ClampedOracle>(*oracle, clamp_);
  });
  if (oracle_) return {oracle_.get()};
  if (inner_->factors()) {
    auto eliminated = elimination_.oracle(model_, space());
    if (!eliminated && answers_->oracle())
      eliminated.reason += fmt::format("; {}: cannot sum what is held of {}",
                                       answers_->oracle()->method(), inner_->label());
    return eliminated;
  }
  return Offer<Oracle>::none(fmt::format("{}: {}", inner_->label(), answers_->oracle().reason));
}

}  // namespace

MARGINALIA_PLUGIN(Constrained);
