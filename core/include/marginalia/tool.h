#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include <marginalia/component.h>

namespace marginalia {

/// A verb that a plugin adds to the program: `marginalia NAME ARGUMENTS`.
class MARGINALIA_API Tool : public Component {
 public:
  using Interface = Tool;
  using Context = NoContext;
  static constexpr const char* kKind = "tool";

  ~Tool() override;
  virtual std::string usage() const = 0;  ///< shown by --help, with an example
  /// -> the exit code. Data goes to `out` alone.
  virtual int run(const std::vector<std::string>& arguments, std::istream& in,
                  std::ostream& out) const = 0;
};

}  // namespace marginalia
