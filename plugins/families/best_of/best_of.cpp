/// \file
/// Several exact models of one dataset, trained one after the other: the best by validation is
/// kept, or all are mixed, and either is exact.
///
///   p(x_S) = sum_m w_m p_m(x_S)
///   keep "best":     w_m = 1 of the m with the largest mean log p of the validation rows
///   keep "mixture":  w maximises the mean of log sum_m w_m p_m(x) over validation rows drawn with
///                    replacement, by EM; the mean of w over sixteen such draws
/// Each model has an equal share of the training that is left when its turn comes, and ends before
/// it where validation has not got better for a while; what counts is its best moment. What time
/// these leave has "more": on small tables copies of a model from other starts, whose mixture is
/// better than each. Of few validation rows the best weights are of one model by chance; means over
/// draws share them out among those that are as good.
/// Sources: Smyth and Wolpert (1999), doi:10.1023/A:1007511322260 (linear stacking of densities);
/// Breiman (1996), doi:10.1007/BF00058655 (means over draws).
#include <algorithm>
#include <cmath>
#include <memory>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/family.h>
#include <marginalia/inference/exact_model.h>
#include <marginalia/params.h>
#include <marginalia/plugin.h>

#include "member.h"

namespace marginalia::best_of {

class BestOf final : public Family {
 public:
  static constexpr const char* kName = "best_of";
  static constexpr const char* kSummary =
      "exact families trained in turn, the best by validation or a mixture of all: exact";
  static constexpr const char* kFormula = "p(x_S) = sum_m w_m p_m(x_S)";
  static constexpr const char* kSource = "Smyth and Wolpert (1999), doi:10.1023/A:1007511322260";
  static constexpr const char* kExample =
      R"({"families": ["independent", {"type": "circuit", "latents": 2}], "every_steps": 1})";

  struct Params {
    Children<Family> families, more;
    std::string keep = "mixture";
    std::int64_t every_steps = 0, rows = 4096, patience = 10;
    double moving_average = 0.999;
    void visit(ParamVisitor& p) {
      p("families", families, {.doc = "exact families of the dataset, in the order of training"});
      p("more", more,
        {.doc = "families that have their turns in what time those leave, where they end early"});
      p("keep", keep,
        {.doc = "what answers: one of them, or their mixture with weights by the validation rows",
         .one_of = {"best", "mixture"}});
      p("every_steps", every_steps,
        {.doc =
             "of training between two validations; 0: as many as take six times as many rows, 25 "
             "at least",
         .min = 0});
      p("rows", rows, {.doc = "validation rows that are taken, evenly spread", .min = 1});
      p("patience", patience,
        {.doc = "validations without a better one after which the next family begins", .min = 1});
      p("moving_average", moving_average,
        {.doc = "decay of the average of each family's parameters, which is what is validated and "
                "answers, whatever training.moving_average",
         .min = 0.0,
         .max = 1.0});
    }
  };

  BestOf(const Params& params, const FamilyContext& context)
      : params_(params), space_(context.space) {
    if (!context.dataset) throw SpecError("learns from a \"dataset\"; the spec has none");
    if (params.families.empty()) throw SpecError("give \"families\": a list of one at least");
    const auto size = context.dataset->size(Split::kValid);
    if (size == 0)
      throw SpecError("chooses by validation rows, and " + context.dataset->label() + " has none");
    const auto rows = std::min(size, params.rows);
    valid_ = context.dataset->rows(Split::kValid, (torch::arange(rows) * size).div(rows, "floor"));
    for (const auto* list : {&params.families, &params.more})
      for (const auto& child : *list)
        members_.push_back(std::make_unique<Member>(number(child.spec->type()), child.make(context),
                                                    params.moving_average));
    for (const auto& member : members_)
      check(member->family());
    state_ = torch::tensor({0.0, 0.0, 0.0}, torch::kDouble);
  }

  const StateSpace& space() const override { return space_; }
  std::vector<Capability> capabilities() const override {
    auto all = capabilities_of_exact("1 of each kept");
    all.push_back(capability_of_search());
    return all;
  }

  void step(Step& step) override {
    auto& member = *members_[current()];
    MemberStep own(step, prefix(current()), begun(), end_of_turn());
    member.step(own);
    const bool over = own.progress() >= 1;
    if (!over && (step.index() + 1) % validation_every(step.batch_size()) != 0) return;
    const bool better = member.validate(valid_, step);
    state_[kStale] = better ? 0 : stale() + 1;
    step.record("valid/log_likelihood", member.value());
    if (over || stale() >= double(params_.patience)) next(step.progress());
  }

  /// The last one's turn ends training.
  bool trained() const override {
    return current() + 1 == members_.size() && stale() >= double(params_.patience);
  }
  std::vector<ParameterGroup> parameters() override {
    std::vector<ParameterGroup> all;
    for (std::size_t m = 0; m < members_.size(); ++m)
      for (auto& group : members_[m]->parameters(prefix(m)))
        all.push_back(std::move(group));
    return all;
  }
  void visit(StateVisitor& v) override {
    v("model.state", state_);
    for (std::size_t m = 0; m < members_.size(); ++m) {
      PrefixedVisitor prefixed(v, fmt::format("model.member{}.", m));
      members_[m]->visit(prefixed);
    }
    weigh();
  }
  void set_training(bool training) override {
    for (const auto& member : members_)
      member->set_training(training);
    weigh();
  }
  std::string why_not_data_parallel() const override {
    for (const auto& member : members_)
      if (auto why = member->family().why_not_data_parallel(); !why.empty())
        return member->name() + ": " + why;
    return "";
  }
  Json about() const override {
    Json members = Json::array();
    for (std::size_t m = 0; m < members_.size(); ++m)
      members.push_back({{"name", members_[m]->name()},
                         {"valid_log_likelihood", json_number(members_[m]->value())},
                         {"weight", weight_.defined() ? weight_[std::int64_t(m)].item<double>()
                                                      : double(m == current())}});
    return {{"keep", params_.keep}, {"kept", members_[best()]->name()}, {"members", members}};
  }

 private:
  enum { kCurrent, kBegun, kStale };  // of state_

  /// Of parameters' and streams' names. What is visited has other names: the trainer's averages,
  /// which know nothing of the best moment, are then no one's.
  static std::string prefix(std::size_t m) { return fmt::format("model.{}.", m); }
  std::size_t current() const { return std::size_t(state_[kCurrent].item<double>()); }
  double begun() const { return state_[kBegun].item<double>(); }
  double stale() const { return state_[kStale].item<double>(); }

  /// The progress at which the turn of the current member ends.
  double end_of_turn() const {
    const auto first = params_.families.size();
    const auto list_end = current() < first ? first : members_.size();
    return begun() + (1 - begun()) / double(list_end - current());
  }

  std::int64_t validation_every(std::int64_t batch) const {
    constexpr std::int64_t kTimes = 6, kFewest = 25;
    if (params_.every_steps > 0) return params_.every_steps;
    return std::max(kFewest, (kTimes * valid_.size(0) + batch - 1) / batch);
  }

  /// The next one's turn, where there is one.
  void next(double progress) {
    if (current() + 1 == members_.size()) return;
    members_[current()]->finish();
    state_ = torch::tensor({double(current() + 1), progress, 0.0}, torch::kDouble);
  }

  /// "circuit", or "circuit 2" where it is the second.
  std::string number(const std::string& type) const {
    const auto before = std::ranges::count_if(
        members_, [&](const auto& m) { return m->name().substr(0, m->name().find(' ')) == type; });
    return before == 0 ? type : fmt::format("{} {}", type, before + 1);
  }

  static void check(const Family& family) {
    const auto way = family.by_route(QueryKind::kLogMarginal, Route::kOnePass);
    if (!way || way->status != Status::kExact || !way->sets)
      throw SpecError(
          fmt::format("\"families\": {} has no exact marginals of sets of values", family.label()));
  }

  std::size_t best() const {
    std::size_t best = 0;
    for (std::size_t m = 1; m < members_.size(); ++m)
      if (members_[m]->value() > members_[best]->value()) best = m;
    return best;
  }

  /// Weights of those that were validated; none: there is only the one in training.
  void weigh() {
    weight_ = Tensor();
    const auto M = std::int64_t(members_.size());
    if (!members_[best()]->validated()) return;
    weight_ = torch::zeros({M}, torch::kDouble);
    if (params_.keep == "best") {
      weight_[std::int64_t(best())] = 1;
      return;
    }
    std::vector<Tensor> log_p;
    for (const auto& member : members_)
      log_p.push_back(member->validated()
                          ? member->log_p()
                          : torch::full({valid_.size(0)}, -INFINITY, torch::kDouble));
    const auto joint = torch::stack(log_p, 1);  // [R, M]
    const auto any = joint.isfinite().any(1).nonzero().squeeze(1);
    const auto rows = joint.index_select(0, any);
    weight_ = stacked(rows);
    weight_ = torch::where(weight_ < kLeast, torch::zeros_like(weight_), weight_);
    weight_ = weight_ / weight_.sum();
  }

  /// The weights that suit rows drawn with replacement best, their mean over draws.
  /// log_p: float64 [R, M]  ->  float64 [M].
  static Tensor stacked(const Tensor& log_p) {
    constexpr std::int64_t kDraws = 16, kRounds = 100;
    const auto R = log_p.size(0);
    Stream stream(0, "best_of/weights");  // they follow from log p alone
    const auto drawn = stream.integers(R, {kDraws, R});
    const auto share =
        torch::zeros({kDraws, R}, torch::kDouble)
            .scatter_add_(1, drawn, torch::full({kDraws, R}, 1 / double(R), torch::kDouble));
    const auto can = log_p.isfinite().any(0).to(torch::kDouble);
    auto weight = (can / can.sum()).expand({kDraws, -1});
    for (int round = 0; round < kRounds; ++round) {
      const auto explained = (log_p + weight.log().unsqueeze(1)).softmax(2);  // [draws, R, M]
      weight = torch::bmm(share.unsqueeze(1), explained).squeeze(1);
    }
    return weight.mean(0);
  }

  /// Calls at(member, its log weight) for those that answer.
  template <class Function>
  void for_kept(const Function& at) const {
    if (!weight_.defined()) return at(*members_[current()], 0.0);
    for (std::size_t m = 0; m < members_.size(); ++m)
      if (const auto w = weight_[std::int64_t(m)].item<double>(); w > 0)
        at(*members_[m], std::log(w));
  }

  /// The member that answers alone; null where several do.
  const Member* only_one() const {
    std::vector<const Member*> kept;
    for_kept([&](const Member& member, double) { kept.push_back(&member); });
    return kept.size() == 1 ? kept.front() : nullptr;
  }

  static Query ask(QueryKind kind, const Evidence& known) {
    return {.kind = kind, .partial = known.partial, .allowed = known.allowed};
  }

  /// log w_m p_m(x_S, A): float64 [B, kept].
  Tensor log_joint(const Evidence& known, Stream& stream) const {
    std::vector<Tensor> all;
    for_kept([&](const Member& member, double log_weight) {
      const auto answer = member.answer(ask(QueryKind::kLogMarginal, known), stream);
      all.push_back(answer.value + log_weight);
    });
    return torch::stack(all, 1);
  }

  /// log sum_m p(m | x_S, A) p_m(x_i = k | x_S, A).
  Tensor log_conditionals(const Evidence& known, Stream& stream) const {
    const auto posterior = log_joint(known, stream).log_softmax(1);
    const auto B = known.rows();
    std::vector<Tensor> all;
    for_kept([&](const Member& member, double) {
      const auto share = posterior.select(1, std::int64_t(all.size()));
      const auto rows = share.isfinite().nonzero().squeeze(1);  // elsewhere it is impossible to it
      const auto answer = member.answer(ask(QueryKind::kConditionals, known.of_rows(rows)), stream);
      auto of_member =
          torch::full({B, space_.dimension(), space_.levels()}, -INFINITY, torch::kDouble);
      of_member.index_copy_(0, rows, answer.value);
      all.push_back(of_member + share.view({-1, 1, 1}));
    });
    return torch::stack(all).logsumexp(0);
  }

  /// A member by its posterior weight, then the variables.
  Tensor sample(const Evidence& known, Stream& stream) const {
    const auto below = log_joint(known.once(), stream).softmax(1).cumsum(1);
    const auto u = stream.uniform({known.rows(), 1}) * below.slice(1, -1);
    const auto chosen = (below <= u).sum(1);
    auto states = known.partial.clone();
    std::int64_t m = 0;
    for_kept([&](const Member& member, double) {
      const auto rows = (chosen == m++).nonzero().squeeze(1);
      if (rows.numel() == 0) return;
      auto query = ask(QueryKind::kSample, known.of_rows(rows));
      query.states_alone = true;
      states.index_put_({rows}, member.answer(query, stream).states);
    });
    return states;
  }

  /// A member's way to the most probable completion by one pass, with this status at least.
  static std::optional<Capability> way_to_best(const Member& member, bool exact) {
    for (const auto& c : member.family().capabilities())
      if (c.kind == QueryKind::kMaxProbable && c.route == Route::kOnePass &&
          (!exact || c.status == Status::kExact))
        return c;
    return std::nullopt;
  }
  static Answer ask_best(const Member& member, const Capability& way, const Tensor& partial,
                         Stream& stream) {
    return member.answer({way.kind, partial, {}, way.estimator}, stream);
  }

  /// Of the members' most probable completions the one that the mixture gives most.
  Tensor most_probable(const Tensor& partial, Stream& stream) const {
    std::vector<Tensor> states, log_p;
    for_kept([&](const Member& member, double) {
      const auto way = way_to_best(member, false);
      if (!way) return;
      const auto term = member.answer(ask(QueryKind::kLogMarginal, partial), stream).value;
      const auto rows = term.isfinite().nonzero().squeeze(1);  // elsewhere it is impossible to it
      auto of_member = partial.clone();
      if (rows.numel() > 0)
        of_member.index_copy_(0, rows,
                              ask_best(member, *way, partial.index_select(0, rows), stream).states);
      const auto joint = log_joint(of_member, stream).logsumexp(1);
      log_p.push_back(joint.masked_fill(term.isfinite().logical_not(), -INFINITY));
      states.push_back(of_member);
    });
    if (states.empty()) {
      const auto mode = log_conditionals(partial, stream).argmax(2);
      return torch::where(partial == kUnknown, mode, partial);
    }
    const auto best = torch::stack(log_p).argmax(0).view({1, -1, 1});  // [1, B, 1]
    return torch::stack(states).gather(0, best.expand({1, -1, partial.size(1)})).squeeze(0);
  }

  /// Each member's greatest term where it can say it, else the sum of all its terms.
  Tensor max_bound(const Tensor& partial, Stream& stream) const {
    std::vector<Tensor> all;
    for_kept([&](const Member& member, double log_weight) {
      auto term = member.answer(ask(QueryKind::kLogMarginal, partial), stream).value;
      const auto rows = term.isfinite().nonzero().squeeze(1);
      if (const auto way = way_to_best(member, true); way && rows.numel() > 0)
        term.index_add_(0, rows,
                        ask_best(member, *way, partial.index_select(0, rows), stream).value);
      all.push_back(term + log_weight);
    });
    return torch::stack(all).logsumexp(0);
  }

  Answer compute_answer(const Query& query, Stream& stream) const override {
    if (query.kind == QueryKind::kMaxProbable)
      if (const auto* member = only_one(); member && member->family().offers(query.kind))
        return member->answer({query.kind, query.partial}, stream);
    const ExactModel model{
        .log_marginal = [&](const Evidence& e) { return log_joint(e, stream).logsumexp(1); },
        .log_conditionals = [&](const Evidence& e) { return log_conditionals(e, stream); },
        .sample = [&](const Evidence& e, Stream& s) { return sample(e, s); },
        .most_probable = [&](const Tensor& x) { return most_probable(x, stream); },
        .max_bound = [&](const Tensor& x) { return max_bound(x, stream); }};
    return answer_exactly(model, query, stream);
  }

  static constexpr double kLeast = 1e-3;  // a weight that is not worth the passes

  Params params_;
  StateSpace space_;
  Tensor valid_;  // int64 [R, D]
  std::vector<std::unique_ptr<Member>> members_;
  Tensor state_;   // float64 [3]
  Tensor weight_;  // float64 [M]; undefined: the one in training answers
};

}  // namespace marginalia::best_of
MARGINALIA_PLUGIN(marginalia::best_of::BestOf);
