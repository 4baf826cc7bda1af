/// \file
/// Tensors in the safetensors format:  N, header, bytes of the tensors.
///
/// N: 8 bytes, little endian. Header: N bytes of JSON that begin with "{" and may end in spaces,
///   {"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...,
///    "__metadata__": {"KEY": "TEXT", ...}}
/// where offsets count from the end of the header. The tensors are packed in row-major order,
/// little endian, and lie end to end without a gap. Source: Hugging Face, safetensors, README.md,
/// section "Format".
///
/// Ours besides: widest dtype first, then by name, so that each tensor is aligned; and the text
/// "sha256" = SHA-256 over the bytes of the tensors as they lie in the file, then over the header
/// as compact JSON with sorted keys, "sha256" itself left out.
#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>

#include "safetensors.h"
#include "sdk/base/unique_keys.h"

namespace marginalia {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "tensors are written as they lie");

namespace {

using SortedJson = nlohmann::json;  // by key, which makes the digest's text the only one

constexpr std::uint64_t kLengthBytes = 8;          // bytes of N
constexpr std::uint64_t kMaxHeader = 100'000'000;  // bytes; other readers draw the line there
constexpr const char* kMetadata = "__metadata__";
constexpr const char* kSha256 = "sha256";

struct Dtype {
  const char* name;
  std::int64_t bytes;
  at::ScalarType type;
};

constexpr std::array kDtypes = {Dtype{"F64", 8, at::kDouble}, Dtype{"F32", 4, at::kFloat},
                                Dtype{"F16", 2, at::kHalf},   Dtype{"BF16", 2, at::kBFloat16},
                                Dtype{"I64", 8, at::kLong},   Dtype{"I32", 4, at::kInt},
                                Dtype{"I16", 2, at::kShort},  Dtype{"I8", 1, at::kChar},
                                Dtype{"U8", 1, at::kByte},    Dtype{"BOOL", 1, at::kBool}};

/// One tensor, as the header describes it.
struct Entry {
  std::string name;
  const Dtype* dtype;
  std::vector<std::int64_t> shape;
  std::int64_t begin, end;  // bytes, from the end of the header
};

// The code that reads the header knows no tensors: it turns text into entries.

Error foreign(const std::string& what) {
  return Error("not a safetensors file: " + what);
}

/// JSON of which no object names a key twice, and nothing is nested deeper than a header is.
SortedJson parse_header(std::string_view text) {
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
    throw foreign(fmt::format("header is not JSON: {}", e.what()));
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

Entry parse_entry(const std::string& name, const SortedJson& tensor) {
  if (!tensor.is_object()) throw foreign(fmt::format("tensor \"{}\" is not an object", name));
  const auto dtype_name = tensor.value("dtype", SortedJson());
  const auto* const dtype = std::find_if(kDtypes.begin(), kDtypes.end(),
                                         [&](const Dtype& d) { return dtype_name == d.name; });
  if (dtype == kDtypes.end())
    throw foreign(fmt::format("tensor \"{}\" has unknown dtype {}", name, dtype_name.dump()));

  auto shape = integers(name, tensor, "shape");
  const auto offsets = integers(name, tensor, "data_offsets");
  if (offsets.size() != 2 || offsets[0] > offsets[1])
    throw foreign(fmt::format("tensor \"{}\" has no [begin, end] in \"data_offsets\"", name));
  const auto bytes = count_bytes(*dtype, shape);
  if (bytes != offsets[1] - offsets[0])
    throw foreign(fmt::format("tensor \"{}\" takes {} bytes by its shape, {} by its offsets", name,
                              bytes ? std::to_string(*bytes) : "too many",
                              offsets[1] - offsets[0]));
  return {name, dtype, std::move(shape), offsets[0], offsets[1]};
}

/// Entries in the order of the file, checked to lie end to end.
std::vector<Entry> parse_entries(const SortedJson& header) {
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items())
    if (name != kMetadata) entries.push_back(parse_entry(name, value));
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

/// What the digest covers of a header.
std::string canonical(SortedJson header) {
  if (header.contains(kMetadata)) header[kMetadata].erase(kSha256);
  return header.dump();
}

/// N and the header, padded so that the data begin at a multiple of 8.
std::string framed(const SortedJson& header) {
  std::string text;
  try {
    text = header.dump();
  } catch (const SortedJson::exception&) {
    throw Error("cannot be written: a name or the metadata are not UTF-8; encode them");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t size = text.size();
  if (size > kMaxHeader)
    throw Error(fmt::format("cannot be written: header too large: {} bytes, at most {}; split it",
                            size, kMaxHeader));
  std::string prefix(kLengthBytes, '\0');
  std::memcpy(prefix.data(), &size, kLengthBytes);
  return prefix + text;
}

/// A file open for reading, as long as it was when opened.
class OpenFile {
 public:
  explicit OpenFile(const fs::path& file) : in_(std::fopen(file.c_str(), "rbe"), &std::fclose) {
    struct stat status {};
    if (!in_ || fstat(fileno(in_.get()), &status) != 0) throw unreadable(errno);
    if (!S_ISREG(status.st_mode)) throw Error("cannot be read: a folder or device");
    size_ = static_cast<std::uint64_t>(status.st_size);
  }

  std::uint64_t size() const { return size_; }

  void read(void* to, std::size_t count) {
    if (count == 0 || std::fread(to, 1, count, in_.get()) == count) return;
    if (std::ferror(in_.get()) != 0) throw unreadable(errno);
    throw Error("torn checkpoint: it became shorter while it was read");
  }

 private:
  static Error unreadable(int error) {
    return Error("cannot be read: " + std::generic_category().message(error));
  }

  std::unique_ptr<std::FILE, int (*)(std::FILE*)> in_;
  std::uint64_t size_ = 0;
};

/// The header's JSON, from a file that is long enough to hold it.
std::string read_header(OpenFile& in) {
  const auto torn = [&](std::string_view what, std::uint64_t bytes) {
    return Error(
        fmt::format("torn checkpoint: {} takes {} bytes, file has {}", what, bytes, in.size()));
  };
  if (in.size() < kLengthBytes) throw torn("the length of the header", kLengthBytes);
  std::uint64_t size = 0;
  in.read(&size, kLengthBytes);
  if (size > kMaxHeader)
    throw foreign(fmt::format("header too large: {} bytes, at most {}", size, kMaxHeader));
  if (size > in.size() - kLengthBytes) throw torn("the header", kLengthBytes + size);
  std::string text(size, '\0');
  in.read(text.data(), size);
  return text;
}

void check_size(const OpenFile& in, std::uint64_t header, const std::vector<Entry>& entries) {
  const auto data = entries.empty() ? 0 : static_cast<std::uint64_t>(entries.back().end);
  const auto expected = kLengthBytes + header + data;
  if (in.size() != expected)
    throw Error(fmt::format("{}: header says {} bytes, file has {}",
                            in.size() < expected ? "torn checkpoint" : "altered", expected,
                            in.size()));
}

// From here on, tensors.

std::string dtype_names() {
  std::string names;
  for (const auto& dtype : kDtypes)
    names += fmt::format("{}{}", names.empty() ? "" : " ", dtype.name);
  return names;
}

Entry describe(const std::string& name, const Tensor& tensor) {
  const auto refuse = [&](const std::string& what) {
    return Error(fmt::format("cannot be written: tensor \"{}\" {}", name, what));
  };
  if (name == kMetadata) throw refuse("has the name of the metadata; rename it");
  if (!tensor.defined()) throw refuse("is undefined; leave it out");
  if (tensor.layout() != at::kStrided) throw refuse("is sparse; make it dense");
  const auto* const dtype = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const Dtype& d) {
    return tensor.scalar_type() == d.type;
  });
  if (dtype == kDtypes.end())
    throw refuse(fmt::format("is {}; convert it to one of {}", c10::toString(tensor.scalar_type()),
                             dtype_names()));
  return {name, dtype, tensor.sizes().vec(), 0, tensor.numel() * dtype->bytes};  // as if alone
}

/// Entries in the order in which the tensors will lie.
std::vector<Entry> lay_out(const std::map<std::string, Tensor>& tensors) {
  std::vector<Entry> entries;
  for (const auto& [name, tensor] : tensors)
    entries.push_back(describe(name, tensor));
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.dtype->bytes > b.dtype->bytes; });
  std::int64_t begin = 0;
  for (auto& entry : entries) {
    entry.begin = std::exchange(begin, begin + entry.end);
    entry.end = begin;
  }
  return entries;
}

SortedJson make_header(const std::vector<Entry>& entries,
                       std::map<std::string, std::string> metadata) {
  metadata[kSha256] = std::string(64, '0');  // until it is known
  SortedJson header = {{kMetadata, std::move(metadata)}};
  for (const auto& entry : entries)
    header[entry.name] = {{"dtype", entry.dtype->name},
                          {"shape", entry.shape},
                          {"data_offsets", {entry.begin, entry.end}}};
  return header;
}

Tensor read_tensor(OpenFile& in, const Entry& entry, Sha256& sha) {
  auto tensor = at::empty(entry.shape, at::TensorOptions(at::kCPU).dtype(entry.dtype->type));
  const auto size = static_cast<std::size_t>(entry.end - entry.begin);
  in.read(tensor.data_ptr(), size);
  sha.add(tensor.data_ptr(), size);
  const auto* const bytes = static_cast<const unsigned char*>(tensor.data_ptr());
  if (entry.dtype->type == at::kBool &&
      std::any_of(bytes, bytes + size, [](unsigned char byte) { return byte > 1; }))
    throw foreign(fmt::format("tensor \"{}\" is BOOL and holds more than 0 and 1", entry.name));
  return tensor;
}

TensorFile read(const fs::path& file, Digest rule) {
  OpenFile in(file);
  const auto text = read_header(in);
  const auto header = parse_header(text);
  const auto entries = parse_entries(header);
  TensorFile content{.tensors = {}, .metadata = parse_metadata(header)};
  check_size(in, text.size(), entries);
  const auto stated = content.metadata.find(kSha256);
  if (stated == content.metadata.end() && rule == Digest::kRequired)
    throw Error("no \"sha256\" in its metadata: altered, or not written by Marginalia");

  Sha256 sha;
  for (const auto& entry : entries)
    content.tensors[entry.name] = read_tensor(in, entry, sha);
  const auto covered = canonical(header);
  sha.add(covered.data(), covered.size());
  if (stated != content.metadata.end() && stated->second != sha.hex())
    throw Error(fmt::format("altered: sha256 differs\n  stated: {}\n  actual: {}", stated->second,
                            sha.hex()));
  return content;
}

/// Returns what `work` returns, and throws what it throws as an Error that begins with the file's
/// name.
template <class Work>
auto naming(const fs::path& file, Work work) {
  try {
    return work();
  } catch (const std::exception& e) {
    throw Error(fmt::format("{}: {}", file.string(), describe_error(e)));
  }
}

}  // namespace

void write_safetensors(const fs::path& file, const TensorFile& content) {
  const auto entries = naming(file, [&] { return lay_out(content.tensors); });
  auto header = make_header(entries, content.metadata);
  const auto front = naming(file, [&] { return framed(header); });

  AtomicFile out(file);
  out.append(front.data(), front.size());
  Sha256 sha;
  for (const auto& entry : entries) {  // one at a time, so that only one is copied at a time
    const auto packed = content.tensors.at(entry.name).detach().resolve_neg().cpu().contiguous();
    out.append(packed.data_ptr(), packed.nbytes());
    sha.add(packed.data_ptr(), packed.nbytes());
  }
  const auto covered = canonical(header);
  sha.add(covered.data(), covered.size());
  header[kMetadata][kSha256] = sha.hex();
  out.overwrite(0, framed(header));  // as long as before
  out.commit();
}

TensorFile read_safetensors(const fs::path& file, Digest digest) {
  return naming(file, [&] { return read(file, digest); });
}

}  // namespace marginalia
