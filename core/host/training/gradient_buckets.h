#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <marginalia/family.h>

#include "host/ranks/communicator.h"

namespace marginalia {

/// Sums of gradients over ranks, sent in buckets while the backward pass computes the others.
///
/// The first pass of a group of parameters finds in which order its gradients come; from the second
/// on a bucket is sent once its last gradient is there. Where other parameters than before have a
/// gradient, as where some are frozen, what is left is sent after the pass and the order is found
/// anew. Source: Li et al. (2020), arXiv:2006.15704, sect. 3.2.3.
class GradientBuckets {
 public:
  GradientBuckets(Communicator& ranks, const std::vector<ParameterGroup>& groups);
  ~GradientBuckets();

  /// Runs the backward pass of `loss`, of which all ranks compute the same graph. Then each
  /// gradient of `group` ("": all), what was there before added, is the sum of those of all ranks.
  /// Throws Error, on all ranks, where they have gradients of different parameters.
  void backward(const Tensor& loss, const std::string& group);

 private:
  static constexpr std::int64_t kBytes = 4 << 20;  // of a bucket, but for a larger parameter
  class Arrival;
  struct Slot {
    std::string group;
    Tensor parameter;
    std::shared_ptr<torch::autograd::Node> accumulator;
    std::uintptr_t hook = 0;
  };
  struct Bucket {
    std::vector<std::size_t> slots;
    Tensor sum;               // of all of them, one after the other
    std::size_t arrived = 0;  // in this pass
    std::function<void()> wait = {};
    bool is_full() const { return arrived == slots.size(); }
  };
  /// The buckets of a group, in the order in which they are sent.
  struct Plan {
    std::vector<Bucket> buckets;
    std::map<std::size_t, std::size_t> bucket_of;  // by slot
  };

  void follow(const std::string& group);
  void on_gradient(std::size_t slot);
  void send_full();
  void fill_rest();
  void take_sums(Bucket& bucket);
  Plan make_plan(const std::vector<std::size_t>& order) const;
  void check_order() const;

  Communicator& ranks_;
  std::vector<Slot> slots_;
  std::map<std::string, Plan> plans_;  // by group

  // Of the pass under way.
  bool is_under_way_ = false;
  std::string group_;
  std::vector<std::size_t> order_;  // slots, as their gradients came
  std::size_t sent_ = 0;            // buckets
};

/// Puts the parameters of rank 0 in the place of the others'.
void broadcast_parameters(Communicator& ranks, const std::vector<ParameterGroup>& groups);

}  // namespace marginalia
