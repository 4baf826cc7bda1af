/// \file
/// `marginalia data list|fetch|verify`: the public files of the datasets.
#include <fnmatch.h>

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>
#include <marginalia/source.h>

#include "cli.h"
#include "fetch.h"

namespace marginalia::app {
namespace {

struct Request {
  std::string action, name, filter, from;
};

struct Item {
  std::string dataset;
  Source source;
};

/// FILTER is how the path below the data directory, or the file's name, begins; it may have * and
/// ?.
bool matches(const std::string& filter, const std::string& file) {
  const auto pattern = filter + "*";
  return fnmatch(pattern.c_str(), file.c_str(), 0) == 0 ||
         fnmatch(pattern.c_str(), fs::path(file).filename().c_str(), 0) == 0;
}

std::vector<Item> chosen(Session& session, const Request& request) {
  const auto& registry = session.registry();
  if (!request.name.empty() && !registry.find("dataset", request.name))
    throw SpecError(unknown_name("dataset", request.name, registry.names("dataset")));
  std::vector<Item> items;
  std::vector<std::string> files;
  for (const auto* d : registry.descriptions())
    for (const auto& source : d->sources) {
      if (!request.name.empty() && d->name != request.name) continue;
      files.push_back(source.file);
      if (matches(request.filter, source.file)) items.push_back({d->name, source});
    }
  if (files.empty() && !request.name.empty())
    throw SpecError(fmt::format(
        "dataset \"{}\" has no public files; its spec names files of your own", request.name));
  if (items.empty() && !files.empty())
    throw SpecError(fmt::format("no file of {} begins with \"{}\"; there is:\n  {}", request.name,
                                request.filter, fmt::join(files, "\n  ")));
  return items;
}

const char* name_of(Presence presence) {
  switch (presence) {
    case Presence::kPartial:
      return "partial";
    case Presence::kThere:
      return "there";
    case Presence::kWhole:
      return "whole";
    case Presence::kDamaged:
      return "damaged";
    case Presence::kMissing:
      break;
  }
  return "missing";
}

void list(const std::vector<Item>& items, const fs::path& data) {
  for (const auto& [dataset, source] : items)
    fmt::print("{:<10} {:<8} {:<44} {:>9}  {}\n", dataset, name_of(find(source, data).presence),
               source.file, source.bytes, source.url);
}

/// Damaged files fail, and where a dataset was named, missing ones.
int verify_all(const std::vector<Item>& items, const fs::path& data, bool named) {
  int code = 0;
  for (const auto& [dataset, source] : items) {
    const auto holding = verify(source, data);
    const bool there = holding.presence == Presence::kWhole;
    fmt::print("{:<10} {:<8} {}\n", dataset, name_of(holding.presence),
               holding.file.empty() ? source.file : holding.file.string());
    if (holding.presence == Presence::kDamaged)
      fmt::print(stderr, "marginalia: {}; remove it and fetch it anew\n", holding.why);
    if (holding.presence == Presence::kDamaged || (named && !there)) code = 1;
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
  for (const auto& [dataset, source] : items) {
    try {
      const auto holding = verify(source, data);
      if (holding.presence == Presence::kDamaged)
        throw Error(holding.why + "; remove it, then it is fetched anew");
      if (holding.presence != Presence::kWhole) fetch(source, data, mirrored(source.url, from));
      fmt::print("{:<10} {:<8} {}\n", dataset, "whole", verify(source, data).file.string());
    } catch (const std::exception& e) {
      fmt::print(stderr, "marginalia: {}\n", message_of(e));
      code = 1;
    }
  }
  return code;
}

void serve(Session& session, const Request& request) {
  const auto items = chosen(session, request);
  const auto data = session.data();
  if (request.action == "list") return list(items, data);
  if (request.action == "verify") {
    session.exit_code = verify_all(items, data, !request.name.empty());
    return;
  }
  if (request.name.empty())
    throw SpecError("data fetch: needs the NAME of a dataset; see marginalia data list");
  session.exit_code = fetch_all(items, data, request.from);
}

}  // namespace

void add_data_verb(CLI::App& program, Session& session) {
  const auto request = std::make_shared<Request>();
  auto* verb = add_verb(program, session, "data", "the public files of datasets: which, and where",
                        "marginalia data fetch mnist binarized",
                        [&session, request] { serve(session, *request); });
  verb->add_option("action", request->action, "list, fetch or verify")
      ->required()
      ->check(CLI::IsMember({"list", "fetch", "verify"}));
  verb->add_option("name", request->name, "a dataset; else all")->type_name("NAME");
  verb->add_option("filter", request->filter, "only files that begin so; * and ? stand for any")
      ->type_name("FILTER");
  verb->add_option("--from", request->from, "fetch from a mirror: in place of https://HOST")
      ->type_name("URL_PREFIX");
}

}  // namespace marginalia::app
