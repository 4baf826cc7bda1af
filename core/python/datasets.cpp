#include "datasets.h"

#include <array>
#include <string>
#include <vector>

#include <pybind11/stl.h>
#include <torch/types.h>

#include "arrays.h"

namespace marginalia::python {
namespace {

class ArrayDataset final : public Dataset {
 public:
  explicit ArrayDataset(const py::object& object)
      : space_{object.attr("cardinalities").cast<std::vector<std::int64_t>>(),
               object.attr("shape").cast<std::vector<std::int64_t>>(),
               object.attr("alphabet").cast<std::vector<std::string>>(),
               object.attr("names").cast<std::vector<std::string>>()} {
    const auto splits = object.attr("splits").cast<std::vector<Levels>>();
    for (std::size_t s = 0; s < rows_.size(); ++s) {
      rows_[s] = as_tensor(splits.at(s)).clone();
      has_gaps_ = has_gaps_ || rows_[s].eq(kUnknown).any().item<bool>();
    }
  }

  const StateSpace& space() const override { return space_; }
  std::int64_t size(Split split) const override { return rows(split).size(0); }
  bool has_gaps() const override { return has_gaps_; }

 private:
  const Tensor& rows(Split split) const { return rows_.at(std::size_t(split)); }
  Tensor compute_rows(Split split, const Tensor& indices, std::uint64_t) const override {
    return rows(split).index_select(0, indices);
  }

  StateSpace space_;
  std::array<Tensor, 3> rows_;  // int64 [N, D], by Split
  bool has_gaps_ = false;
};

}  // namespace

std::shared_ptr<Dataset> make_dataset(const py::object& object) {
  return std::make_shared<ArrayDataset>(object);
}

}  // namespace marginalia::python
