/// \file
/// What is asked of molecules beyond their strings: RDKit's answers, and two scores on top of them.
///
/// RDKit is an optional part: built without it, each call throws Missing. This header needs neither
/// RDKit nor LibTorch.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "qed.h"

namespace marginalia::chemistry {

/// The program was built without RDKit; what() says how to get it.
class Missing : public std::runtime_error {
 public:
  Missing();
};

/// RDKit refuses a SMILES; what() is its reason.
class Unreadable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// How to get it.
inline constexpr const char* kRdkitRemedy =
    "properties and drawings of molecules need it; install it (on Debian librdkit-dev) and build "
    "again";
/// "2022.09.3"; empty where the program was built without RDKit.
std::string rdkit_version();
/// Throws Missing where the program was built without RDKit.
void need_rdkit();

/// Contributions of circular fragments to synthetic accessibility, by their Morgan identifiers.
/// Source: Ertl and Schuffenhauer (2009), J. Cheminform. 1, 8.
class FragmentScores {
 public:
  /// From the unpacked bytes of sa_fragment_scores.bin: little-endian "SAFP0001", uint32 n and k, k
  /// float64 scores, n uint32 differences of the ascending identifiers, n uint16 places among the
  /// scores. Throws std::invalid_argument where they are something else.
  explicit FragmentScores(std::string_view bytes);
  double of(std::uint32_t fragment) const;  ///< kUnlisted where it is not listed

  static constexpr double kUnlisted = -4;

 private:
  std::vector<std::uint32_t> fragments_;  // ascending
  std::vector<std::uint16_t> places_;
  std::vector<double> scores_;
};

/// The 1024 bits of a Morgan fingerprint of radius 2.
using Fingerprint = std::array<std::uint64_t, 16>;
/// Tanimoto similarity, common bits over all bits; 1 for two empty ones.
double similarity(const Fingerprint& a, const Fingerprint& b);

/// A molecule that RDKit has read.
class Molecule {
 public:
  explicit Molecule(const std::string& smiles);  ///< throws Unreadable
  Molecule(Molecule&&) noexcept;
  ~Molecule();

  std::string canonical() const;  ///< SMILES with stereo, the same for equal molecules
  std::string scaffold() const;   ///< Murcko's, canonical; empty where there is no ring
  Fingerprint fingerprint() const;
  double log_p() const;                  ///< Wildman and Crippen (1999)
  double weight() const;                 ///< average, g/mol
  QedProperties qed_properties() const;  ///< throws Unreadable
  /// From 1, easy, to 10. Ertl and Schuffenhauer (2009) as in RDKit's Contrib/SA_Score: with a
  /// constant penalty for macrocycles and a bonus for symmetry.
  double synthetic_accessibility(const FragmentScores& scores) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// logP, QED, SA score and weight, as `molecules properties` prints them.
struct Properties {
  double log_p, qed, accessibility, weight;
};
Properties compute_properties(const Molecule& molecule, const FragmentScores& scores);

}  // namespace marginalia::chemistry
