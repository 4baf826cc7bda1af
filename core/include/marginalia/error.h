#pragma once

#include <marginalia/api.h>
#include <exception>
#include <stdexcept>
#include <string>

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

/// A request names a component that nobody offers: where plugins were refused, one of those may.
class MARGINALIA_API UnknownComponent : public SpecError {
 public:
  using SpecError::SpecError;
  ~UnknownComponent() override;
};

/// A shared library is not a plugin of this host. The program exits with 3.
class MARGINALIA_API PluginError : public Error {
 public:
  using Error::Error;
  ~PluginError() override;
};

/// What `error` says, without the stack trace that LibTorch appends to its own.
MARGINALIA_API std::string describe_error(const std::exception& error);

}  // namespace marginalia
