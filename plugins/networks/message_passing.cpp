/// \file
/// Messages between neighbours in the energy's factor graph, on top of what its prior says.
///
///   h_i = T_i[x_i] + p_i W_p                          x_i in {unknown, 0, ..., K-1}    [B, C]
///   m_i = sum over e = (j -> i) of a_e * (relu(h_j) W_m)                     `depth` times:
///   h_i += relu(m_i + relu(h_i) W_s + b_i) W_o
///   logits_i   = prior logits_i + relu(h_i) V_i + c_i
///   log f(x_S) = prior log f(x_S) + sum_i u_i (relu(h_i) . v_i + d_i)
///
/// i and j are neighbours where a factor holds both; p_i is the prior's p(x_i | x_S), u_i 1 where
/// the prior may be wrong (prior.h). Tables T_i, gains a_e [C] and heads belong to one variable or
/// edge, since the graph is one; matrices W are shared. Heads start at zero: training starts from
/// the prior. B batch, D variables, K levels, C channels.
/// Source: Gilmer et al. (2017), arXiv:1704.01212; for graphical models Yoon et al. (2018),
/// arXiv:1803.07710, and Satorras and Welling (2021), arXiv:2003.01998.
#include <cmath>
#include <set>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/inference/prior.h>
#include <marginalia/kernel.h>
#include <marginalia/network.h>
#include <marginalia/plugin.h>

namespace {

using namespace marginalia;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// Directed edges sorted by target: those into i are first[i] .. first[i + 1] - 1. Each has its
/// opposite, so that the edges out of i are the opposites of those into it.
struct Graph {
  Tensor source, opposite;  // int64 [E]
  Tensor first;             // int64 [D + 1]
};

/// Neighbours share a factor.
Graph build_graph(const Energy& energy) {
  std::set<std::pair<std::int64_t, std::int64_t>> edges;  // (target, source)
  const auto join = [&](std::int64_t i, std::int64_t j) {
    if (i != j) edges.insert({{i, j}, {j, i}});
  };
  if (const auto model = energy.factors()) {
    for (const auto& factor : model->factors)
      for (const auto i : factor.scope)
        for (const auto j : factor.scope)
          join(i, j);
  } else if (const auto pairs = energy.pairwise()) {
    const auto ends = pairs->edges.accessor<std::int64_t, 2>();
    for (std::int64_t e = 0; e < ends.size(0); ++e)
      join(ends[e][0], ends[e][1]);
  } else {
    throw SpecError("works along the factors of an energy, but of " + energy.label() + ": " +
                    model.reason);
  }
  std::vector<std::int64_t> source, opposite, first(std::size_t(energy.space().dimension()) + 1);
  for (const auto& [i, j] : edges) {
    source.push_back(j);
    opposite.push_back(std::distance(edges.begin(), edges.find({j, i})));
    ++first[std::size_t(i) + 1];
  }
  for (std::size_t i = 1; i < first.size(); ++i)
    first[i] += first[i - 1];
  return {torch::tensor(source, torch::kLong), torch::tensor(opposite, torch::kLong),
          torch::tensor(first, torch::kLong)};
}

bool has_kernel(const Tensor& x) {
  return x.is_cpu() && x.scalar_type() == torch::kFloat;
}

/// out += a * x, for the B rows of C numbers of one edge.
MARGINALIA_KERNEL void add_scaled(float* out, const float* x, const float* a, std::int64_t B,
                                  std::int64_t C) {
  for (std::int64_t b = 0; b < B; ++b)
    for (std::int64_t c = 0; c < C; ++c)
      out[b * C + c] += a[c] * x[b * C + c];
}

/// out[c] = sum_b x[b, c] y[b, c]
MARGINALIA_KERNEL void add_products(float* out, const float* x, const float* y, std::int64_t B,
                                    std::int64_t C) {
  for (std::int64_t b = 0; b < B; ++b)
    for (std::int64_t c = 0; c < C; ++c)
      out[c] += x[b * C + c] * y[b * C + c];
}

/// out_i = sum over edges e into i of a_e * x_source(e).  x [D, B, C], gains a [E, C]
/// ->  [D, B, C], on a CPU in float32 without the messages themselves in memory. `along` picks each
/// edge's gain: the edge itself, or its opposite for the transposed sum.
Tensor gathered(const Tensor& x, const Tensor& gains, const Graph& graph, bool transposed) {
  if (!has_kernel(x)) {
    const auto source = graph.source.to(x.device());
    const auto a = transposed ? gains.index_select(0, graph.opposite.to(x.device())) : gains;
    const auto degree = (graph.first.slice(0, 1) - graph.first.slice(0, 0, -1)).to(x.device());
    const auto target = torch::arange(x.size(0), source.options()).repeat_interleave(degree);
    return torch::zeros_like(x).index_add_(0, target, x.index_select(0, source) * a.unsqueeze(1));
  }
  const auto D = x.size(0), B = x.size(1), C = x.size(2);
  const auto out = torch::zeros_like(x);
  const auto *source = graph.source.data_ptr<std::int64_t>(),
             *opposite = graph.opposite.data_ptr<std::int64_t>(),
             *first = graph.first.data_ptr<std::int64_t>();
  const auto *values = x.data_ptr<float>(), *a = gains.data_ptr<float>();
  auto* sums = out.data_ptr<float>();
  at::parallel_for(0, D, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i)
      for (auto e = first[i]; e < first[i + 1]; ++e)
        add_scaled(sums + i * B * C, values + source[e] * B * C,
                   a + (transposed ? opposite[e] : e) * C, B, C);
  });
  return out;
}

/// The gradient by the gains: d a_e = sum_b g_target(e) * x_source(e).  ->  [E, C]
Tensor gain_gradient(const Tensor& x, const Tensor& g, const Tensor& gains, const Graph& graph) {
  if (!has_kernel(x)) {
    const auto source = graph.source.to(x.device());
    const auto degree = (graph.first.slice(0, 1) - graph.first.slice(0, 0, -1)).to(x.device());
    const auto target = torch::arange(x.size(0), source.options()).repeat_interleave(degree);
    return (x.index_select(0, source) * g.index_select(0, target)).sum(1);
  }
  const auto D = x.size(0), B = x.size(1), C = x.size(2);
  const auto out = torch::zeros_like(gains);
  const auto *source = graph.source.data_ptr<std::int64_t>(),
             *first = graph.first.data_ptr<std::int64_t>();
  const auto *values = x.data_ptr<float>(), *gradient = g.data_ptr<float>();
  auto* sums = out.data_ptr<float>();
  at::parallel_for(0, D, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i)
      for (auto e = first[i]; e < first[i + 1]; ++e)
        add_products(sums + e * C, values + source[e] * B * C, gradient + i * B * C, B, C);
  });
  return out;
}

/// `gathered` as a node of autograd: its gradient by x is the transposed sum.
struct Propagate : torch::autograd::Function<Propagate> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& gains,
                        const Graph& graph) {
    context->save_for_backward({x, gains, graph.source, graph.opposite, graph.first});
    return gathered(x.contiguous(), gains.detach(), graph, false);
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const Graph graph{saved[2], saved[3], saved[4]};
    const auto g = gradients[0].contiguous();
    return {gathered(g, saved[1], graph, true),
            gain_gradient(saved[0].contiguous(), g, saved[1], graph), Tensor()};
  }
};

class MessagePassing final : public Network {
 public:
  static constexpr const char* kName = "message_passing";
  static constexpr const char* kSummary =
      "learned messages along the energy's factors, correcting its prior";
  static constexpr const char* kFormula =
      "h_i += relu(sum_(j->i) a_ji relu(h_j) W_m + relu(h_i) W_s + b_i) W_o,  logits_i = prior_i + "
      "relu(h_i) V_i";
  static constexpr const char* kSource =
      "Gilmer et al. (2017), arXiv:1704.01212; Yoon et al. (2018), arXiv:1803.07710";
  static constexpr const char* kExample = R"({"channels": 8, "depth": 1})";

  struct Params {
    std::int64_t channels = 32, depth = 4, rounds = 6;
    std::string prior = "none";
    void visit(ParamVisitor& p) {
      p("channels", channels, {.doc = "C, features of a variable", .min = 1});
      p("depth", depth, {.doc = "how often messages are passed", .min = 1});
      p("prior", prior,
        {.doc = "what the energy says before learning (prior.h)",
         .one_of = {"none", "local", "belief_propagation"}});
      p("rounds", rounds, {.doc = "of belief propagation", .min = 1});
    }
  };

  MessagePassing(const Params& params, const NetworkContext& context)
      : Network(context), levels_(context.space.levels()) {
    if (!context.energy)
      throw SpecError("works along the factors of an \"energy\"; the spec has none");
    graph_ = build_graph(*context.energy);
    if (params.prior != "none") prior_ = make_prior(context, params.prior, params.rounds);
    const auto D = context.space.dimension(), C = params.channels, E = graph_.source.size(0);
    const auto normal = [](at::IntArrayRef shape, double spread) {
      return torch::randn(shape) * spread;
    };
    const auto fan = std::sqrt(2.0 / double(C));  // He et al. (2015)
    const auto degree = std::sqrt(double(D) / double(std::max<std::int64_t>(E, D)));
    table_ = register_parameter("table", normal({D * (levels_ + 1), C}, 1));
    if (prior_) from_prior_ = register_parameter("from_prior", normal({levels_, C}, 1));
    for (std::int64_t l = 0; l < params.depth; ++l) {
      const auto name = "layer" + std::to_string(l) + "_";
      layers_.push_back({
          register_parameter(name + "gain", degree * (1 + normal({E, C}, 0.5))),
          register_parameter(name + "bias", torch::zeros({D, 1, C})),
          register_parameter(name + "message", normal({C, C}, fan)),
          register_parameter(name + "self", normal({C, C}, fan)),
          register_parameter(name + "out", normal({C, C}, 0.5 * fan)),
      });
    }
    head_ = register_parameter("head", torch::zeros({D, C, levels_}));
    head_bias_ = register_parameter("head_bias", torch::zeros({D, 1, levels_}));
    marginal_ = register_parameter("marginal", torch::zeros({D, 1, C}));
    marginal_bias_ = register_parameter("marginal_bias", torch::zeros({D, 1}));
  }

  HeadSet heads() const override { return kLogMarginal | kLogits; }

 private:
  struct Layer {
    Tensor gain, bias, message, self, out;
  };

  /// partial int64 [B, D]  ->  [D, B, C]
  Tensor features(const Tensor& partial, const Prior& prior) const {
    const auto B = partial.size(0), D = partial.size(1);
    const auto x = partial.t();
    const auto at = torch::arange(D, x.options()).unsqueeze(1) * (levels_ + 1) + x + 1;  // [D, B]
    auto h = table_.index_select(0, at.flatten()).view({D, B, -1});
    if (!prior_) return h;
    const auto unknown = (partial == kUnknown).unsqueeze(2);
    const auto p = torch::where(unknown, softmax_levels(prior.logits), 0.0F).transpose(0, 1);
    return h + torch::matmul(p.to(h.scalar_type()), from_prior_);
  }

  Heads compute(const NetworkInput& input, HeadSet wanted) override {
    const auto prior = prior_ ? prior_->of(input.partial, wanted) : Prior{};
    auto h = features(input.partial, prior);
    for (const auto& layer : layers_) {
      const auto y = h.relu();
      const auto m = Propagate::apply(torch::matmul(y, layer.message), layer.gain, graph_);
      h = h + torch::matmul((m + torch::matmul(y, layer.self) + layer.bias).relu(), layer.out);
    }
    h = h.relu();
    Heads out;
    if (wanted & kLogits) {
      const auto learned = (torch::bmm(h, head_) + head_bias_).transpose(0, 1);  // [B, D, K]
      out.logits = prior_ ? prior.logits + learned : learned.contiguous();
    }
    if (wanted & kLogMarginal) {
      const auto site = ((h * marginal_).sum(2) + marginal_bias_).t();  // [B, D]
      out.log_marginal =
          prior_ ? prior.log_marginal + (site * prior.uncertain).sum(1) : site.sum(1);
    }
    return out;
  }

  std::int64_t levels_;
  Graph graph_;
  std::unique_ptr<PriorSource> prior_;  // null: none
  Tensor table_, from_prior_, head_, head_bias_, marginal_, marginal_bias_;
  std::vector<Layer> layers_;
};

}  // namespace
MARGINALIA_PLUGIN(MessagePassing);
