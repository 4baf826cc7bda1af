/// \file
/// What needs no RDKit: reading the fragments' scores, similarity, and the error without it.
#include "chemistry.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace marginalia::chemistry {

Missing::Missing()
    : std::runtime_error(
          "this needs RDKit, which the program was built without; install it (on Debian "
          "librdkit-dev) and build again: CMake finds it") {}

void need_rdkit() {
  if (rdkit_version().empty()) throw Missing();
}

namespace {

/// Takes numbers off the front of `bytes`, which are little-endian as this machine is.
template <class T>
std::vector<T> take(std::string_view& bytes, std::size_t count) {
  static_assert(std::endian::native == std::endian::little);
  if (bytes.size() / sizeof(T) < count)
    throw std::invalid_argument("the scores end too early; get the file anew");
  std::vector<T> values(count);
  std::memcpy(values.data(), bytes.data(), count * sizeof(T));
  bytes.remove_prefix(count * sizeof(T));
  return values;
}

}  // namespace

FragmentScores::FragmentScores(std::string_view bytes) {
  constexpr std::string_view kMagic = "SAFP0001";
  if (!bytes.starts_with(kMagic))
    throw std::invalid_argument("these are not fragment scores; they begin with SAFP0001");
  bytes.remove_prefix(kMagic.size());
  const auto counts = take<std::uint32_t>(bytes, 2);
  scores_ = take<double>(bytes, counts[1]);
  fragments_ = take<std::uint32_t>(bytes, counts[0]);
  places_ = take<std::uint16_t>(bytes, counts[0]);
  for (std::size_t i = 1; i < fragments_.size(); ++i)
    fragments_[i] += fragments_[i - 1];
  if (std::ranges::any_of(places_, [&](auto place) { return place >= scores_.size(); }))
    throw std::invalid_argument("a fragment has no score; get the file anew");
}

double FragmentScores::of(std::uint32_t fragment) const {
  const auto at = std::ranges::lower_bound(fragments_, fragment);
  if (at == fragments_.end() || *at != fragment) return kUnlisted;
  return scores_[places_[static_cast<std::size_t>(at - fragments_.begin())]];
}

double similarity(const Fingerprint& a, const Fingerprint& b) {
  int common = 0, all = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    common += std::popcount(a[i] & b[i]);
    all += std::popcount(a[i] | b[i]);
  }
  return all == 0 ? 1 : static_cast<double>(common) / all;
}

Properties compute_properties(const Molecule& molecule, const FragmentScores& scores) {
  return {molecule.log_p(), qed(molecule.qed_properties()),
          molecule.synthetic_accessibility(scores), molecule.weight()};
}

}  // namespace marginalia::chemistry
