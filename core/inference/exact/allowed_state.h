#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include <marginalia/api.h>
#include <marginalia/factors.h>

namespace marginalia::elimination {

/// Looks for a state that no factor forbids: depth first, values without support struck out after
/// each decision (generalised arc consistency), first the variable of fewest values by the
/// conflicts that its factors met, with restarts. Mackworth (1977),
/// doi:10.1016/0004-3702(77)90007-8; Boussemart, Hemery, Lecoutre and Sais (2004), ECAI 146
/// (dom/wdeg).
class MARGINALIA_API AllowedState {
 public:
  AllowedState(const FactorModel& model, std::uint64_t seed);

  /// x [D]: the values tried first; then the state that was found. False where there is none, or
  /// stop() said so.
  bool find(std::int64_t* x, const std::function<bool()>& stop);

 private:
  enum class End { kFound, kNone, kRestart };
  struct Struck {
    std::int64_t variable, value;
  };
  void strike(std::int64_t variable, std::int64_t value);
  bool fix(std::int64_t variable, std::int64_t value);
  bool propagate();
  bool revise(std::size_t constraint);
  void undo(std::size_t to);
  std::int64_t choose();
  End search(const std::int64_t* x, const std::function<bool()>& stop);

  const FactorModel& model_;
  std::vector<const Factor*> constraints_;          // factors that forbid something
  std::vector<std::vector<std::size_t>> of_;        // [D]: constraints of a variable
  std::vector<std::vector<std::int32_t>> allowed_;  // by constraint: values of allowed entries
  std::vector<double> conflicts_;                   // by constraint
  std::vector<std::vector<char>> alive_;            // [D][K]
  std::vector<std::int64_t> left_;                  // [D]: values alive
  std::vector<Struck> trail_;
  std::vector<std::size_t> queue_;
  std::vector<char> queued_;
  std::int64_t failures_ = 0, most_failures_ = 100;
  std::mt19937_64 random_;
};

}  // namespace marginalia::elimination
