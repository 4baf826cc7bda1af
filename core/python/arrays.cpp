#include "arrays.h"

#include <memory>
#include <utility>
#include <vector>

#include <torch/types.h>

namespace marginalia::python {

Tensor as_tensor(const Levels& levels) {
  const std::vector<std::int64_t> shape(levels.shape(), levels.shape() + levels.ndim());
  // from_blob takes memory that it may write; nothing writes into a question.
  auto* const data = const_cast<std::int64_t*>(levels.data());
  return at::from_blob(data, shape, at::kLong);
}

py::array as_array(const Tensor& tensor) {
  auto kept = std::make_unique<Tensor>(tensor.to(at::kCPU).contiguous());
  const bool whole = kept->scalar_type() == at::kLong;
  if (!whole) *kept = kept->to(at::kDouble);
  const std::vector<py::ssize_t> shape(kept->sizes().begin(), kept->sizes().end());
  void* const data = kept->data_ptr();
  const py::capsule owner(kept.release(), [](void* held) { delete static_cast<Tensor*>(held); });
  return {whole ? py::dtype::of<std::int64_t>() : py::dtype::of<double>(), shape, data, owner};
}

py::array as_own_array(const Tensor& tensor) {
  return as_array(tensor.to(at::kCPU).clone(at::MemoryFormat::Contiguous));
}

}  // namespace marginalia::python
