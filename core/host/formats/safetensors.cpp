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

namespace marginalia {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "tensors are written as they lie");

namespace {

using SortedJson = nlohmann::json;  // by key, which makes the digest's text the only one

constexpr std::uint64_t kLengthBytes = 8;          // bytes of N
constexpr std::uint64_t kMaxHeader = 100'000'000;  // bytes; other readers draw the line there
using namespace safetensors;

/// The type of tensors for each of kDtypes.
constexpr std::array kTypes = {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong,
                               at::kInt,    at::kShort, at::kChar, at::kByte,     at::kBool};
static_assert(kTypes.size() == kDtypes.size());

at::ScalarType torch_type(const Dtype& dtype) {
  return kTypes[std::size_t(&dtype - kDtypes.data())];
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
    return tensor.scalar_type() == torch_type(d);
  });
  if (dtype == kDtypes.end())
    throw refuse(fmt::format("is {}; convert it to one of {}", c10::toString(tensor.scalar_type()),
                             dtype_names()));
  const auto bytes = tensor.numel() * dtype->bytes;
  return {name, dtype->name, dtype, tensor.sizes().vec(), 0, bytes};  // as if alone
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
  auto tensor = at::empty(entry.shape, at::TensorOptions(at::kCPU).dtype(torch_type(*entry.dtype)));
  const auto size = static_cast<std::size_t>(entry.end - entry.begin);
  in.read(tensor.data_ptr(), size);
  sha.add(tensor.data_ptr(), size);
  const auto* const bytes = static_cast<const unsigned char*>(tensor.data_ptr());
  if (torch_type(*entry.dtype) == at::kBool &&
      std::any_of(bytes, bytes + size, [](unsigned char byte) { return byte > 1; }))
    throw foreign(fmt::format("tensor \"{}\" is BOOL and holds more than 0 and 1", entry.name));
  return tensor;
}

/// Reads past a tensor of a dtype that is not known; the digest covers it.
void pass_over(OpenFile& in, const Entry& entry, Sha256& sha) {
  constexpr std::int64_t kPiece = 1 << 20;
  std::vector<char> bytes(static_cast<std::size_t>(std::min(entry.end - entry.begin, kPiece)));
  for (auto left = entry.end - entry.begin; left > 0;) {
    const auto count = static_cast<std::size_t>(std::min(left, kPiece));
    in.read(bytes.data(), count);
    sha.add(bytes.data(), count);
    left -= static_cast<std::int64_t>(count);
  }
}

TensorFile read(const fs::path& file, Digest rule) {
  OpenFile in(file);
  const auto text = read_header(in);
  auto header = parse_header(text, rule);
  const auto& entries = header.entries;
  TensorFile content{.tensors = {}, .metadata = std::move(header.metadata)};
  check_size(in, text.size(), entries);
  const auto stated = content.metadata.find(kSha256);
  if (stated == content.metadata.end() && rule == Digest::kRequired)
    throw Error("no \"sha256\" in its metadata: altered, or not written by Marginalia");

  Sha256 sha;
  for (const auto& entry : entries)
    if (entry.dtype) {
      content.tensors[entry.name] = read_tensor(in, entry, sha);
    } else {
      pass_over(in, entry, sha);
      content.passed_over[entry.name] = entry.dtype_name;
    }
  sha.add(header.covered.data(), header.covered.size());
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
