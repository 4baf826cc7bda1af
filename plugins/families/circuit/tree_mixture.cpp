#include "tree_mixture.h"

#include <algorithm>

#include <torch/types.h>

#include "shared/trees/mixture.h"

namespace marginalia::circuit {

using namespace marginalia;

TreeMixture::TreeMixture(const StateSpace& space, std::int64_t components, double smoothing)
    : space_(space), M_(components), smoothing_(smoothing) {}

double TreeMixture::step(const Dataset& dataset, Stream& stream) {
  constexpr std::int64_t kRows = 8192;
  const auto N = dataset.size(Split::kTrain), K = space_.levels();
  std::vector<Tensor> rows, responsibility;
  double log_p = 0;
  for (std::int64_t at = 0; at < N; at += kRows) {
    rows.push_back(dataset.rows(Split::kTrain, torch::arange(at, std::min(at + kRows, N))));
    if (!started()) {
      // -log u / sum is Dirichlet(1, ..., 1)
      const auto u = -stream.uniform({rows.back().size(0), M_}).clamp_min(1e-7).log();
      responsibility.push_back(u / u.sum(1, true));
      continue;
    }
    const auto joint = log_joint(rows.back());
    log_p += joint.logsumexp(1).sum().item<double>();
    responsibility.push_back(joint.softmax(1));
  }
  std::vector<Tensor> weights, parents, orders, tables;
  for (std::int64_t m = 0; m < M_; ++m) {
    trees::Counts counts;
    double mass = 0;  // rows of this tree
    for (std::size_t n = 0; n < rows.size(); ++n) {
      const auto share = responsibility[n].select(1, m);
      trees::add(counts, rows[n], K, true, share);
      mass += share.sum().item<double>();
    }
    auto tree = trees::chow_liu(counts, space_, smoothing_);
    if (dataset.has_gaps()) {  // its tables by EM: gaps summed out, not left out
      auto pairs = torch::zeros_like(tree.p);
      for (std::size_t n = 0; n < rows.size(); ++n)
        pairs += trees::expected_pairs(tree, rows[n], responsibility[n].select(1, m));
      tree = trees::with_pairs(tree, pairs, space_, smoothing_);
    }
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
  return log_p / double(N);
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
