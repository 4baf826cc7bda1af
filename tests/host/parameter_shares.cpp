/// Optimisers of ranks that share moments out, against one that keeps them all.
#include <map>

#include <torch/types.h>

#include "host/training/optimizer.h"
#include "host/training/tensor_collector.h"
#include "ranks.h"

using namespace marginalia;

namespace {

Tensor wave(at::IntArrayRef shape, double phase, at::ScalarType dtype) {
  const auto count = c10::multiply_integers(shape);
  return (torch::arange(count, torch::kDouble) * 0.7 + phase).sin().to(dtype).view(shape);
}

/// Parameters in two groups that 2 and 3 ranks do not divide, one of them most of all. "columns" is
/// not contiguous.
std::vector<ParameterGroup> make_groups(at::ScalarType dtype) {
  std::vector<ParameterGroup> groups{
      {"first",
       {{"large", wave({301, 137}, 1, dtype)},
        {"small", wave({7}, 2, dtype)},
        {"one", wave({}, 3, dtype)}}},
      {"second", {{"columns", wave({13, 5}, 4, dtype).t()}, {"rare", wave({53}, 5, dtype)}}}};
  for (auto& group : groups)
    for (auto& [_, parameter] : group.parameters)
      parameter.requires_grad_();
  return groups;
}

/// Steps `begin` to `end`: of both groups, of the first, of the second. "rare" has a gradient in
/// every second step.
void move(Optimizer& optimizer, const std::vector<ParameterGroup>& groups, int begin, int end) {
  for (int step = begin; step < end; ++step) {
    const std::string group = std::array{"", "first", "second"}[std::size_t(step % 3)];
    for (const auto& [of, parameters] : groups)
      for (const auto& [name, parameter] : parameters)
        if ((group.empty() || group == of) && (name != "rare" || step % 2 == 0))
          Tensor(parameter).mutable_grad() =
              wave(parameter.sizes(), step + double(name.size()), parameter.scalar_type());
    optimizer.step(group, 1);
  }
}

/// Tensors that each rank, or one process, has at the end, by name.
using Tensors = std::map<std::string, Tensor>;

void add_parameters(Tensors& all, const std::vector<ParameterGroup>& groups) {
  for (const auto& group : groups)
    for (const auto& [name, parameter] : group.parameters)
      all[name] = parameter.detach().clone();
}

Tensors moments_of(Optimizer& optimizer) {
  TensorCollector collector;
  optimizer.visit(collector);
  return collector.tensors;
}

/// The largest difference; infinity where names or shapes differ.
double difference(const Tensors& a, const Tensors& b) {
  double most = a.size() == b.size() ? 0 : INFINITY;
  for (const auto& [name, tensor] : a) {
    if (!b.contains(name) || b.at(name).sizes() != tensor.sizes()) return INFINITY;
    most = std::max(most, (tensor - b.at(name)).abs().max().item<double>());
  }
  return most;
}

/// Puts kept tensors into an optimiser.
class Reader final : public StateVisitor {
 public:
  explicit Reader(const Tensors& kept) : kept_(kept) {}
  void operator()(const std::string& name, Tensor& tensor) override {
    tensor = kept_.contains(name) ? kept_.at(name).clone() : Tensor();
  }

 private:
  void parameter(const std::string&, Tensor&) override {}
  const Tensors& kept_;
};

struct Rule {
  const char* name;
  OptimizerParams params;
};

std::vector<Rule> rules() {
  OptimizerParams adam, adamw, sgd, plain;
  adam.weight_decay = adamw.weight_decay = sgd.weight_decay = 0.1;
  adam.learning_rate = adamw.learning_rate = sgd.learning_rate = 0.05;
  adam.factors = {{"second", 0.5}};
  adamw.type = "adamw";
  sgd.type = plain.type = "sgd";
  sgd.momentum = 0.9;
  std::vector<Rule> all{{"adam", adam}, {"adamw", adamw}, {"sgd", sgd}, {"plain sgd", plain}};
  for (auto& rule : all)
    rule.params.zero = 1;
  return all;
}

}  // namespace

TEST_SUITE_BEGIN("ranks" * doctest::skip(!why_no_ranks().empty()));

TEST_CASE("parameters and moments of ranks that share moments out are those of one process") {
  for (const auto& [name, params] : rules())
    for (const auto dtype : {torch::kFloat, torch::kDouble})
      for (const int size : {2, 3}) {
        CAPTURE(name);
        CAPTURE(dtype);
        CAPTURE(size);
        const auto one = make_groups(dtype);
        Optimizer alone(params, one);
        move(alone, one, 0, 12);
        auto expected = moments_of(alone);
        add_parameters(expected, one);
        std::vector<Tensors> learned(static_cast<std::size_t>(size));
        test::on_all_ranks(size, [&, &of = params](Communicator& ranks) {
          const auto groups = make_groups(dtype);
          Optimizer optimizer(of, groups, &ranks);
          move(optimizer, groups, 0, 5);
          optimizer.gather_moments();  // of a checkpoint, after which it goes on
          if (ranks.is_first()) moments_of(optimizer);
          move(optimizer, groups, 5, 12);
          optimizer.gather_moments();
          auto& own = learned[std::size_t(ranks.rank())];
          if (ranks.is_first()) own = moments_of(optimizer);
          add_parameters(own, groups);
        });
        CHECK(difference(learned[0], expected) == 0);
        Tensors parameters;
        add_parameters(parameters, one);
        for (int rank = 1; rank < size; ++rank)
          CHECK(difference(learned[std::size_t(rank)], parameters) == 0);
      }
}

TEST_CASE("ranks go on from moments that were put together, bit for bit") {
  const auto params = rules()[0].params;
  test::on_all_ranks(3, [&](Communicator& ranks) {
    const auto whole = make_groups(torch::kFloat), broken = make_groups(torch::kFloat);
    Optimizer unbroken(params, whole, &ranks);
    move(unbroken, whole, 0, 9);
    Tensors kept;
    {
      Optimizer first(params, broken);
      move(first, broken, 0, 5);
      kept = moments_of(first);
    }
    Optimizer second(params, broken, &ranks);
    Reader reader(kept);
    second.visit(reader);
    move(second, broken, 5, 9);
    Tensors a, b;
    add_parameters(a, whole);
    add_parameters(b, broken);
    if (difference(a, b) != 0) throw Error("they have come apart");
    if (second.bytes() != unbroken.bytes()) throw Error("they keep another share");
  });
}

TEST_CASE("each rank keeps its even share of the moments, though one parameter is most of all") {
  OptimizerParams params;
  params.zero = 1;
  for (const int size : {2, 3, 5}) {
    CAPTURE(size);
    const auto one = make_groups(torch::kFloat);
    Optimizer alone(params, one);
    move(alone, one, 0, 1);
    std::vector<std::int64_t> bytes(static_cast<std::size_t>(size));
    test::on_all_ranks(size, [&](Communicator& ranks) {
      const auto groups = make_groups(torch::kFloat);
      Optimizer optimizer(params, groups, &ranks);
      move(optimizer, groups, 0, 1);
      bytes[std::size_t(ranks.rank())] = optimizer.bytes();
    });
    for (const auto own : bytes)
      CHECK(double(own) == doctest::Approx(double(alone.bytes()) / size).epsilon(0.01));
  }
}

TEST_SUITE_END();

TEST_CASE("moments of another size than the parameter's are refused") {
  const auto groups = make_groups(torch::kFloat);
  Optimizer optimizer({}, groups);
  move(optimizer, groups, 0, 1);
  auto kept = moments_of(optimizer);
  kept["optimizer.small.mean"] = torch::zeros({4});
  Reader reader(kept);
  CHECK(test::refusal([&] { optimizer.visit(reader); }) ==
        "\"optimizer.small\" has moments of 4 elements, the parameter has 7");
}
