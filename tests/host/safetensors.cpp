#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <marginalia/files.h>

#include "host/formats/safetensors.h"
#include "marginalia_test.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

/// A file in a folder of its own, gone with the test.
struct TempFile {
  void put(const std::string& bytes) const {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  test::TempDir folder;
  fs::path path = folder / "t.safetensors";
};

/// N as the format writes it, then the header, then the data.
std::string assembled(const std::string& header, const std::string& data = "") {
  std::string prefix;
  for (int i = 0; i < 8; ++i)
    prefix += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return prefix + header + data;
}

/// Why reading is refused, without the file's name; "accepted" if it is not.
std::string read_refusal(const TempFile& file, Digest digest = Digest::kRequired) {
  try {
    read_safetensors(file.path, digest);
  } catch (const Error& e) {
    const std::string message = e.what(), where = file.path.string() + ": ";
    REQUIRE(message.starts_with(where));
    return message.substr(where.size());
  }
  return "accepted";
}

/// Why writing is refused, without the file's name; "accepted" if it is not.
std::string write_refusal(const fs::path& file, const TensorFile& content) {
  try {
    write_safetensors(file, content);
  } catch (const Error& e) {
    return std::string(e.what()).substr(file.string().size() + 2);
  }
  return "accepted";
}

bool same_bits(const torch::Tensor& a, const torch::Tensor& b) {
  const auto x = a.detach().contiguous(), y = b.detach().contiguous();
  return x.dtype() == y.dtype() && x.sizes() == y.sizes() &&
         (x.nbytes() == 0 || std::memcmp(x.data_ptr(), y.data_ptr(), x.nbytes()) == 0);
}

TensorFile small_file() {
  return {.tensors = {{"model.weight", torch::arange(6, torch::kFloat).view({2, 3})},
                      {"stream.data", torch::arange(5, torch::kByte)},
                      {"chain.flags", torch::ones({3}, torch::kBool)},
                      {"empty", torch::zeros({0, 4})}},
          .metadata = {{"step", "500"}, {"spec", R"({"seed": 0, "note": "gr\u00fcn"})"}}};
}

}  // namespace

TEST_CASE("tensors of every dtype come back bit for bit") {
  const TempFile file;
  TensorFile content;
  const auto base = torch::arange(-60, 60);
  for (const auto dtype : {torch::kDouble, torch::kFloat, torch::kHalf, torch::kBFloat16,
                           torch::kLong, torch::kInt, torch::kShort, torch::kChar}) {
    const std::string name = c10::toString(dtype);
    content.tensors[name] = (base.to(torch::kDouble) / 7).to(dtype).view({2, 3, 4, 5});
    content.tensors[name + ".scalar"] = torch::scalar_tensor(-3, dtype);
    content.tensors[name + ".empty"] = torch::zeros({3, 0, 2}, dtype);
  }
  content.tensors["byte"] = torch::arange(256).to(torch::kByte);
  content.tensors["bool"] = base.remainder(3) == 0;
  content.tensors["bool.scalar"] = torch::scalar_tensor(true, torch::kBool);
  content.tensors["not finite"] =
      torch::tensor({INFINITY, -INFINITY, NAN, -NAN, -0.0f, 1e-45f}, torch::kFloat);
  content.tensors[""] = torch::ones({1});
  content.metadata = {{"", ""}, {"text", "a \"quote\", \n, \x01 and \xc3\xbc"}};

  write_safetensors(file.path, content);
  const auto read = read_safetensors(file.path);
  REQUIRE(read.tensors.size() == content.tensors.size());
  for (const auto& [name, tensor] : content.tensors) {
    CAPTURE(name);
    CHECK(same_bits(read.tensors.at(name), tensor));
  }
  auto metadata = read.metadata;
  CHECK(metadata.at("sha256").size() == 64);
  metadata.erase("sha256");
  CHECK(metadata == content.metadata);
}

TEST_CASE("tensors of any layout in memory are written packed") {
  const TempFile file;
  const auto base = torch::arange(24).view({4, 6});
  const auto leaf = torch::rand({3, 3}).requires_grad_();
  const TensorFile content{.tensors = {{"transposed", base.t()},
                                       {"strided", base.slice(1, 1, 6, 2)},
                                       {"expanded", base.select(1, 2).view({4, 1}).expand({4, 3})},
                                       {"leaf", leaf},
                                       {"with history", (leaf * 2).t()},
                                       {"negated", torch::_neg_view(torch::rand({3}))}},
                           .metadata = {}};
  write_safetensors(file.path, content);
  for (const auto& [name, tensor] : read_safetensors(file.path).tensors) {
    CAPTURE(name);
    CHECK(same_bits(tensor, content.tensors.at(name).resolve_neg()));
    CHECK(tensor.is_contiguous());
    CHECK(tensor.storage().nbytes() == tensor.nbytes());
    CHECK_FALSE(tensor.requires_grad());
  }
}

TEST_CASE("a file without tensors is whole too") {
  const TempFile file;
  write_safetensors(file.path, {});
  const auto read = read_safetensors(file.path);
  CHECK(read.tensors.empty());
  CHECK(read.metadata.size() == 1);
}

// Put together by hand from the format's description; the digest is that of sha256sum over the
// eighteen bytes of data and the header without its "sha256".
TEST_CASE("the bytes are those of the format") {
  const std::string header = R"({"__metadata__":{"sha256":"@","step":"7"},)"
                             R"("a":{"data_offsets":[8,16],"dtype":"F32","shape":[2,1]},)"
                             R"("b":{"data_offsets":[0,8],"dtype":"I64","shape":[]},)"
                             R"("c":{"data_offsets":[16,18],"dtype":"BF16","shape":[1]},)"
                             R"("d":{"data_offsets":[18,18],"dtype":"BOOL","shape":[0]}})";
  const std::string data("\xfe\xff\xff\xff\xff\xff\xff\xff"
                         "\0\0\x80\x3f\0\0\0\xc0"
                         "\x80\x3f",
                         18);
  const std::string digest = "0c50d6e04cd8f74b40f9dbb26c6763a11745b10f57244e5e9ef06c04da9d17e4";
  auto padded = header;
  padded.replace(padded.find('@'), 1, digest);
  padded.resize((padded.size() + 7) / 8 * 8, ' ');
  const auto bytes = assembled(padded, data);

  const TempFile file;
  write_safetensors(file.path, {.tensors = {{"a", torch::tensor({{1.0f}, {-2.0f}})},
                                            {"b", torch::tensor(-2, torch::kLong)},
                                            {"c", torch::ones({1}, torch::kBFloat16)},
                                            {"d", torch::ones({0}, torch::kBool)}},
                                .metadata = {{"step", "7"}}});
  CHECK(read_text(file.path) == bytes);
  file.put(bytes);
  CHECK(read_refusal(file) == "accepted");
}

TEST_CASE("a file of another program is read when it need not carry our digest") {
  const TempFile file;
  file.put(assembled(R"({ "w": {"dtype":"I16", "shape":[2], "data_offsets":[0, 4]} }   )",
                     std::string("\1\0\xff\xff", 4)));
  const auto read = read_safetensors(file.path, Digest::kIfPresent);
  CHECK(read.tensors.at("w").equal(torch::tensor({1, -1}, torch::kShort)));
  CHECK(read.metadata.empty());
  CHECK(read_refusal(file) ==
        "no \"sha256\" in its metadata: altered, or not written by Marginalia");
}

TEST_CASE("of another program's file, tensors of dtypes that are not known are passed over") {
  const TempFile file;
  file.put(assembled(R"({"f": {"dtype":"F8_E4M3", "shape":[3], "data_offsets":[2, 5]},)"
                     R"( "w": {"dtype":"I16", "shape":[1], "data_offsets":[5, 7]},)"
                     R"( "h": {"dtype":"F4", "shape":[4], "data_offsets":[0, 2]} })",
                     std::string("abcde\1\0", 7)));
  const auto read = read_safetensors(file.path, Digest::kIfPresent);
  CHECK(read.tensors.size() == 1);
  CHECK(read.tensors.at("w").equal(torch::tensor({1}, torch::kShort)));
  CHECK(read.passed_over == std::map<std::string, std::string>{{"f", "F8_E4M3"}, {"h", "F4"}});
  CHECK(read_refusal(file) == "not a safetensors file: tensor \"f\" has unknown dtype \"F8_E4M3\"");
  file.put(assembled(R"({"w": {"dtype":7, "shape":[1], "data_offsets":[0, 1]} })", "a"));
  CHECK(read_refusal(file, Digest::kIfPresent) ==
        "not a safetensors file: tensor \"w\" has unknown dtype 7");
}

TEST_CASE("a digest that is there is checked even where it need not be") {
  const TempFile file;
  write_safetensors(file.path, small_file());
  auto bytes = read_text(file.path);
  bytes.back() ^= 1;
  file.put(bytes);
  const auto message = read_refusal(file, Digest::kIfPresent);
  CHECK(message.starts_with("altered: sha256 differs\n  stated: "));
  CHECK(message.size() == std::strlen("altered: sha256 differs\n  stated: \n  actual: ") + 128);
}

TEST_CASE("a file cut at any length is refused") {
  const TempFile file;
  write_safetensors(file.path, small_file());
  const auto bytes = read_text(file.path);
  const auto header = bytes.rfind('}') + 1;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    file.put(bytes.substr(0, size));
    REQUIRE(read_refusal(file).starts_with("torn checkpoint: "));
  }
  file.put(bytes.substr(0, 7));
  CHECK(read_refusal(file) ==
        "torn checkpoint: the length of the header takes 8 bytes, file has 7");
  file.put(bytes.substr(0, header - 1));
  CHECK(read_refusal(file) == fmt::format("torn checkpoint: the header takes {} bytes, file has {}",
                                          (header + 7) / 8 * 8, header - 1));
  file.put(bytes.substr(0, bytes.size() - 1));
  CHECK(read_refusal(file) == fmt::format("torn checkpoint: header says {} bytes, file has {}",
                                          bytes.size(), bytes.size() - 1));
  file.put(bytes + '\0');
  CHECK(read_refusal(file) ==
        fmt::format("altered: header says {} bytes, file has {}", bytes.size(), bytes.size() + 1));
  file.put(bytes);
  CHECK(read_refusal(file) == "accepted");
}

TEST_CASE("a file with any one bit flipped is refused") {
  const TempFile file;
  write_safetensors(file.path, small_file());
  const auto bytes = read_text(file.path);
  for (std::size_t at = 0; at < bytes.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      CAPTURE(at);
      CAPTURE(bit);
      auto altered = bytes;
      altered[at] = static_cast<char>(altered[at] ^ (1 << bit));
      file.put(altered);
      REQUIRE(read_refusal(file) != "accepted");
    }
}

TEST_CASE("padding that is not spaces is refused") {
  const TempFile file;
  auto content = small_file();
  std::string bytes;
  auto brace = std::string::npos;  // the one before the padding, which one of 8 lengths needs not
  for (int i = 0; i < 2 && brace == std::string::npos; ++i) {
    content.metadata["longer"] += 'x';
    write_safetensors(file.path, content);
    bytes = read_text(file.path);
    brace = bytes.find("} ", 8);
  }
  REQUIRE(brace != std::string::npos);
  for (int byte = 0; byte < 256; ++byte) {
    auto altered = bytes;
    altered[brace + 1] = static_cast<char>(byte);
    file.put(altered);
    CHECK((read_refusal(file) == "accepted") == (byte == ' '));
  }
}

TEST_CASE("a length of the header is not believed") {
  const TempFile file;
  file.put("This is a text, and no tensors at all.");
  CHECK(read_refusal(file) ==
        "not a safetensors file: header too large: 2338328219631577172 bytes, at most 100000000");
  file.put(std::string("\xff\xe0\xf5\5\0\0\0\0{}", 10));  // 99 999 999
  CHECK(read_refusal(file) == "torn checkpoint: the header takes 100000007 bytes, file has 10");
  file.put(std::string(8, '\xff') + "{}");
  CHECK(read_refusal(file) ==
        "not a safetensors file: header too large: 18446744073709551615 bytes, at most 100000000");
  file.put(std::string(8, '\0'));
  CHECK(read_refusal(file) == "not a safetensors file: header does not begin with \"{\"");
}

TEST_CASE("a header that is not of the format is refused with the reason") {
  const TempFile file;
  const auto reason = [&](const std::string& header) {
    file.put(assembled(header, std::string(16, '\1')));
    const auto message = read_refusal(file, Digest::kIfPresent);
    const std::string start = "not a safetensors file: ";
    return message.starts_with(start) ? message.substr(start.size()) : message;
  };
  const auto of = [&](const std::string& tensor) { return reason(R"({"t":)" + tensor + "}"); };

  CHECK(of(R"({"dtype":"F32","shape":[4],"data_offsets":[0,16]})") == "accepted");
  CHECK(reason(" {}") == "header does not begin with \"{\"");
  CHECK(reason("[]") == "header does not begin with \"{\"");
  CHECK(reason("{}\n") == "header does not end with \"}\" and spaces");
  CHECK(reason(std::string("{}\0}", 4)) == "header holds a zero byte");
  CHECK(reason("{]}").starts_with("header is not JSON: "));
  CHECK(reason("{\"\xff\":{}}").starts_with("header is not JSON: "));
  CHECK(reason(R"({"t":{"dtype":[[[[0]]]]}})") == "header is nested too deep");
  CHECK(reason(R"({"t":1,"t":1})") == "header names \"t\" twice");
  CHECK(reason(R"({"t":{"shape":[],"shape":[]}})") == "header names \"shape\" twice");
  CHECK(reason(R"({"__metadata__":{"k":"","k":""}})") == "header names \"k\" twice");
  CHECK(reason(R"({"__metadata__":[]})") == "\"__metadata__\" is not an object");
  CHECK(reason(R"({"__metadata__":{"k":1}})") == "metadata \"k\" is not a text");

  CHECK(of("[]") == "tensor \"t\" is not an object");
  CHECK(of("{}") == "tensor \"t\" has unknown dtype null");
  const std::string unknown = R"({"dtype":"F8_E4M3","shape":[16],"data_offsets":[0,16]})";
  CHECK(of(unknown) == "accepted");  // of other programs; in ours it is no dtype
  CHECK(test::refusal([&] {
          safetensors::parse_header(R"({"t":)" + unknown + "}", Digest::kRequired);
        }) == "not a safetensors file: tensor \"t\" has unknown dtype \"F8_E4M3\"");
  CHECK(of(R"({"dtype":"F32","data_offsets":[0,16]})") == "tensor \"t\" has no list \"shape\"");
  CHECK(of(R"({"dtype":"F32","shape":[4]})") == "tensor \"t\" has no list \"data_offsets\"");
  CHECK(of(R"({"dtype":"F32","shape":4,"data_offsets":[0,16]})") ==
        "tensor \"t\" has no list \"shape\"");
  for (const std::string size : {"-4", "4.0", "\"4\"", "9223372036854775808"})
    CHECK(of(fmt::format(R"({{"dtype":"F32","shape":[{}],"data_offsets":[0,16]}})", size)) ==
          fmt::format("tensor \"t\" has {} in \"shape\"", size));
  for (const std::string offsets : {"[0]", "[16,0]", "[0,8,16]", "[]"})
    CHECK(of(fmt::format(R"({{"dtype":"F32","shape":[4],"data_offsets":{}}})", offsets)) ==
          "tensor \"t\" has no [begin, end] in \"data_offsets\"");
  CHECK(of(R"({"dtype":"F32","shape":[3],"data_offsets":[0,16]})") ==
        "tensor \"t\" takes 12 bytes by its shape, 16 by its offsets");
  for (const std::string shape : {"4294967296,4294967296", "0,4294967296,4294967296"})
    CHECK(of(fmt::format(R"({{"dtype":"F32","shape":[{}],"data_offsets":[0,0]}})", shape)) ==
          "tensor \"t\" takes too many bytes by its shape, 0 by its offsets");
  CHECK(of(R"({"dtype":"F32","shape":[3],"data_offsets":[4,16]})") ==
        "tensor \"t\" begins at byte 4, with a gap after the data up to 0");
  CHECK(reason(R"({"t":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},)"
               R"("u":{"dtype":"F32","shape":[3],"data_offsets":[4,16]}})") ==
        "tensor \"u\" begins at byte 4, inside the data up to 16");
  CHECK(of(R"({"dtype":"U8","shape":[1000000000000],"data_offsets":[0,1000000000000]})")
            .starts_with("torn checkpoint: header says 1000000000"));
  CHECK(of(R"({"dtype":"U8","shape":[15],"data_offsets":[0,15]})").starts_with("altered: header"));
  file.put(assembled(R"({"t":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", "\2"));
  CHECK(read_refusal(file, Digest::kIfPresent) ==
        "not a safetensors file: tensor \"t\" is BOOL and holds more than 0 and 1");
}

TEST_CASE("what is not there, or no file, is refused") {
  const TempFile file;
  CHECK(read_refusal(file) == "cannot be read: No such file or directory");
  fs::create_directory(file.path);
  CHECK(read_refusal(file) == "cannot be read: a folder or device");
}

TEST_CASE("what the format cannot hold is refused before anything is written") {
  const TempFile file;
  const auto reason = [&](const std::string& name, const torch::Tensor& tensor) {
    return write_refusal(file.path, {.tensors = {{name, tensor}}, .metadata = {}});
  };
  CHECK(reason("t", torch::Tensor()) ==
        "cannot be written: tensor \"t\" is undefined; leave it out");
  CHECK(reason("t", torch::zeros({2}, torch::kComplexFloat)) ==
        "cannot be written: tensor \"t\" is ComplexFloat; convert it to one of "
        "F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL");
  CHECK(reason("t", torch::eye(2).to_sparse()) ==
        "cannot be written: tensor \"t\" is sparse; make it dense");
  CHECK(reason("__metadata__", torch::ones({1})) ==
        "cannot be written: tensor \"__metadata__\" has the name of the metadata; rename it");
  CHECK(reason("\xff", torch::ones({1})) ==
        "cannot be written: a name or the metadata are not UTF-8; encode them");
  CHECK(fs::is_empty(file.path.parent_path()));
}

TEST_CASE("a checkpoint that cannot be written leaves the one before it") {
  const TempFile file;
  write_safetensors(file.path, small_file());
  const auto before = read_text(file.path);
  std::string message;
  {
    rlimit old_limit{};
    getrlimit(RLIMIT_FSIZE, &old_limit);
    const rlimit limit{4096, old_limit.rlim_max};
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    message = write_refusal(file.path, {.tensors = {{"t", torch::ones({5000})}}, .metadata = {}});
    setrlimit(RLIMIT_FSIZE, &old_limit);
    std::signal(SIGXFSZ, handler);
  }
  CHECK(message ==
        "cannot be written: File too large; raise the limit on file sizes (ulimit -f), or choose "
        "another file system");
  CHECK(read_text(file.path) == before);
  CHECK(std::distance(fs::directory_iterator(file.path.parent_path()), fs::directory_iterator()) ==
        1);
}
