#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <marginalia/error.h>

namespace marginalia {

/// Whether a file must carry the digest that write_safetensors adds.
enum class Digest {
  kRequired,  ///< as our checkpoints do: a file without one is foreign
  /// For files of other programs, which are checked as far as the format goes; tensors of dtypes
  /// that are not known here are passed over.
  kIfPresent,
};

}  // namespace marginalia

/// The header of a safetensors file, as text: nothing here knows tensors.
namespace marginalia::safetensors {

inline constexpr const char* kMetadata = "__metadata__";
inline constexpr const char* kSha256 = "sha256";

/// A type of numbers, as the format names it.
struct Dtype {
  const char* name;
  std::int64_t bytes;
};
inline constexpr std::array kDtypes = {
    Dtype{"F64", 8}, Dtype{"F32", 4}, Dtype{"F16", 2}, Dtype{"BF16", 2}, Dtype{"I64", 8},
    Dtype{"I32", 4}, Dtype{"I16", 2}, Dtype{"I8", 1},  Dtype{"U8", 1},   Dtype{"BOOL", 1}};

/// One tensor, as the header describes it.
struct Entry {
  std::string name, dtype_name;
  const Dtype* dtype;  ///< of kDtypes; null: not known here
  std::vector<std::int64_t> shape;
  std::int64_t begin, end;  ///< bytes, from the end of the header
};

struct Header {
  std::vector<Entry> entries;  ///< in the order of the file, end to end
  std::map<std::string, std::string> metadata;
  std::string covered;  ///< what the digest covers of it
};

/// Takes the JSON of a header apart. Throws Error with the reason where it is none.
Header parse_header(std::string_view text, Digest rule);

/// What the digest covers of a header: compact, sorted by key, "sha256" left out.
std::string canonical(nlohmann::json header);

/// "not a safetensors file: " and what it is.
Error foreign(const std::string& what);

}  // namespace marginalia::safetensors
