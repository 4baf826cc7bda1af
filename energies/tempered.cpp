/// \file
/// Another energy at another temperature:  log g(x) = b log f(x), that is g = f^b.
///
/// b is the inverse temperature relative to f's own. A forbidden state (log f = -inf) stays
/// forbidden, also at b = 0, where the others are equally likely.
/// Source: Kirkpatrick, Gelatt and Vecchi (1983), doi:10.1126/science.220.4598.671.
#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/inference/elimination.h>
#include <marginalia/plugin.h>

#include "scaled.h"

using namespace marginalia;

namespace {

class Tempered final : public Energy, private LocalConditionals, private Readable {
 public:
  static constexpr const char* kName = "tempered";
  static constexpr const char* kSummary = "another energy at another temperature";
  static constexpr const char* kFormula = "log g(x) = b log f(x); forbidden states stay forbidden";
  static constexpr const char* kSource =
      "Kirkpatrick, Gelatt and Vecchi (1983), doi:10.1126/science.220.4598.671";
  static constexpr const char* kExample =
      R"({"energy": {"type": "max_cut", "edges": ["1 2", "2 3", "3 4 2", "4 1", "4 5 -1"]},)"
      R"( "inverse_temperature": 0.5})";

  struct Params {
    Child<Energy> energy;
    double inverse_temperature = 1, memory = 8;
    void visit(ParamVisitor& p) {
      p("energy", energy, {.doc = "f"});
      p("inverse_temperature", inverse_temperature, {.doc = "b, relative to that of f"});
      p("memory", memory, {.doc = "GiB that exact answers may take", .min = 0});
    }
  };

  explicit Tempered(const Params& params)
      : inner_(params.energy.value), b_(params.inverse_temperature), elimination_(params.memory) {
    if (!inner_) throw SpecError("give \"energy\": the one to be tempered");
    if (const auto factors = inner_->pairwise())
      factors_ = {scaled(factors->unary, b_), factors->edges, scaled(factors->pairs, b_)};
    if (const auto factors = inner_->factors()) model_ = scaled(*factors, b_);
  }

  const StateSpace& space() const override { return inner_->space(); }
  Offer<Readable> readable() const override { return {this}; }
  Offer<LocalConditionals> local() const override {
    const auto local = inner_->local();
    if (!local) return Offer<LocalConditionals>::none(reason(local.reason));
    return {this};
  }
  Offer<PairwiseFactors> pairwise() const override {
    const auto factors = inner_->pairwise();
    if (!factors) return Offer<PairwiseFactors>::none(reason(factors.reason));
    return {&factors_};
  }
  Offer<FactorModel> factors() const override {
    const auto factors = inner_->factors();
    if (!factors) return Offer<FactorModel>::none(reason(factors.reason));
    return {&model_};
  }
  Offer<FactorModel> constraints() const override { return inner_->constraints(); }
  Offer<Oracle> exact() const override;

 private:
  std::string reason(const std::string& why) const {
    return fmt::format("{}: {}", inner_->label(), why);
  }

  Tensor compute_log_density(const Tensor& x) const override {
    return scaled(inner_->log_density(x), b_);
  }
  Tensor logits(const Tensor& partial) const override {
    return scaled(inner_->local()->logits(partial), b_);
  }
  Tensor known_part(const Tensor& partial) const override {
    return scaled(inner_->local()->known_part(partial), b_);
  }
  const Tensor& colours() const override { return inner_->local()->colours(); }

  /// The text that f gives, or else that of the space.
  std::string to_text(const Tensor& state) const override {
    const auto readable = inner_->readable();
    return readable ? readable->to_text(state) : space().to_text(state);
  }
  /// The raw score of f, or log f where it has none.
  Tensor raw_score(const Tensor& x) const override {
    const auto readable = inner_->readable();
    return readable ? readable->raw_score(x) : inner_->log_density(x);
  }
  Tensor from_text(const PartialText& text) const override { return state_of_text(*inner_, text); }
  std::string to_svg(const Tensor& state) const override {
    const auto readable = inner_->readable();
    return readable ? readable->to_svg(state) : "";
  }
  std::vector<Score> scores(const Tensor& x) const override {
    const auto readable = inner_->readable();
    auto all = readable ? readable->scores(x) : Readable::scores(x);
    for (auto& score : all)
      score = scaled(score, b_);
    return all;
  }

  std::shared_ptr<Energy> inner_;  // f
  double b_;
  PairwiseFactors factors_;  // where f has some
  FactorModel model_;        // likewise
  ByElimination elimination_;
};

/// f's own answers at b = 1, else by elimination: sums of f do not give sums of f^b.
Offer<Oracle> Tempered::exact() const {
  const auto exact = inner_->exact();
  if (b_ == 1 && exact) return exact;
  if (inner_->factors()) return elimination_.oracle(model_, space());
  if (!exact) return Offer<Oracle>::none(reason(exact.reason));
  return Offer<Oracle>::none(
      fmt::format("sums of f do not give sums of f^{}: the {} of {} is of no use here", b_,
                  exact->method(), inner_->label()));
}

}  // namespace

MARGINALIA_PLUGIN(Tempered);
