#include <marginalia/error.h>

#include "communicator.h"

// Where Gloo is not found.
namespace marginalia {

struct Communicator::Group {};

Communicator::Communicator(const Rendezvous&) {
  throw SpecError("ranks: " + why_no_ranks());
}
Communicator::~Communicator() = default;

void Communicator::all_reduce(const Tensor&) {}
std::function<void()> Communicator::begin_all_reduce(const Tensor&) {
  return {};
}
void Communicator::broadcast(const Tensor&) {}
std::string Communicator::broadcast(std::string text) {
  return text;
}
void Communicator::barrier() {}
Tensor Communicator::all_gather(const Tensor& rows) {
  return rows;
}
std::function<Tensor()> Communicator::begin_all_gather(const Tensor&) {
  return {};
}
std::vector<std::string> Communicator::all_gather(const std::string& text) {
  return {text};
}

}  // namespace marginalia
