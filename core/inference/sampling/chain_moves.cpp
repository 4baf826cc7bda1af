#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/family.h>
#include <marginalia/inference/chain_moves.h>
#include <marginalia/inference/conditioning.h>

namespace marginalia {
namespace {

// Changes to be expected in all chains since burn-in, below which a variable that has not changed
// cannot move: where chains disagree on its value, and where they agree, as on a value that is just
// very probable.
constexpr double kFewOfChainsApart = 1, kFewOfChainsAtOne = 1e-6;
constexpr std::int64_t kRowsAsked = 64;  // of an energy whose log f alone is known

/// p(x_i = another value | all others), summed over rows of x, by log f alone.
double chance_by_log_density(const Energy& energy, const Tensor& x, std::int64_t i) {
  const auto K = energy.space().cardinalities[std::size_t(i)];
  const auto rows = x.slice(0, 0, kRowsAsked);
  const auto here = energy.log_density(rows);
  auto others = torch::zeros_like(here);
  for (std::int64_t shift = 1; shift < K; ++shift) {
    auto y = rows.clone();
    y.select(1, i).add_(shift).remainder_(K);
    others += (energy.log_density(y) - here).exp();
  }
  const auto p = torch::where(others.isinf(), 1.0, others / (1 + others));
  return p.sum().item<double>() * double(x.size(0)) / double(rows.size(0));
}

/// The same of all variables: float64 [D].
Tensor chances(const LocalConditionals& local, const Tensor& x) {
  auto p = softmax_levels(local.logits(x).to(torch::kDouble));  // [B, D, K]
  return p.scatter(2, x.unsqueeze(2), 0.0).sum(2).sum(0);
}

std::string join_variables(const std::vector<std::int64_t>& variables) {
  constexpr std::size_t kNamed = 12;
  if (variables.size() == 1) return fmt::format("{}", variables[0]);
  const auto named = std::min(variables.size() - 1, kNamed);
  const auto first = fmt::format(
      "{}", fmt::join(variables.begin(), variables.begin() + std::ptrdiff_t(named), ", "));
  return named + 1 == variables.size()
             ? fmt::format("{} and {}", first, variables.back())
             : fmt::format("{} and {} more", first, variables.size() - named);
}

}  // namespace

void ChainMoves::add(const Tensor& moved, const Tensor& log_f, double sweeps) {
  const auto now = moved.logical_and(log_f.isfinite().unsqueeze(1)).any(0);
  moved_ = moved_.defined() ? moved_.logical_or(now) : now;
  const auto more = torch::full({}, sweeps, torch::kDouble);
  sweeps_ = sweeps_.defined() ? sweeps_ + more : more;
}

bool ChainMoves::all() const {
  return moved_.defined() && moved_.all().item<bool>();
}

std::vector<std::int64_t> ChainMoves::never_moved(const Support& support, const Tensor& states,
                                                  const Tensor& held) const {
  const auto& energy = support.energy();
  auto waiting = moved_.logical_not().logical_and(held == kUnknown);
  waiting.logical_and_(energy.space().possible().sum(1) > 1);
  if (!waiting.any().item<bool>()) return {};
  const auto values = support.values(held);
  if (values) waiting.logical_and_(values->sum(1) > 1);
  const auto x = states.index({energy.log_density(states).isfinite()});
  const auto local = energy.local();
  Tensor by_local;
  std::vector<std::int64_t> never;
  const auto candidates = waiting.nonzero();
  for (std::int64_t n = 0; n < candidates.size(0); ++n) {
    const auto i = candidates[n].item<std::int64_t>();
    const auto own = x.select(1, i);
    const bool apart = x.size(0) > 0 && (own != own[0]).any().item<bool>();
    // Where it cannot be told which values are allowed, several chains that agree stand for it.
    if (!values && !apart && x.size(0) != 1) continue;
    double chance = 0;
    if (x.size(0) > 0 && local) {
      if (!by_local.defined()) by_local = chances(*local, x);
      chance = by_local[i].item<double>();
    } else if (x.size(0) > 0) {
      chance = chance_by_log_density(energy, x, i);
    }
    const auto expected = chance * sweeps_.item<double>();
    if (expected < (apart ? kFewOfChainsApart : kFewOfChainsAtOne)) never.push_back(i);
  }
  return never;
}

void ChainMoves::visit(StateVisitor& visitor) {
  visitor("chain.moved", moved_);
  visitor("chain.sweeps", sweeps_);
}

std::string never_moved_text(const std::vector<std::int64_t>& variables) {
  if (variables.empty()) return "";
  const bool one = variables.size() == 1;
  return fmt::format("{} {} never moved: after burn-in no move of any chain changed {}, though "
                     "more than one value "
                     "is allowed, so that chains do not tell how probable those are",
                     one ? "variable" : "variables", join_variables(variables),
                     one ? "its value" : "their values");
}

std::string chains_text(const ChainMoves& moves, const Support& support, const Tensor& states,
                        const Tensor& held) {
  auto text = never_moved_text(moves.never_moved(support, states, held));
  const auto forbidden =
      (support.energy().log_density(states) == -INFINITY).sum().item<std::int64_t>();
  if (forbidden > 0)
    text += fmt::format("{}{} of {} chains never came to an allowed state",
                        text.empty() ? "" : "; ", forbidden, states.size(0));
  return text;
}

}  // namespace marginalia
