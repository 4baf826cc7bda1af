#pragma once

#include <map>
#include <string>

#include <marginalia/family.h>

namespace marginalia {

/// The tensors of a state by name, as they are: no copies. Those that are undefined are left out.
class TensorCollector final : public StateVisitor {
 public:
  void operator()(const std::string& name, Tensor& tensor) override {
    if (tensor.defined()) tensors.emplace(name, tensor.detach());
  }
  std::map<std::string, Tensor> tensors;

 private:
  void parameter(const std::string& name, Tensor& tensor) override { (*this)(name, tensor); }
};

}  // namespace marginalia
