#pragma once

#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <marginalia/api.h>

namespace marginalia {

/// Every failure the framework reports: where, what is wrong, and what would be right.
class MARGINALIA_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~Error() override;
};

/// The request is wrong: a spec, an argument, a line of input. The program exits with 2.
class MARGINALIA_API SpecError : public Error {
 public:
  using Error::Error;
  ~SpecError() override;
};

/// A question is conditioned on what has probability zero, so that no number answers it.
class MARGINALIA_API ImpossibleGiven : public SpecError {
 public:
  explicit ImpossibleGiven(std::int64_t row);
  ~ImpossibleGiven() override;
  std::int64_t row() const { return row_; }  ///< of the question's batch, from 0

 private:
  std::int64_t row_;
};

/// A request names a component that nobody offers: where plugins were refused, one of those may.
class MARGINALIA_API UnknownComponent : public SpecError {
 public:
  using SpecError::SpecError;
  ~UnknownComponent() override;
};

/// An energy failed to score states, as of a program that died: repaired, it may score them.
class MARGINALIA_API EnergyFailure : public Error {
 public:
  using Error::Error;
  ~EnergyFailure() override;
};

/// A shared library is not a plugin of this host. The program exits with 3.
class MARGINALIA_API PluginError : public Error {
 public:
  using Error::Error;
  ~PluginError() override;
};

/// "no energy is called "isng"; did you mean "ising"?" and the list of what there is.
MARGINALIA_API std::string unknown_name(std::string_view kind, std::string_view name,
                                        const std::vector<std::string>& known);

/// Says `text` on stderr, as "marginalia: warning: TEXT": what is done all the same, with a word.
MARGINALIA_API void warn(const std::string& text);

/// What `error` says, without the stack trace that LibTorch appends to its own and the names that
/// the JSON library begins with.
MARGINALIA_API std::string describe_error(const std::exception& error);

}  // namespace marginalia
