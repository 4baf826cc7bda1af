#pragma once

#include <filesystem>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include <marginalia/component.h>
#include <marginalia/json.h>

namespace marginalia {

class Dataset;
class Family;

/// A trained run, opened for a tool: all that it refers to lives as long as it does.
class MARGINALIA_API TrainedRun {
 public:
  virtual ~TrainedRun();
  virtual const std::filesystem::path& folder() const = 0;
  virtual const Json& spec() const = 0;  ///< resolved
  virtual const Family& family() const = 0;
  virtual const Dataset* dataset() const = 0;   ///< null: it learned from an energy alone
  virtual const Json& description() const = 0;  ///< Dataset::description() of its training
};

/// What the host lends to tools.
struct ToolContext {
  std::filesystem::path data = {};  ///< the data directory
  int threads = 0;                  ///< as many as it may use; 0: every core
  /// Opens a run, at the checkpoint that answers or the one of --checkpoint. Throws SpecError where
  /// there is none.
  std::function<std::shared_ptr<const TrainedRun>(const std::filesystem::path& run)> open = {};
  /// What people should know beside the data, a line each.
  std::function<void(const std::string&)> say = [](const std::string&) {};
};

/// A verb that a plugin adds to the program: `marginalia NAME ARGUMENTS`. The program takes off
/// --plugins, --data, --threads, --device and --checkpoint, and the tool reads the rest.
class MARGINALIA_API Tool : public Component {
 public:
  using Interface = Tool;
  using Context = ToolContext;
  static constexpr const char* kKind = "tool";

  ~Tool() override;
  virtual std::string usage() const = 0;  ///< shown by --help, with an example
  /// -> the exit code. Data goes to `out` alone.
  virtual int run(const std::vector<std::string>& arguments, std::istream& in,
                  std::ostream& out) const = 0;
};

}  // namespace marginalia
