#include "hidden_tree.h"

#include <algorithm>
#include <limits>

#include <torch/types.h>

#include <marginalia/inference/exact_model.h>

#include "max_product.h"

namespace marginalia::circuit {

using namespace marginalia;

namespace {

/// One value a row by its weights [B, H]: int64 [B].
Tensor draw(const Tensor& weight, Stream& stream) {
  const auto below = weight.cumsum(1);
  const auto u = stream.uniform({weight.size(0), 1}) * below.slice(1, -1);
  return (below <= u).sum(1);
}

/// Counts of as many training rows as there are, drawn with replacement.
trees::Counts count_resampled(const Dataset& dataset, Stream& stream) {
  constexpr std::int64_t kRows = 8192;
  const auto N = dataset.size(Split::kTrain);
  const auto times = stream.integers(N, {N}).bincount({}, N);
  trees::Counts counts;
  for (const auto& at : torch::arange(N).split(kRows))
    trees::add(counts, dataset.rows(Split::kTrain, at), dataset.space().levels(), true,
               times.index_select(0, at));
  return counts;
}

}  // namespace

HiddenTree::HiddenTree(const StateSpace& space, const Shape& shape)
    : space_(space),
      D_(space.dimension()),
      H_(shape.latents),
      K_(space.levels()),
      smoothing_(shape.smoothing),
      resampled_(shape.resampled) {}

void HiddenTree::start(const Dataset& dataset, Stream& stream) {
  constexpr double kOfRow = 0.5, kOfNeighbour = 0.9;
  const auto counts =
      resampled_ ? count_resampled(dataset, stream) : trees::count_values(dataset, true);
  const auto tree = trees::chow_liu(counts, space_, double(K_));
  parent_ = tree.parent;
  order_ = tree.order;
  data_rows_ = torch::full({1}, double(dataset.size(Split::kTrain)), torch::kDouble);
  const auto rows =
      dataset.rows(Split::kTrain, stream.integers(dataset.size(Split::kTrain), {H_}));  // [H, D]
  const auto of_row = (rows.t().unsqueeze(2) == torch::arange(K_)).to(torch::kFloat);
  const auto known = counts.single.sum(1, true);
  const auto single = (counts.single / known).to(torch::kFloat).unsqueeze(1);  // [D, 1, K]
  emissions_ = (kOfRow * of_row + (1 - kOfRow) * single) / double(H_);
  const auto same = kOfNeighbour * torch::eye(H_) + (1 - kOfNeighbour) / double(H_);
  pairs_ = (same / double(H_)).expand({D_, H_, H_}).contiguous();
  // A root has no parent: any row of its table is the same.
  const auto roots = (parent_ < 0).view({-1, 1, 1});
  pairs_ = torch::where(roots, torch::full_like(pairs_, 1 / double(H_ * H_)), pairs_);
  derive();
}

/// Tables of the statistics, smoothed as by `smoothing` rows of uniform values.
void HiddenTree::derive() {
  if (!started()) return;
  const auto share = smoothing_ / data_rows_.item<double>();
  const auto H = double(H_);
  const auto transition = pairs_.to(torch::kDouble) + share / (H * H);
  const auto possible = space_.possible().to(torch::kDouble);
  const auto uniform = (possible / possible.sum(1, true)).unsqueeze(1);  // [D, 1, K]
  const auto emission = emissions_.to(torch::kDouble) + uniform * (share / H);
  exact_.transition = transition / transition.sum(2, true);
  const auto p = (emission / emission.sum(2, true)).transpose(1, 2);  // [D, K, H]
  exact_.emission = torch::cat({p, torch::ones({D_, 1, H_}, p.options())}, 1);
  fast_ = {exact_.transition.to(torch::kFloat), exact_.emission.to(torch::kFloat)};
  greatest_ = {exact_.transition, torch::cat({p, p.amax(1, true)}, 1)};
  const auto* order = order_.data_ptr<std::int64_t>();
  const auto* parent = parent_.data_ptr<std::int64_t>();
  along_.assign(order, order + D_);
  above_.assign(parent, parent + D_);
  children_.assign(std::size_t(D_), {});
  for (const auto i : along_)
    if (above_[std::size_t(i)] >= 0) children_[std::size_t(above_[std::size_t(i)])].push_back(i);
}

/// How many rows keep `cells` numbers of each within the caches.
std::int64_t HiddenTree::rows_at_once(std::int64_t cells) const {
  return std::clamp<std::int64_t>((std::int64_t{1} << 22) / cells, 64, 4096);
}

Tensor HiddenTree::leaf(const Tables& tables, const Evidence& known, std::int64_t i) const {
  if (!known.allowed.defined()) return {};
  const auto allowed = known.allowed.select(1, i), x = known.partial.select(1, i);
  if ((allowed == 1).all(1).logical_or(x != kUnknown).all().item<bool>()) return {};
  const auto& emission = tables.emission[i];
  const auto of_sets = allowed.to(emission.scalar_type()).mm(emission.slice(0, 0, K_));
  return torch::where((x == kUnknown).unsqueeze(1), of_sets, torch::ones_like(of_sets));
}

HiddenTree::Beliefs HiddenTree::up(const Tables& tables, const Evidence& known) const {
  const auto& x = known.partial;
  const auto readings = torch::where(x == kUnknown, K_, x).t().contiguous();  // [D, B]
  const auto D = std::size_t(D_);
  Beliefs beliefs{std::vector<Tensor>(D), std::vector<Tensor>(D), std::vector<Tensor>(D),
                  torch::zeros({x.size(0)}, torch::kDouble)};
  for (auto it = along_.rbegin(); it != along_.rend(); ++it) {
    const auto i = *it;
    auto e = tables.emission[i].index_select(0, readings[i]);  // [B, H]
    auto& leaf_i = beliefs.leaf[std::size_t(i)] = leaf(tables, known, i);
    if (leaf_i.defined()) e.mul_(leaf_i);
    for (const auto child : children_[std::size_t(i)]) {
      // Rescaled after every factor: nothing underflows, however many children there are.
      e.mul_(beliefs.message[std::size_t(child)]);
      const auto scale = e.amax(1, true);
      e.div_(scale.clamp_min(std::numeric_limits<float>::min()));  // 0: what is known is impossible
      beliefs.log_p.add_(scale.squeeze(1).to(torch::kDouble).log());
    }
    beliefs.message[std::size_t(i)] = e.mm(tables.transition[i].t());
    beliefs.evidence[std::size_t(i)] = e;
    if (above_[std::size_t(i)] < 0)
      beliefs.log_p.add_(beliefs.message[std::size_t(i)].select(1, 0).to(torch::kDouble).log());
  }
  return beliefs;
}

template <class Function>
void HiddenTree::down(const Tables& tables, const Beliefs& beliefs, const Function& at) const {
  std::vector<Tensor> belief(static_cast<std::size_t>(D_));
  for (const auto i : along_) {
    const auto &e = beliefs.evidence[std::size_t(i)], &message = beliefs.message[std::size_t(i)];
    const auto above = above_[std::size_t(i)];
    const auto ratio = above < 0 ? (message * double(H_)).reciprocal()  // a uniform parent
                                 : belief[std::size_t(above)] / message;
    belief[std::size_t(i)] = ratio.mm(tables.transition[i]).mul_(e);
    at(i, belief[std::size_t(i)], ratio);
  }
}

void HiddenTree::reduce(Step& step) {
  new_pairs_ = step.sum(new_pairs_);
  new_emissions_ = step.sum(new_emissions_);
  seen_ = step.sum(torch::tensor(seen_, torch::kDouble)).item<double>();
}

double HiddenTree::expect(const Tensor& x) {
  if (!new_pairs_.defined()) {
    new_pairs_ = torch::zeros_like(pairs_);
    new_emissions_ = torch::zeros_like(emissions_);
    seen_ = 0;
  }
  double log_p = 0;
  for (const auto& part : x.split(rows_at_once(D_ * H_ * 2))) {
    const auto beliefs = up(fast_, part);
    down(fast_, beliefs, [&](std::int64_t i, const Tensor& belief, const Tensor& ratio) {
      const auto& e = beliefs.evidence[std::size_t(i)];
      new_pairs_[i].addcmul_(fast_.transition[i], ratio.t().mm(e));
      const auto one_hot = (part.select(1, i).unsqueeze(1) == torch::arange(K_)).to(torch::kFloat);
      new_emissions_[i].addmm_(belief.t(), one_hot);
    });
    log_p += beliefs.log_p.sum().item<double>();
  }
  seen_ += double(x.size(0));
  return log_p;
}

void HiddenTree::maximise(double rate) {
  if (!new_pairs_.defined()) return;
  pairs_ = pairs_.lerp(new_pairs_ / seen_, rate);
  emissions_ = emissions_.lerp(new_emissions_ / seen_, rate);
  new_pairs_ = Tensor();
  derive();
}

Tensor HiddenTree::log_marginal(const Evidence& known, bool in_float32) const {
  std::vector<Tensor> all{torch::empty({0}, torch::kDouble)};
  for (const auto& part : known.split(rows_at_once(D_ * H_ * 4)))
    all.push_back(up(in_float32 ? fast_ : exact_, part).log_p);
  return torch::cat(all);
}

Tensor HiddenTree::log_conditionals(const Evidence& known, bool in_float32) const {
  const auto& tables = in_float32 ? fast_ : exact_;
  std::vector<Tensor> all{torch::empty({0, D_, K_}, torch::kDouble)};
  for (const auto& part : known.split(rows_at_once(D_ * H_ * 4))) {
    auto p = torch::empty({part.rows(), D_, K_}, torch::kDouble);
    const auto beliefs = up(tables, part);
    down(tables, beliefs, [&](std::int64_t i, const Tensor& belief, const Tensor&) {
      const auto emission = tables.emission[i].slice(0, 0, K_).t();
      const auto& leaf_i = beliefs.leaf[std::size_t(i)];
      if (!leaf_i.defined()) return void(p.select(1, i).copy_(belief.mm(emission)));
      const auto rest = (belief / leaf_i).masked_fill_(leaf_i == 0, 0);
      p.select(1, i).copy_(rest.mm(emission) * part.allowed.select(1, i));
    });
    all.push_back(log_conditionals_of(p, part.partial));
  }
  return torch::cat(all);
}

Tensor HiddenTree::sample(const Evidence& known, Stream& stream) const {
  std::vector<Tensor> all{torch::empty({0, D_}, torch::kLong)};
  for (const auto& part : known.split(rows_at_once(D_ * H_ * 4))) {
    const auto beliefs = up(exact_, part.once());  // of one row for all, or of each
    auto states = part.partial.clone();
    std::vector<Tensor> z(static_cast<std::size_t>(D_));
    for (const auto i : along_) {
      const auto above = above_[std::size_t(i)];
      const auto from =
          above < 0 ? torch::zeros({part.rows()}, torch::kLong) : z[std::size_t(above)];
      const auto prior = exact_.transition[i].index_select(0, from);
      z[std::size_t(i)] = draw(prior * beliefs.evidence[std::size_t(i)], stream);
      auto of_z = exact_.emission[i].slice(0, 0, K_).t().index_select(0, z[std::size_t(i)]);
      if (beliefs.leaf[std::size_t(i)].defined()) of_z = of_z * part.allowed.select(1, i);
      const auto x = part.partial.select(1, i);
      states.select(1, i).copy_(torch::where(x == kUnknown, draw(of_z, stream), x));
    }
    all.push_back(states);
  }
  return torch::cat(all);
}

Tensor HiddenTree::most_probable(const Tensor& partial) const {
  const auto log_emission = exact_.emission.slice(1, 0, K_).transpose(1, 2).log();  // [D, H, K]
  const auto log_transition = exact_.transition.log();
  std::vector<Tensor> states;
  for (const auto& part : partial.split(rows_at_once(D_ * H_ + H_ * H_)))
    states.push_back(max_product(parent_, order_, log_transition, log_emission, part));
  return torch::cat(states);
}

Tensor HiddenTree::max_bound(const Tensor& partial) const {
  std::vector<Tensor> all{torch::empty({0}, torch::kDouble)};
  for (const auto& part : partial.split(rows_at_once(D_ * H_ * 4)))
    all.push_back(up(greatest_, part).log_p);
  return torch::cat(all);
}

void HiddenTree::visit(StateVisitor& v) {
  v("model.parent", parent_);
  v("model.order", order_);
  v("model.pairs", pairs_);
  v("model.emissions", emissions_);
  v("model.data_rows", data_rows_);
  derive();
}

}  // namespace marginalia::circuit
