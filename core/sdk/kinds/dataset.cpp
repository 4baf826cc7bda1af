#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/dataset.h>
#include <marginalia/error.h>

namespace marginalia {

Dataset::~Dataset() = default;

std::string_view to_string(Split split) {
  return split == Split::kTrain ? "train" : split == Split::kValid ? "valid" : "test";
}

Split split_named(std::string_view name) {
  for (const auto split : {Split::kTrain, Split::kValid, Split::kTest})
    if (name == to_string(split)) return split;
  throw SpecError(fmt::format("\"{}\" is not a split; there is: train, valid, test", name));
}

void Dataset::check_indices(Split split, const Tensor& indices) const {
  if (indices.dim() != 1 || indices.scalar_type() != at::kLong)
    throw Error(fmt::format("{}: indices must be int64 [B]", label()));
  if (indices.numel() > 0 &&
      (indices.min().item<std::int64_t>() < 0 || indices.max().item<std::int64_t>() >= size(split)))
    throw Error(fmt::format("{}: indices must be 0 to {} in {}", label(), size(split) - 1,
                            to_string(split)));
}

Tensor Dataset::rows(Split split, const Tensor& indices, std::uint64_t epoch_key) const {
  check_indices(split, indices);
  auto rows = compute_rows(split, indices, epoch_key);
  space().check(rows, /*partial=*/has_gaps(), label());
  return rows;
}

Tensor Dataset::labels(Split split, const Tensor& indices) const {
  check_indices(split, indices);
  return compute_labels(split, indices);
}

Tensor Dataset::log_recorded(Split split, const Tensor& indices) const {
  check_indices(split, indices);
  return compute_log_recorded(split, indices);
}

Tensor Dataset::recorded(Split split, const Tensor& indices) const {
  check_indices(split, indices);
  return compute_recorded(split, indices);
}

Tensor Dataset::weights(Split split, const Tensor& indices) const {
  check_indices(split, indices);
  return compute_weights(split, indices);
}

Tensor Dataset::ordered() const {
  return {};
}

Json Dataset::description() const {
  return {};
}

std::string Dataset::summary() const {
  const auto rows = [&](Split split) {
    return fmt::format("{} {}", size(split), to_string(split));
  };
  return fmt::format("{} variables of at most {} values; rows: {}, {}, {}{}\n", space().dimension(),
                     space().levels(), rows(Split::kTrain), rows(Split::kValid), rows(Split::kTest),
                     has_gaps() ? "; with gaps" : "");
}

Tensor Dataset::compute_log_recorded(Split, const Tensor&) const {
  return {};
}

Tensor Dataset::compute_recorded(Split, const Tensor&) const {
  return {};
}

Tensor Dataset::compute_weights(Split, const Tensor&) const {
  return {};
}

Tensor Dataset::compute_labels(Split, const Tensor&) const {
  return {};
}

std::string Dataset::to_text(const Tensor& state) const {
  return space().to_text(state);
}

Tensor Dataset::from_text(const PartialText& text) const {
  return state_of_text(space(), text);
}

std::string Dataset::to_svg(const Tensor&) const {
  return "";
}

}  // namespace marginalia
