#include "together.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/json.h>

namespace marginalia {

SaidByRank0::~SaidByRank0() = default;

namespace {

constexpr char kSpec = 's', kPlugin = 'p', kOther = 'e';

/// "": nothing went wrong; else which type of error, and what it says.
std::string describe_failure(const std::function<void()>& work) {
  try {
    work();
    return "";
  } catch (const std::exception& e) {
    const auto kind = dynamic_cast<const SpecError*>(&e)     ? kSpec
                      : dynamic_cast<const PluginError*>(&e) ? kPlugin
                                                             : kOther;
    return kind + describe_error(e);
  }
}

}  // namespace

void together(Communicator* ranks, const std::function<void()>& work) {
  if (!ranks) return work();
  const auto all = ranks->all_gather(describe_failure(work));
  const auto failed = std::ranges::find_if(all, [](const auto& text) { return !text.empty(); });
  if (failed == all.end()) return;
  const bool is_said_by_all = std::ranges::count(all, *failed) == std::int64_t(all.size());
  const auto what = failed->substr(1);
  const auto text = is_said_by_all ? what : fmt::format("rank {}: {}", failed - all.begin(), what);
  const bool says = ranks->is_first();
  if (failed->front() == kSpec) throw_on_all<SpecError>(text, says);
  if (failed->front() == kPlugin) throw_on_all<PluginError>(text, says);
  throw_on_all<Error>(text, says);
}

void check_alike(Communicator& ranks, const std::string& facts) {
  const auto all = ranks.all_gather(facts);
  const auto other = std::ranges::find_if(all, [&](const auto& text) { return text != all[0]; });
  if (other == all.end()) return;
  const auto first = Json::parse(all[0]), second = Json::parse(*other);
  const auto change = Json::diff(first, second).at(0);
  const Json::json_pointer at(change.at("path").get<std::string>());
  const auto value = [&](const Json& json) {
    return json.contains(at) ? json.at(at).dump() : "missing";
  };
  throw_on_all<SpecError>(
      fmt::format("all ranks need the same spec, build and data: {} is {} of rank 0, and {} of "
                  "rank {}",
                  change.at("path").get<std::string>(), value(first), value(second),
                  other - all.begin()),
      ranks.is_first());
}

}  // namespace marginalia
