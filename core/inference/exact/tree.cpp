#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <marginalia/inference/tree.h>

namespace marginalia::trees {

namespace {

Tensor list_cardinalities(const StateSpace& space) {
  return torch::tensor(space.cardinalities, torch::kDouble);
}

/// 1 / K_i of the values that x_i can take, else 0: float64 [D, K].
Tensor uniform_shares(const StateSpace& space) {
  return space.possible().to(torch::kDouble) / list_cardinalities(space).unsqueeze(1);
}

/// p(x_i = k), zero where impossible: float64 [D, K].
Tensor singles(const Counts& counts, const StateSpace& space, double a) {
  return (counts.single + a * uniform_shares(space)) / (counts.single.sum(1, true) + a);
}

/// A tree as plain arrays, and what one row's messages need.
class Messages {
 public:
  explicit Messages(const Tree& tree)
      : D_(tree.p.size(0)),
        K_(tree.p.size(2)),
        parent_(tree.parent.data_ptr<std::int64_t>()),
        order_(tree.order.data_ptr<std::int64_t>()),
        p_(tree.p.data_ptr<double>()),
        log_evidence_(std::size_t(D_ * K_)),
        evidence_(std::size_t(D_ * K_)),
        message_(std::size_t(D_ * K_)) {}

  /// From the leaves: evidence_i(k) = p(what is known below i | x_i = k), up to a factor. Products
  /// over children are sums of logs: many that disagree would take every value to 0.
  /// allowed: [D, K], as of Evidence, or null.  -> log p(x_S, A).
  double up(const std::int64_t* x, const double* allowed = nullptr) {
    for (std::int64_t i = 0; i < D_; ++i)
      for (std::int64_t k = 0; k < K_; ++k) {
        const bool unknown = x[i] == kUnknown;
        log_evidence(i)[k] = unknown && allowed     ? std::log(allowed[i * K_ + k])
                             : unknown || x[i] == k ? 0
                                                    : -INFINITY;
      }
    double log_scale = 0;
    for (std::int64_t n = D_; n-- > 0;) {
      const auto i = order_[n];
      const auto top = *std::max_element(log_evidence(i), log_evidence(i) + K_);
      if (top == -INFINITY) return top;
      log_scale += top;
      for (std::int64_t k = 0; k < K_; ++k)
        evidence(i)[k] = std::exp(log_evidence(i)[k] - top);
      double largest = 0;
      for (std::int64_t j = 0; j < K_; ++j) {
        double sum = 0;
        for (std::int64_t k = 0; k < K_; ++k)
          sum += p(i, j)[k] * evidence(i)[k];
        message(i)[j] = sum;
        largest = std::max(largest, sum);
      }
      if (parent_[i] < 0) {
        log_scale += std::log(message(i)[0]);
        continue;
      }
      if (largest == 0) return -INFINITY;
      log_scale += std::log(largest);
      for (std::int64_t j = 0; j < K_; ++j) {
        message(i)[j] /= largest;
        log_evidence(parent_[i])[j] += std::log(message(i)[j]);
      }
      for (std::int64_t k = 0; k < K_; ++k)
        evidence(i)[k] /= largest;  // so that message = sum_k p evidence stays true
    }
    return log_scale;
  }

  /// After up(): p(x_i = k | x_S) of every i, [D, K].
  void down(double* belief) const {
    for (std::int64_t n = 0; n < D_; ++n) {
      const auto i = order_[n];
      auto* b = belief + i * K_;
      const auto* above = parent_[i] < 0 ? nullptr : belief + parent_[i] * K_;
      std::fill(b, b + K_, 0.0);
      for (std::int64_t j = 0; j < (above ? K_ : 1); ++j) {
        const double weight = above ? above[j] : 1;
        if (weight == 0 || message(i)[j] == 0) continue;
        for (std::int64_t k = 0; k < K_; ++k)
          b[k] += weight * p(i, j)[k] * evidence(i)[k] / message(i)[j];
      }
    }
  }

  /// After up() and down(): adds `weight` times p(x_parent(i) = j, x_i = k | x_S), [D, K, K].
  void add_pairs(const double* belief, double weight, double* pairs) const {
    for (std::int64_t i = 0; i < D_; ++i) {
      const auto* above = parent_[i] < 0 ? nullptr : belief + parent_[i] * K_;
      for (std::int64_t j = 0; j < (above ? K_ : 1); ++j) {
        const double share = weight * (above ? above[j] : 1);
        if (share == 0 || message(i)[j] == 0) continue;
        for (std::int64_t k = 0; k < K_; ++k)
          pairs[(i * K_ + j) * K_ + k] += share * p(i, j)[k] * evidence(i)[k] / message(i)[j];
      }
    }
  }

  /// After up(): a draw; u uniform [D].
  void draw(const float* u, std::int64_t* x) const {
    for (std::int64_t n = 0; n < D_; ++n) {
      const auto i = order_[n], j = parent_[i] < 0 ? 0 : x[parent_[i]];
      double left = double(u[i]) * message(i)[j];
      std::int64_t chosen = -1;
      for (std::int64_t k = 0; k < K_ && (chosen < 0 || left >= 0); ++k) {
        const double share = p(i, j)[k] * evidence(i)[k];
        if (share > 0) chosen = k;
        left -= share;
      }
      x[i] = chosen;
    }
  }

 private:
  const double* p(std::int64_t i, std::int64_t j) const { return p_ + (i * K_ + j) * K_; }
  double* log_evidence(std::int64_t i) { return log_evidence_.data() + i * K_; }
  double* evidence(std::int64_t i) { return evidence_.data() + i * K_; }
  const double* evidence(std::int64_t i) const { return evidence_.data() + i * K_; }
  double* message(std::int64_t i) { return message_.data() + i * K_; }
  const double* message(std::int64_t i) const { return message_.data() + i * K_; }

  std::int64_t D_, K_;
  const std::int64_t *parent_, *order_;
  const double* p_;
  std::vector<double> log_evidence_, evidence_, message_;
};

/// Calls work(messages, row) for every row after its messages went up, on all threads.
/// log_p: float64 [B], what up() says of each row.
template <class Work>
void for_each_row(const Tree& tree, const Evidence& known, const Tensor& log_p, const Work& work) {
  const bool repeated = known.repeats_one();
  const auto rows = known.once();
  const auto x = rows.partial.contiguous();
  const auto allowed = rows.allowed.defined() ? rows.allowed.contiguous() : Tensor();
  const auto D = x.size(1), K = tree.p.size(2);
  const auto up = [&](Messages& messages, std::int64_t row) {
    return messages.up(x.data_ptr<std::int64_t>() + row * D,
                       allowed.defined() ? allowed.data_ptr<double>() + row * D * K : nullptr);
  };
  at::parallel_for(0, known.rows(), 16, [&](std::int64_t begin, std::int64_t end) {
    Messages messages(tree);
    double log_p_row = 0;
    for (auto row = begin; row < end; ++row) {
      if (!repeated || row == begin) log_p_row = up(messages, repeated ? 0 : row);
      log_p.data_ptr<double>()[row] = log_p_row;
      work(messages, row);
    }
  });
}

/// sum_kl p(k, l) log(p(k, l) / p(k) p(l)) of every pair: float64 [D, D].
Tensor mutual_information(const Tensor& joint, const Tensor& single) {
  const auto product = single.unsqueeze(2).unsqueeze(3) * single;  // [D, K, D, K]
  return torch::where(joint > 0, joint * (joint / product).log(), torch::zeros_like(joint))
      .sum({1, 3});
}

/// Prim's algorithm from variable 0.
void span(const Tensor& weight, Tree& tree) {
  const auto D = weight.size(0);
  const auto w = weight.accessor<double, 2>();
  tree.parent = torch::full({D}, -1, torch::kLong);
  tree.order = torch::zeros({D}, torch::kLong);
  auto* parent = tree.parent.data_ptr<std::int64_t>();
  auto* order = tree.order.data_ptr<std::int64_t>();
  std::vector<double> best(std::size_t(D), -1);
  std::vector<bool> in(std::size_t(D), false);
  for (std::int64_t n = 0, next = 0; n < D; ++n) {
    order[n] = next;
    in[std::size_t(next)] = true;
    std::int64_t choice = -1;
    for (std::int64_t i = 0; i < D; ++i) {
      if (in[std::size_t(i)]) continue;
      if (w[next][i] > best[std::size_t(i)]) {
        best[std::size_t(i)] = w[next][i];
        parent[i] = next;
      }
      if (choice < 0 || best[std::size_t(i)] > best[std::size_t(choice)]) choice = i;
    }
    next = choice;
  }
}

}  // namespace

void add(Counts& counts, const Tensor& x, std::int64_t levels, bool pairs, const Tensor& weight) {
  const auto D = x.size(1);
  const auto one_hot =
      (x.unsqueeze(2) == torch::arange(levels)).to(torch::kFloat).view({x.size(0), D * levels});
  const auto weighted =
      weight.defined() ? one_hot * weight.to(torch::kFloat).unsqueeze(1) : one_hot;
  const auto single = weighted.sum(0).to(torch::kDouble).view({D, levels});
  counts.rows += single[0].sum().item<double>();  // what the root's frequencies add up to
  counts.single = counts.single.defined() ? counts.single + single : single;
  if (!pairs) return;
  // Whole numbers below 2^24 are exact in float32.
  const auto joint = weighted.t().mm(one_hot).to(torch::kDouble).view({D, levels, D, levels});
  counts.pairs = counts.pairs.defined() ? counts.pairs.add_(joint) : joint;
}

static constexpr std::int64_t kRowsAtOnce = 8192;  // of the training split

Counts count_values(const Dataset& dataset, bool pairs) {
  Counts counts;
  for (const auto& at : torch::arange(dataset.size(Split::kTrain)).split(kRowsAtOnce))
    add(counts, dataset.rows(Split::kTrain, at), dataset.space().levels(), pairs);
  return counts;
}

Tree independent(const Counts& counts, const StateSpace& space, double a) {
  const auto p = singles(counts, space, a);
  const auto D = p.size(0), K = p.size(1);
  return {torch::full({D}, -1, torch::kLong), torch::arange(D),
          p.unsqueeze(1).expand({D, K, K}).contiguous()};
}

Tree chow_liu(const Counts& counts, const StateSpace& space, double a) {
  const auto single = singles(counts, space, a);
  const auto D = single.size(0);
  const auto share = uniform_shares(space);
  const auto joint = (counts.pairs + a * share.unsqueeze(2).unsqueeze(3) * share) /
                     (counts.pairs.sum({1, 3}, true) + a);  // [D, K, D, K]
  Tree tree;
  span(mutual_information(joint, single), tree);
  tree.p = single.unsqueeze(1).expand({D, single.size(1), single.size(1)}).contiguous();
  for (std::int64_t i = 0; i < D; ++i) {
    const auto above = tree.parent[i].item<std::int64_t>();
    if (above < 0) continue;
    const auto pair = joint.select(0, above).select(1, i);  // [K parent, K]
    const auto sum = pair.sum(1, true);
    tree.p[i] = torch::where(sum > 0, pair / sum, torch::zeros_like(pair));
  }
  return tree;
}

Tensor expected_pairs(const Tree& tree, const Tensor& partial, const Tensor& weight) {
  const auto D = tree.p.size(0), K = tree.p.size(2), B = partial.size(0);
  const auto x = partial.contiguous();
  const auto w =
      weight.defined() ? weight.to(torch::kDouble).contiguous() : torch::ones({B}, torch::kDouble);
  constexpr std::int64_t kRows = 512;  // of one sum, so that sums do not depend on the threads
  const auto parts = (B + kRows - 1) / kRows;
  auto sums = torch::zeros({std::max<std::int64_t>(parts, 1), D, K, K}, torch::kDouble);
  at::parallel_for(0, parts, 1, [&](std::int64_t begin, std::int64_t end) {
    Messages messages(tree);
    std::vector<double> belief(static_cast<std::size_t>(D * K));
    for (auto part = begin; part < end; ++part)
      for (auto row = part * kRows; row < std::min(B, (part + 1) * kRows); ++row) {
        if (messages.up(x.data_ptr<std::int64_t>() + row * D) == -INFINITY) continue;
        messages.down(belief.data());
        messages.add_pairs(belief.data(), w.data_ptr<double>()[row],
                           sums.data_ptr<double>() + part * D * K * K);
      }
  });
  return sums.sum(0);
}

Tree with_pairs(const Tree& tree, const Tensor& pairs, const StateSpace& space, double a) {
  const auto share = uniform_shares(space);
  auto p = torch::empty_like(tree.p);
  for (std::int64_t i = 0; i < p.size(0); ++i) {
    const auto above = tree.parent[i].item<std::int64_t>();
    const auto of_parent = above < 0 ? torch::ones({1}, torch::kDouble) : share[above];
    const auto rows = above < 0 ? pairs[i].slice(0, 0, 1) : pairs[i];
    const auto smoothed = rows + a * of_parent.unsqueeze(1) * share[i];
    const auto sum = smoothed.sum(1, true);
    p[i] = torch::where(sum > 0, smoothed / sum, torch::zeros_like(smoothed));
  }
  return {tree.parent, tree.order, p};
}

Tree improved(const Tree& tree, const Dataset& dataset, double a) {
  auto pairs = torch::zeros_like(tree.p);
  for (const auto& at : torch::arange(dataset.size(Split::kTrain)).split(kRowsAtOnce))
    pairs += expected_pairs(tree, dataset.rows(Split::kTrain, at));
  return with_pairs(tree, pairs, dataset.space(), a);
}

Tensor log_marginal(const Tree& tree, const Evidence& known) {
  auto log_p = torch::empty({known.rows()}, torch::kDouble);
  for_each_row(tree, known, log_p, [](Messages&, std::int64_t) {});
  return log_p;
}

Tensor log_conditionals(const Tree& tree, const Evidence& known) {
  const auto B = known.rows(), D = tree.p.size(0), K = tree.p.size(2);
  auto log_p = torch::empty({B}, torch::kDouble), out = torch::empty({B, D, K}, torch::kDouble);
  for_each_row(tree, known, log_p, [&](Messages& messages, std::int64_t row) {
    messages.down(out.data_ptr<double>() + row * D * K);
  });
  return out.log();
}

Tensor sample(const Tree& tree, const Evidence& known, Stream& stream) {
  const auto B = known.rows(), D = tree.p.size(0);
  const auto u = stream.uniform({B, D});
  auto log_p = torch::empty({B}, torch::kDouble);
  auto out = torch::empty({B, D}, torch::kLong);
  for_each_row(tree, known, log_p, [&](Messages& messages, std::int64_t row) {
    messages.draw(u.data_ptr<float>() + row * D, out.data_ptr<std::int64_t>() + row * D);
  });
  return out;
}

}  // namespace marginalia::trees
