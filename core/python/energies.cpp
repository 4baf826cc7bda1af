#include "energies.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <pybind11/stl.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/factored_energy.h>

#include "arrays.h"
#include "held.h"

namespace marginalia::python {
namespace {

StateSpace space_of(const py::object& object) {
  StateSpace space{object.attr("cardinalities").cast<std::vector<std::int64_t>>(),
                   object.attr("shape").cast<std::vector<std::int64_t>>()};
  space.alphabet = object.attr("alphabet").cast<std::vector<std::string>>();
  return space;
}

/// A function as a density. Of what it offers as single changes it makes local conditionals: it is
/// one factor of all variables, which says something only where all others are known.
class FunctionEnergy final : public Energy, private LocalConditionals {
 public:
  explicit FunctionEnergy(const py::object& object)
      : name_(object.attr("name").cast<std::string>()),
        log_density_(object.attr("log_density")),
        local_(object.attr("local")),
        space_(space_of(object)),
        has_local_(!local_->is_none()),
        colours_(torch::arange(space_.dimension())) {}

  const StateSpace& space() const override { return space_; }
  Offer<LocalConditionals> local() const override {
    if (has_local_) return {this};
    return Offer<LocalConditionals>::none("the function offers no single changes (its \"local\")");
  }

 private:
  Tensor compute_log_density(const Tensor& x) const override {
    return ask(*log_density_, x, {x.size(0)}, "log f of each state");
  }
  Tensor logits(const Tensor& partial) const override {
    const auto D = space_.dimension(), K = space_.levels();
    const auto open = partial.eq(kUnknown);
    const auto unknown = open.sum(1);
    auto result = torch::zeros({partial.size(0), D, K}, torch::kDouble);
    const auto rows = (unknown <= 1).nonzero().flatten();
    if (rows.numel() > 0) {
      const auto x = partial.index_select(0, rows);
      const auto changes = single_changes(x);
      // Where one is unknown, only what the others say of it is said.
      const auto says = (unknown.index_select(0, rows) == 0).unsqueeze(1) | x.eq(kUnknown);
      result.index_copy_(0, rows, changes.masked_fill(~says.unsqueeze(2), 0));
    }
    return result.masked_fill_(~space_.possible(), -INFINITY).to(torch::kFloat);
  }
  Tensor known_part(const Tensor& partial) const override {
    auto result = torch::zeros({partial.size(0)}, torch::kDouble);
    const auto rows = partial.ne(kUnknown).all(1).nonzero().flatten();
    if (rows.numel() > 0)
      result.index_copy_(0, rows, compute_log_density(partial.index_select(0, rows)));
    return result;
  }
  const Tensor& colours() const override { return colours_; }

  Tensor single_changes(const Tensor& x) const;
  Tensor ask(const py::object& function, const Tensor& x, const std::vector<std::int64_t>& shape,
             const char* what) const;

  std::string name_;
  Held log_density_, local_;
  StateSpace space_;
  bool has_local_;
  Tensor colours_;
};

/// What `local` says, less its largest value of each variable: log f itself may be too large for
/// the float32 of conditionals.  x: int64 [B, D], at most one unknown a row  ->  float64 [B, D, K].
Tensor FunctionEnergy::single_changes(const Tensor& x) const {
  const auto state = x.clamp_min(0);
  const auto D = x.size(1);
  const auto log_f =
      ask(*local_, state, {x.size(0), D, space_.levels()}, "log f at every single change")
          .masked_fill(~space_.possible(), -INFINITY);
  if (log_f.isnan().any().item<bool>() || log_f.eq(INFINITY).any().item<bool>())
    throw EnergyFailure(fmt::format("\"local\" of the function \"{}\" holds nan or +inf", name_));
  const auto unchanged = log_f.gather(2, state.unsqueeze(2)).squeeze(2);
  const auto first = unchanged.slice(1, 0, 1);
  const auto same = unchanged.eq(first) | (unchanged - first).abs().le(1e-6 * (1 + first.abs()));
  if (!same.all().item<bool>())
    throw EnergyFailure(fmt::format("\"local\" of the function \"{}\" must be log f(x) wherever "
                                    "nothing changes, [b, i, x_i] for every i",
                                    name_));
  const auto largest = log_f.amax(2, true);
  return log_f - largest.masked_fill(largest.eq(-INFINITY), 0);
}

std::string shown(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const auto n : shape)
    text += (text.empty() ? "" : ", ") + std::to_string(n);
  return shape.size() == 1 ? text + " numbers" : "an array [" + text + "]";
}

Tensor FunctionEnergy::ask(const py::object& function, const Tensor& x,
                           const std::vector<std::int64_t>& shape, const char* what) const {
  const py::gil_scoped_acquire held;
  py::object returned;
  try {
    returned = call_kept(function, as_own_array(x));
  } catch (const py::error_already_set& e) {
    throw EnergyFailure(fmt::format("the function \"{}\" failed: {}", name_, e.what()));
  }
  const auto values = Numbers::ensure(returned);
  const bool fits = values && std::equal(shape.begin(), shape.end(), values.shape(),
                                         values.shape() + values.ndim());
  if (!fits) {
    PyErr_Clear();
    throw EnergyFailure(fmt::format("the function \"{}\" must return {}, {}, not {}", name_,
                                    shown(shape), what,
                                    py::repr(returned).cast<std::string>().substr(0, 80)));
  }
  auto result = torch::empty(shape, torch::kDouble);
  std::copy(values.data(), values.data() + values.size(), result.data_ptr<double>());
  return result.to(x.device());
}

/// Factors as a density.
class StructuredEnergy final : public FactoredEnergy {
 public:
  StructuredEnergy(FactorModel model, StateSpace space, double memory)
      : FactoredEnergy(std::move(model), std::move(space), memory) {}
};

FactorModel model_of(const py::object& object) {
  FactorModel model{object.attr("cardinalities").cast<std::vector<std::int64_t>>(), {}};
  for (const auto& one : object.attr("factors")) {
    const auto [scope, table] = one.cast<std::pair<Levels, Numbers>>();
    model.factors.push_back(
        {{scope.data(), scope.data() + scope.size()}, {table.data(), table.data() + table.size()}});
  }
  return model;
}

}  // namespace

std::shared_ptr<Energy> make_energy(const py::object& object) {
  if (py::hasattr(object, "factors"))
    return std::make_shared<StructuredEnergy>(model_of(object), space_of(object),
                                              object.attr("memory").cast<double>());
  return std::make_shared<FunctionEnergy>(object);
}

}  // namespace marginalia::python
