#include "tree_mixture.h"

#include <torch/types.h>

#include "shared/families/over_ranks.h"
#include "shared/trees/mixture.h"

namespace marginalia::circuit {

using namespace marginalia;

TreeMixture::TreeMixture(const StateSpace& space, std::int64_t components, double smoothing)
    : space_(space), M_(components), smoothing_(smoothing) {}

TreeMixture::Explained TreeMixture::explain(const Dataset& dataset, Step& step) const {
  constexpr std::int64_t kRows = 8192;
  auto& stream = step.stream("family/start");
  Explained explained;
  for (const auto& some : torch::arange(dataset.size(Split::kTrain)).split(kRows)) {
    const auto own = own_part(step, some.size(0));
    explained.rows.push_back(dataset.rows(Split::kTrain, some.index_select(0, own)));
    if (!started()) {
      // -log u / sum is Dirichlet(1, ..., 1)
      const auto u = -stream.uniform({some.size(0), M_}).clamp_min(1e-7).log();
      explained.responsibility.push_back((u / u.sum(1, true)).index_select(0, own));
      continue;
    }
    const auto joint = log_joint(explained.rows.back());
    explained.log_p += joint.logsumexp(1).sum().item<double>();
    explained.responsibility.push_back(joint.softmax(1));
  }
  return explained;
}

std::pair<trees::Tree, double> TreeMixture::fit(std::int64_t m, const Explained& explained,
                                                bool has_gaps, Step& step) const {
  const auto& [rows, responsibility, _] = explained;
  trees::Counts counts;
  double mass = 0;
  for (std::size_t n = 0; n < rows.size(); ++n) {
    const auto share = responsibility[n].select(1, m);
    trees::add(counts, rows[n], space_.levels(), true, share);
    mass += share.sum().item<double>();
  }
  counts.single = step.sum(counts.single);
  counts.pairs = step.sum(counts.pairs);
  const auto sums = step.sum(torch::tensor({counts.rows, mass}, torch::kDouble));
  counts.rows = sums[0].item<double>();
  auto tree = trees::chow_liu(counts, space_, smoothing_);
  if (has_gaps) {  // its tables by EM: gaps summed out, not left out
    auto pairs = torch::zeros_like(tree.p);
    for (std::size_t n = 0; n < rows.size(); ++n)
      pairs += trees::expected_pairs(tree, rows[n], responsibility[n].select(1, m));
    tree = trees::with_pairs(tree, step.sum(pairs), space_, smoothing_);
  }
  return {tree, sums[1].item<double>()};
}

double TreeMixture::step(const Dataset& dataset, Step& step) {
  const auto explained = explain(dataset, step);
  std::vector<Tensor> weights, parents, orders, tables;
  for (std::int64_t m = 0; m < M_; ++m) {
    const auto [tree, mass] = fit(m, explained, dataset.has_gaps(), step);
    weights.push_back(torch::full({}, mass + smoothing_, torch::kDouble));
    parents.push_back(tree.parent);
    orders.push_back(tree.order);
    tables.push_back(tree.p);
  }
  weight_ = torch::stack(weights);
  weight_ = weight_ / weight_.sum();
  parent_ = torch::stack(parents);
  order_ = torch::stack(orders);
  p_ = torch::stack(tables);
  derive();
  const auto log_p = step.sum(torch::tensor(explained.log_p, torch::kDouble)).item<double>();
  return log_p / double(dataset.size(Split::kTrain));
}

void TreeMixture::derive() {
  trees_.clear();
  if (!started()) return;
  for (std::int64_t m = 0; m < M_; ++m)
    trees_.push_back({parent_[m], order_[m], p_[m]});
}

Tensor TreeMixture::log_joint(const Evidence& known) const {
  return trees::log_marginals(trees_, known) + weight_.log();
}

Tensor TreeMixture::log_marginal(const Evidence& known, bool) const {
  return log_joint(known).logsumexp(1);
}

Tensor TreeMixture::log_conditionals(const Evidence& known, bool) const {
  return trees::mean_conditionals(trees_, known, log_joint(known).softmax(1)).log();
}

Tensor TreeMixture::sample(const Evidence& known, Stream& stream) const {
  const auto below = log_joint(known).softmax(1).cumsum(1);
  const auto u = stream.uniform({known.rows(), 1}) * below.slice(1, -1);
  return trees::sample(trees_, known, (below <= u).sum(1), stream);
}

Tensor TreeMixture::log_greatest(const Tensor& partial) const {
  return trees::log_greatest(trees_, partial) + weight_.log();
}

Tensor TreeMixture::most_probable(const Tensor& partial) const {
  return trees::most_probable(trees_, partial, log_greatest(partial).argmax(1));
}

Tensor TreeMixture::max_bound(const Tensor& partial) const {
  return log_greatest(partial).logsumexp(1);
}

void TreeMixture::visit(StateVisitor& v) {
  v("model.weight", weight_);
  v("model.parent", parent_);
  v("model.order", order_);
  v("model.p", p_);
  derive();
}

}  // namespace marginalia::circuit
