#include "samplers.h"

#include <cmath>
#include <optional>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/conditioning.h>
#include <marginalia/inference/elimination.h>
#include <marginalia/inference/factored_energy.h>
#include <marginalia/inference/gibbs.h>

#include "clusters.h"

namespace marginalia::mcmc {
namespace {

using namespace marginalia;

class Gibbs final : public Sampler {
 public:
  explicit Gibbs(const Energy& energy) : gibbs_(energy) {}
  bool clamps() const override { return true; }
  Swept sweep(const Tensor& x, const Tensor& free, std::int64_t sweeps,
              Stream& stream) const override {
    return swept(x, gibbs_.sweep(x, free, sweeps, stream, false).states);
  }

 private:
  GibbsSampler gibbs_;
};

/// Blocks whose variables share factors along trees alone, each block redrawn at once given all
/// others, exactly, by elimination: Hamze and de Freitas (2004), "From fields to trees",
/// arXiv:1207.4149. A 2-D lattice has two blocks, interlocked combs. Then come the blocks of
/// variables that forbidden entries tie, of which these may hold parts alone.
class BlockGibbs final : public Sampler {
 public:
  explicit BlockGibbs(const Energy& energy) : BlockGibbs(need_factors(energy), energy) {}
  bool clamps() const override { return true; }

  Swept sweep(const Tensor& given, const Tensor& free, std::int64_t sweeps,
              Stream& stream) const override {
    auto x = given.clone();
    for (std::int64_t sweep = 0; sweep < sweeps; ++sweep) {
      for (const auto& block : blocks_)
        redraw(block, x, free, stream);
      if (ties_.any()) x = ties_.redraw(x, free, stream);
    }
    return swept(given, x);
  }

 private:
  BlockGibbs(const FactorModel& model, const Energy& energy)
      : elimination_(model, energy.space()),
        gibbs_(energy),
        ties_(model, energy.space()),
        blocks_(forests(model)) {
    for (const auto& factor : model.factors)
      for (const auto value : factor.log_values)
        forbids_ = forbids_ || value == -INFINITY;
  }

  void redraw(const Tensor& block, Tensor& x, const Tensor& free, Stream& stream) const {
    const auto open = free.defined() ? free.logical_and(block) : block.expand_as(x);
    const auto partial = x.masked_fill(open, kUnknown);
    const auto possible = forbids_ ? elimination_.log_sum(partial).isfinite()
                                   : torch::ones({x.size(0)}, torch::kBool);
    const auto rows = possible.nonzero().squeeze(1);
    x.index_put_({rows}, elimination_.sample(partial.index_select(0, rows), stream));
    // From a forbidden start a block may have no state that goes with the others: such a row goes
    // variable by variable until it has.
    const auto stuck = possible.logical_not().nonzero().squeeze(1);
    if (stuck.numel() == 0) return;
    const auto held = free.defined() ? free.index_select(0, stuck) : Tensor();
    x.index_put_({stuck}, gibbs_.sweep(x.index_select(0, stuck), held, 1, stream, false).states);
  }

  static const FactorModel& need_factors(const Energy& energy) {
    const auto factors = energy.factors();
    if (!factors)
      throw SpecError(fmt::format("\"block_gibbs\" needs factors, but of {}: {}", energy.label(),
                                  factors.reason));
    return *factors;
  }

  /// Each variable goes to the first block in which it closes no cycle: bool [1, D] each.
  static std::vector<Tensor> forests(const FactorModel& model) {
    const auto D = model.cardinalities.size();
    const auto neighbours = find_neighbours(model);
    std::vector<std::vector<std::size_t>> parts;  // by block: a variable of the same tree; D: none
    for (std::size_t i = 0; i < D; ++i)
      for (std::size_t b = 0;; ++b) {
        if (b == parts.size()) parts.emplace_back(D, D);
        auto& part = parts[b];
        std::set<std::size_t> trees;
        bool closes = false;
        for (const auto j : neighbours[i]) {
          auto root = std::size_t(j);
          if (part[root] == D) continue;
          while (part[root] != root)
            root = part[root];
          closes = closes || !trees.insert(root).second;
        }
        if (closes) continue;
        part[i] = i;
        for (const auto root : trees)
          part[root] = i;
        break;
      }
    std::vector<Tensor> blocks;
    for (const auto& part : parts) {
      auto block = torch::zeros({1, std::int64_t(D)}, torch::kBool);
      for (std::size_t i = 0; i < D; ++i)
        block[0][std::int64_t(i)] = part[i] != D;
      blocks.push_back(block);
    }
    return blocks;
  }

  Elimination elimination_;
  GibbsSampler gibbs_;
  TiedBlocks ties_;
  std::vector<Tensor> blocks_;
  bool forbids_ = false;
};

/// Another value for one variable at a time, taken with probability min(1, f(x') / f(x)):
/// Metropolis et al. (1953), doi:10.1063/1.1699114. Asks for log f alone; where there are factors,
/// variables that forbidden entries tie are redrawn together after each sweep. From a forbidden
/// state every step is taken.
class Metropolis final : public Sampler {
 public:
  explicit Metropolis(const Energy& energy) : energy_(energy) {
    if (const auto factors = energy.factors()) ties_.emplace(*factors, energy.space());
  }
  bool clamps() const override { return true; }
  Swept sweep(const Tensor& given, const Tensor& free, std::int64_t sweeps,
              Stream& stream) const override {
    auto x = given.clone();
    const auto B = x.size(0), D = x.size(1);
    const auto cardinalities = torch::tensor(energy_.space().cardinalities);
    auto log_f = energy_.log_density(x);
    for (std::int64_t sweep = 0; sweep < sweeps; ++sweep) {
      const auto order = stream.permutations(1, D)[0];
      const auto u = stream.uniform({2, B, D});
      for (std::int64_t t = 0; t < D; ++t) {
        const auto i = order[t].item<std::int64_t>();
        const auto K = cardinalities[i].item<std::int64_t>();
        if (K == 1) continue;
        auto y = x.clone();
        const auto shift = 1 + (u[0].select(1, i) * double(K - 1)).floor().to(torch::kLong);
        y.select(1, i).copy_((x.select(1, i) + shift.clamp_max(K - 1)).remainder(K));
        const auto proposed = energy_.log_density(y);
        auto taken = (u[1].select(1, i).to(torch::kDouble).log() < proposed - log_f)
                         .logical_or(log_f == -INFINITY);
        if (free.defined()) taken = taken.logical_and(free.select(1, i));
        x = torch::where(taken.unsqueeze(1), y, x);
        log_f = torch::where(taken, proposed, log_f);
      }
      if (!ties_ || !ties_->any()) continue;
      x = ties_->redraw(x, free, stream);
      log_f = energy_.log_density(x);
    }
    return swept(given, x);
  }

 private:
  const Energy& energy_;
  std::optional<TiedBlocks> ties_;
};

class ClusterMoves final : public Sampler {
 public:
  ClusterMoves(const Energy& energy, bool wolff) : clusters_(need_pairs(energy), wolff) {}
  bool clamps() const override { return false; }
  Swept sweep(const Tensor& given, const Tensor&, std::int64_t sweeps,
              Stream& stream) const override {
    auto x = given.contiguous().clone();
    clusters_.run(x, sweeps, stream.seed());
    return swept(given, x);
  }

 private:
  static const PairwiseFactors& need_pairs(const Energy& energy) {
    const auto pairs = energy.pairwise();
    if (!pairs)
      throw SpecError(fmt::format("cluster moves need pairwise factors, but of {}: {}",
                                  energy.label(), pairs.reason));
    return *pairs;
  }
  Clusters clusters_;
};

/// log f times an inverse temperature.
class Tempered final : public FactoredEnergy {
 public:
  Tempered(FactorModel model, const StateSpace& space, double beta)
      : FactoredEnergy(scaled(std::move(model), beta), space, 0) {}
};

/// Gibbs sweeps at T inverse temperatures from 1 down, in geometric progression; after each sweep
/// replicas at neighbouring ones change places with probability
///   min(1, exp((b_a - b_b) (log f(x_b) - log f(x_a)))).
/// Geyer (1991); Hukushima and Nemoto (1996), doi:10.1143/JPSJ.65.1604.
class ParallelTempering final : public Sampler {
 public:
  ParallelTempering(const Energy& energy, const ParallelTemperingMoves& ladder) : energy_(energy) {
    const auto factors = energy.factors();
    if (!factors)
      throw SpecError(fmt::format("\"parallel_tempering\" needs factors, but of {}: {}",
                                  energy.label(), factors.reason));
    const auto T = ladder.temperatures;
    for (std::int64_t t = 0; t < T; ++t) {
      betas_.push_back(T == 1 ? 1 : std::pow(ladder.hottest, double(t) / double(T - 1)));
      energies_.push_back(std::make_unique<Tempered>(*factors, energy.space(), betas_.back()));
      gibbs_.push_back(std::make_unique<GibbsSampler>(*energies_.back()));
    }
  }
  std::int64_t replicas() const override { return std::int64_t(betas_.size()); }
  bool clamps() const override { return true; }

  Swept sweep(const Tensor& given, const Tensor& free, std::int64_t sweeps,
              Stream& stream) const override {
    auto x = given.clone();
    auto moved = torch::zeros_like(x, torch::kBool);
    const auto B = x.size(0) / replicas();
    const auto rows = [&](const Tensor& t, std::int64_t replica) {
      return t.slice(0, replica * B, (replica + 1) * B);
    };
    for (std::int64_t sweep = 0; sweep < sweeps; ++sweep) {
      const auto before = x.clone();
      for (std::int64_t t = 0; t < replicas(); ++t) {
        const auto held = free.defined() ? rows(free, t).contiguous() : Tensor();
        rows(x, t).copy_(
            gibbs_[std::size_t(t)]->sweep(rows(x, t).contiguous(), held, 1, stream, false).states);
      }
      moved.logical_or_(x != before);
      const auto log_f = energy_.log_density(x);
      for (auto t = sweep % 2; t + 1 < replicas(); t += 2) {
        const auto gap = betas_[std::size_t(t)] - betas_[std::size_t(t + 1)];
        const auto gain = gap * (rows(log_f, t + 1) - rows(log_f, t));
        const auto swap = (stream.uniform({B}).to(torch::kDouble).log() < gain).unsqueeze(1);
        const auto cold = rows(x, t).clone(), warm = rows(x, t + 1).clone();
        rows(x, t).copy_(torch::where(swap, warm, cold));
        rows(x, t + 1).copy_(torch::where(swap, cold, warm));
      }
    }
    return {x, moved};
  }

 private:
  const Energy& energy_;
  std::vector<double> betas_;
  std::vector<std::unique_ptr<Tempered>> energies_;
  std::vector<std::unique_ptr<GibbsSampler>> gibbs_;
};

bool is_ferromagnet(const Energy& energy) {
  try {
    const ClusterMoves possible(energy, false);
    return true;
  } catch (const SpecError&) {  // no pairs, or some that like unequal values
    return false;
  }
}

std::unique_ptr<Sampler> make(const GibbsMoves&, const Energy& energy) {
  return std::make_unique<Gibbs>(energy);
}
std::unique_ptr<Sampler> make(const BlockGibbsMoves&, const Energy& energy) {
  return std::make_unique<BlockGibbs>(energy);
}
std::unique_ptr<Sampler> make(const MetropolisMoves&, const Energy& energy) {
  return std::make_unique<Metropolis>(energy);
}
std::unique_ptr<Sampler> make(const SwendsenWangMoves&, const Energy& energy) {
  return std::make_unique<ClusterMoves>(energy, false);
}
std::unique_ptr<Sampler> make(const WolffMoves&, const Energy& energy) {
  return std::make_unique<ClusterMoves>(energy, true);
}
std::unique_ptr<Sampler> make(const ParallelTemperingMoves& moves, const Energy& energy) {
  return std::make_unique<ParallelTempering>(energy, moves);
}
std::unique_ptr<Sampler> make(const SuitedMoves& moves, const Energy& energy) {
  return make_sampler(settled(moves, energy), energy);
}

}  // namespace

Moves settled(const Moves& moves, const Energy& energy) {
  if (!std::holds_alternative<SuitedMoves>(moves)) return moves;
  if (is_ferromagnet(energy)) return SwendsenWangMoves{};
  if (energy.factors()) return ParallelTemperingMoves{};
  if (energy.local()) return GibbsMoves{};
  return MetropolisMoves{};
}

std::unique_ptr<Sampler> make_sampler(const Moves& moves, const Energy& energy) {
  return std::visit([&](const auto& chosen) { return make(chosen, energy); }, moves);
}

}  // namespace marginalia::mcmc
