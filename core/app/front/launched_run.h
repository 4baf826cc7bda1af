#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../request.h"

namespace marginalia::app {

/// The run that a launch begins, or goes on with: by which words its ranks are started, and started
/// again. What stood in its folder before is never touched.
class LaunchedRun {
 public:
  /// request: what `words` ask for, run or resume.
  LaunchedRun(std::vector<std::string> words, const Request& request);

  const std::vector<std::string>& words() const { return words_; }
  /// Whether there is a record to go on from.
  bool can_go_on() const;
  const fs::path& folder() const { return folder_; }
  /// Makes ready for another start, where no process of the last is left: by resume where there is
  /// a record; else anew, without what was half made.
  void start_again();

 private:
  using Identity = std::optional<std::pair<dev_t, ino_t>>;  // of a folder; none: it is not there
  static Identity identify(const fs::path& folder);
  bool is_ours() const;
  void remove_half_made() const;

  std::vector<std::string> words_, options_;
  bool resumes_;
  fs::path folder_;  // empty: the ranks will say what is wrong with the spec's name
  Identity before_;
};

}  // namespace marginalia::app
