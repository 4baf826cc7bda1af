#include "safetensors_header.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sdk/base/json_fault.h"
#include "sdk/base/unique_keys.h"

namespace marginalia::safetensors {
namespace {

using SortedJson = nlohmann::json;  // by key, which makes the digest's text the only one

/// JSON of which no object names a key twice, and nothing is nested deeper than a header is.
SortedJson parse_unique_json(std::string_view text) {
  UniqueKeys<SortedJson> keys;
  const auto watch = [&](int depth, SortedJson::parse_event_t event, const SortedJson& value) {
    if (depth > 3) throw foreign("header is nested too deep");
    if (keys.repeated(event, value))
      throw foreign(fmt::format("header names {} twice", value.dump()));
    return true;
  };
  if (text.empty() || text.front() != '{') throw foreign("header does not begin with \"{\"");
  text = text.substr(0, text.find_last_not_of(' ') + 1);
  if (text.back() != '}') throw foreign("header does not end with \"}\" and spaces");
  if (text.find('\0') != text.npos) throw foreign("header holds a zero byte");  // ends JSON
  try {
    return SortedJson::parse(text, watch);
  } catch (const SortedJson::exception& e) {
    throw foreign(fmt::format("header is not JSON: {}", without_json_names(e.what())));
  }
}

/// The list of integers >= 0 that `tensor`, called `name`, has under `key`.
std::vector<std::int64_t> integers(const std::string& name, const SortedJson& tensor,
                                   const char* key) {
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const auto list = tensor.find(key);
  if (list == tensor.end() || !list->is_array())
    throw foreign(fmt::format("tensor \"{}\" has no list \"{}\"", name, key));
  std::vector<std::int64_t> values;
  for (const auto& value : *list) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMax)
      throw foreign(fmt::format("tensor \"{}\" has {} in \"{}\"", name, value.dump(), key));
    values.push_back(value.get<std::int64_t>());
  }
  return values;
}

/// Bytes of a tensor; none when they, or its strides (to which 0 counts as 1), overflow.
std::optional<std::int64_t> count_bytes(const Dtype& dtype,
                                        const std::vector<std::int64_t>& shape) {
  std::int64_t extent = dtype.bytes, bytes = dtype.bytes;
  for (const auto size : shape) {
    if (__builtin_mul_overflow(extent, std::max<std::int64_t>(size, 1), &extent)) return {};
    bytes *= size;
  }
  return bytes;
}

/// The dtype of that name; null where it is not known, which only other programs' files may have.
const Dtype* dtype_named(const std::string& name, const SortedJson& dtype, Digest rule) {
  for (const auto& known : kDtypes)
    if (dtype == known.name) return &known;
  if (rule == Digest::kRequired || !dtype.is_string())
    throw foreign(fmt::format("tensor \"{}\" has unknown dtype {}", name, dtype.dump()));
  return nullptr;
}

Entry parse_entry(const std::string& name, const SortedJson& tensor, Digest rule) {
  if (!tensor.is_object()) throw foreign(fmt::format("tensor \"{}\" is not an object", name));
  const auto dtype_name = tensor.value("dtype", SortedJson());
  const auto* const dtype = dtype_named(name, dtype_name, rule);
  auto shape = integers(name, tensor, "shape");
  const auto offsets = integers(name, tensor, "data_offsets");
  if (offsets.size() != 2 || offsets[0] > offsets[1])
    throw foreign(fmt::format("tensor \"{}\" has no [begin, end] in \"data_offsets\"", name));
  const auto bytes = dtype ? count_bytes(*dtype, shape) : offsets[1] - offsets[0];
  if (bytes != offsets[1] - offsets[0])
    throw foreign(fmt::format("tensor \"{}\" takes {} bytes by its shape, {} by its offsets", name,
                              bytes ? std::to_string(*bytes) : "too many",
                              offsets[1] - offsets[0]));
  return {name, dtype_name, dtype, std::move(shape), offsets[0], offsets[1]};
}

/// Entries in the order of the file, checked to lie end to end.
std::vector<Entry> parse_entries(const SortedJson& header, Digest rule) {
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items())
    if (name != kMetadata) entries.push_back(parse_entry(name, value, rule));
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::int64_t end = 0;
  for (const auto& entry : entries) {
    if (entry.begin != end)
      throw foreign(fmt::format("tensor \"{}\" begins at byte {}, {} the data up to {}", entry.name,
                                entry.begin, entry.begin < end ? "inside" : "with a gap after",
                                end));
    end = entry.end;
  }
  return entries;
}

std::map<std::string, std::string> parse_metadata(const SortedJson& header) {
  const auto metadata = header.value(kMetadata, SortedJson::object());
  if (!metadata.is_object()) throw foreign(fmt::format("\"{}\" is not an object", kMetadata));
  for (const auto& [key, value] : metadata.items())
    if (!value.is_string()) throw foreign(fmt::format("metadata \"{}\" is not a text", key));
  return metadata;
}

}  // namespace

Error foreign(const std::string& what) {
  return Error("not a safetensors file: " + what);
}

std::string canonical(SortedJson header) {
  if (header.contains(kMetadata)) header[kMetadata].erase(kSha256);
  return header.dump();
}

Header parse_header(std::string_view text, Digest rule) {
  auto json = parse_unique_json(text);
  Header header{parse_entries(json, rule), parse_metadata(json), ""};
  header.covered = canonical(std::move(json));
  return header;
}

}  // namespace marginalia::safetensors
