/// \file
/// `marginalia data fetch|verify|describe`: the public files of datasets and energies; what a file
/// of a user's is taken for.
#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <marginalia/dataset.h>
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

/// Whether a file is one of those that a dataset says it reads: " .csv .tsv".
bool reads(const std::string& ends, fs::path file) {
  if (const auto packed = file.extension().string(); packed == ".gz" || packed == ".xz" ||
                                                     packed == ".bz2" || packed == ".zst" ||
                                                     packed == ".zip")
    file.replace_extension();
  auto end = file.extension().string();
  std::ranges::transform(end, end.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return !end.empty() &&
         fmt::format(" {} ", ends).find(fmt::format(" {} ", end)) != std::string::npos;
}

/// What a file is taken for by the dataset that reads files of its kind.
void describe_file(Session& session, const DataArguments& a) {
  if (a.name.empty()) throw SpecError("data describe: needs a FILE");
  const auto& registry = session.registry();
  Json dataset{{"file", fs::absolute(a.name).string()}};
  std::vector<std::string> kinds;
  for (const auto* d : registry.descriptions()) {
    if (d->kind != Dataset::kKind || d->files.empty()) continue;
    kinds.push_back(d->name + ":" + d->files);
    if (!dataset.contains("type") && reads(d->files, a.name)) dataset["type"] = d->name;
  }
  const auto text = dataset.dump();
  const auto spec =
      Spec::from_text(text, a.name, {fs::current_path(), session.data()}).with(a.rest);
  if (!spec.has("type"))
    throw SpecError(fmt::format("data describe: no dataset reads files named as {} ({}); say which "
                                "one: type=NAME",
                                a.name, fmt::join(kinds, "; ")));
  Faults faults;
  registry.check(Dataset::kKind, spec, faults);
  faults.throw_if_any();
  const auto made = registry.make<Dataset>(spec);
  if (a.json)
    fmt::print("{}\n", made->description().dump(1));
  else
    fmt::print("{}", made->summary());
}

}  // namespace

void data(Session& session, const DataArguments& a) {
  if (a.action == "describe") return describe_file(session, a);
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
