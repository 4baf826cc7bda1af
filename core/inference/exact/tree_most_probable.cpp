#include <algorithm>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <marginalia/inference/tree.h>

namespace marginalia::trees {
namespace {

/// The most probable completion of a row: logs up with the value that is best under each of the
/// parent's, then those values down.
class MaxProduct {
 public:
  explicit MaxProduct(const Tree& tree)
      : D_(tree.p.size(0)),
        K_(tree.p.size(2)),
        parent_(tree.parent.data_ptr<std::int64_t>()),
        order_(tree.order.data_ptr<std::int64_t>()),
        log_p_(tree.p.log().contiguous()),
        below_(std::size_t(D_ * K_)),
        choice_(std::size_t(D_ * K_)) {}

  /// known: [D]  ->  log p of its most probable completion.
  double up(const std::int64_t* known) {
    std::fill(below_.begin(), below_.end(), 0.0);
    double log_p = 0;
    for (std::int64_t n = D_; n-- > 0;) {
      const auto i = order_[n];
      const auto above = parent_[i];
      const auto first = above < 0 || known[above] == kUnknown ? 0 : known[above];
      const auto last = above < 0 || known[above] != kUnknown ? first + 1 : K_;
      for (auto j = first; j < last; ++j) {
        const auto [choice, value] = choose(i, j, known[i]);
        choice_[std::size_t(i * K_ + j)] = choice;
        (above < 0 ? log_p : below_[std::size_t(above * K_ + j)]) += value;
      }
    }
    return log_p;
  }

  /// After up: that completion.  x: [D]
  void down(std::int64_t* x) const {
    for (std::int64_t n = 0; n < D_; ++n) {
      const auto i = order_[n];
      x[i] = choice_[std::size_t(i * K_ + (parent_[i] < 0 ? 0 : x[parent_[i]]))];
    }
  }

 private:
  /// The best value of i under value j of its parent, and what it and all below come to.
  std::pair<std::int64_t, double> choose(std::int64_t i, std::int64_t j, std::int64_t known) const {
    const auto* log_p = log_p_.data_ptr<double>() + (i * K_ + j) * K_;
    const auto value = [&](std::int64_t k) { return log_p[k] + below_[std::size_t(i * K_ + k)]; };
    if (known != kUnknown) return {known, value(known)};
    std::int64_t best = 0;
    for (std::int64_t k = 1; k < K_; ++k)
      if (value(k) > value(best)) best = k;
    return {best, value(best)};
  }

  std::int64_t D_, K_;
  const std::int64_t *parent_, *order_;
  Tensor log_p_;
  std::vector<double> below_;         // [D, K]: what i's children come to at value k
  std::vector<std::int64_t> choice_;  // [D, K]: of i under value j of its parent
};

/// Calls work(product, row) for every row, in parallel.
template <class Work>
void for_rows(const Tree& tree, std::int64_t rows, const Work& work) {
  at::parallel_for(0, rows, 16, [&](std::int64_t begin, std::int64_t end) {
    MaxProduct product(tree);
    for (auto row = begin; row < end; ++row)
      work(product, row);
  });
}

}  // namespace

Tensor most_probable(const Tree& tree, const Tensor& partial) {
  const auto D = tree.p.size(0);
  const auto known = partial.contiguous();
  auto out = torch::empty_like(known);
  for_rows(tree, known.size(0), [&](MaxProduct& product, std::int64_t row) {
    product.up(known.data_ptr<std::int64_t>() + row * D);
    product.down(out.data_ptr<std::int64_t>() + row * D);
  });
  return out;
}

Tensor log_greatest(const Tree& tree, const Tensor& partial) {
  const auto D = tree.p.size(0);
  const auto known = partial.contiguous();
  auto out = torch::empty({known.size(0)}, torch::kDouble);
  for_rows(tree, known.size(0), [&](MaxProduct& product, std::int64_t row) {
    out.data_ptr<double>()[row] = product.up(known.data_ptr<std::int64_t>() + row * D);
  });
  return out;
}

}  // namespace marginalia::trees
