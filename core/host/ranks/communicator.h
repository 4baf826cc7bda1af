#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <marginalia/tensor.h>

#include "rendezvous.h"

namespace marginalia {

/// The ranks of a run: processes that train one model together, by c10d's Gloo. All of them call
/// the same functions in the same order, by the thread that made this object. Where a rank is gone
/// the others throw Error. An operation waits as long as it takes: a slow rank is not a lost one.
class Communicator {
 public:
  /// Meets the others. Throws SpecError where ranks cannot be, rank 0 cannot listen at the port or
  /// a rank has come twice; Error, on all that came, naming the ranks that have not come in time.
  explicit Communicator(const Rendezvous& at);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return at_.rank; }
  int size() const { return at_.size; }
  int local_size() const { return at_.local_size; }
  bool is_first() const { return at_.rank == 0; }

  /// Puts the sum over ranks, the same bits on all, in the place of `tensor`, which is contiguous,
  /// on the CPU, and of one type and size on all.
  void all_reduce(const Tensor& tensor);
  /// The same, begun: the sum is there once what is returned was called.
  std::function<void()> begin_all_reduce(const Tensor& tensor);
  /// Puts rank 0's values in the place of the others'. `tensor`: as of all_reduce.
  void broadcast(const Tensor& tensor);
  std::string broadcast(std::string text);  ///< rank 0's
  void barrier();
  /// The tensors of all ranks, of one type and shape, one after the other along the rows.
  Tensor all_gather(const Tensor& rows);
  /// The same, begun: what is returned waits for them.
  std::function<Tensor()> begin_all_gather(const Tensor& rows);
  /// A text of every rank, by rank.
  std::vector<std::string> all_gather(const std::string& text);

 private:
  struct Group;
  Rendezvous at_;
  std::unique_ptr<Group> group_;
};

/// Bytes that this process has sent over its open TCP connections, as the kernel counts them.
std::int64_t sent_bytes();

}  // namespace marginalia
