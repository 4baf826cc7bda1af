/// \file
/// `marginalia data fetch|verify`: the public files of datasets and energies.
#include <algorithm>

#include <fmt/format.h>

#include <marginalia/error.h>

#include "cli.h"
#include "data_items.h"
#include "fetch.h"

namespace marginalia::app {
namespace {

/// Damaged files fail, and where a component was named, missing ones.
int verify_all(const std::vector<Item>& items, const fs::path& data, bool named) {
  int code = 0;
  for (const auto& [component, source] : items) {
    const auto holding = verify(source, data);
    const bool there = holding.state == FileState::kVerified;
    fmt::print("{:<{}} {:<8} {}\n", component, name_width(items), to_string(holding.state),
               holding.file.empty() ? source.file : holding.file.string());
    if (holding.state == FileState::kDamaged)
      fmt::print(stderr, "marginalia: {}; remove it and fetch it anew\n", holding.why);
    if (holding.state == FileState::kDamaged || (named && !there)) code = 1;
  }
  return code;
}

/// `url` at another host: everything before its path becomes `from`.
std::string mirrored(const std::string& url, std::string from) {
  if (from.empty()) return url;
  while (from.ends_with('/'))
    from.pop_back();
  return from + url.substr(std::min(url.find('/', url.find("://") + 3), url.size()));
}

/// Goes on past failures.
int fetch_all(const std::vector<Item>& items, const fs::path& data, const std::string& from) {
  int code = 0;
  for (const auto& [component, source] : items) {
    try {
      const auto holding = verify(source, data);
      if (holding.state == FileState::kDamaged)
        throw Error(holding.why + "; remove it, then it is fetched anew");
      if (holding.state != FileState::kVerified) fetch(source, data, mirrored(source.url, from));
      fmt::print("{:<{}} {:<8} {}\n", component, name_width(items), "whole",
                 verify(source, data).file.string());
    } catch (const std::exception& e) {
      fmt::print(stderr, "marginalia: {}\n", describe_error(e));
      code = 1;
    }
  }
  return code;
}

}  // namespace

void data(Session& session, const DataArguments& a) {
  const auto items = chosen(session.catalogue(), a);
  if (a.action == "verify") {
    session.exit_code = verify_all(items, session.data(), !a.name.empty());
    return;
  }
  if (a.name.empty())
    throw SpecError(
        "data fetch: needs the NAME of a dataset or an energy; see marginalia data list");
  session.exit_code = fetch_all(items, session.data(), a.from);
}

}  // namespace marginalia::app
