/// `marginalia data` against a server of our own.
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <utility>  // Boost 1.74's asio uses it and does not include it

#include <fmt/format.h>
#include <boost/asio.hpp>

#include <marginalia/files.h>

#include "datasets/folder.h"
#include "program.h"

using namespace marginalia;
using test::has, test::Result;
namespace fs = std::filesystem;
using boost::asio::ip::tcp;

namespace {

/// What is served at a path.
struct Reply {
  std::string body = {};
  bool ranges = true;          // else a Range is ignored
  std::size_t cut = SIZE_MAX;  // bytes of the body after which the connection breaks, once
  std::string location = {};   // a redirection
};

/// An HTTP server on the loopback, one request a connection.
class Server {
 public:
  Server() : acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}) {
    thread_ = std::thread([this] { serve(); });
  }
  ~Server() {
    stopped_ = true;
    boost::system::error_code ignored;
    tcp::socket(context_).connect(acceptor_.local_endpoint(), ignored);  // wakes accept
    thread_.join();
  }

  std::string url() const {
    return fmt::format("http://127.0.0.1:{}", acceptor_.local_endpoint().port());
  }
  void put(const std::string& path, Reply reply) {
    const std::lock_guard lock(mutex_);
    replies_[path] = std::move(reply);
  }
  /// "PATH" or "PATH from N", in the order they came.
  std::vector<std::string> asked() {
    const std::lock_guard lock(mutex_);
    return std::exchange(asked_, {});
  }

 private:
  void serve() {
    while (true) {
      tcp::socket socket(context_);
      boost::system::error_code error;
      acceptor_.accept(socket, error);
      if (stopped_) return;
      std::string head;
      boost::asio::read_until(socket, boost::asio::dynamic_buffer(head), "\r\n\r\n", error);
      if (!error) boost::asio::write(socket, boost::asio::buffer(answer(head)), error);
    }
  }

  std::string answer(const std::string& head) {
    const std::lock_guard lock(mutex_);
    const auto path = head.substr(4, head.find(' ', 4) - 4);
    const auto range = head.find("\r\nRange: bytes=");
    std::size_t from = range == head.npos ? 0 : std::stoul(head.substr(range + 15));
    asked_.push_back(from == 0 ? path : fmt::format("{} from {}", path, from));
    const auto reply = replies_.find(path);
    if (reply == replies_.end())
      return "HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\nConnection: close\r\n\r\nnone\r\n";
    auto& [body, ranges, cut, location] = reply->second;
    if (!location.empty())
      return fmt::format("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n"
                         "Connection: close\r\n\r\n",
                         location);
    if (!ranges) from = 0;
    if (from >= body.size())
      return "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const auto status = from == 0 ? std::string("200 OK")
                                  : fmt::format("206 Partial Content\r\nContent-Range: bytes "
                                                "{}-{}/{}",
                                                from, body.size() - 1, body.size());
    const auto most = std::exchange(cut, SIZE_MAX);
    return fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", status,
                       body.size() - from, body.substr(from, most));
  }

  boost::asio::io_context context_;
  tcp::acceptor acceptor_;
  std::mutex mutex_;
  std::map<std::string, Reply> replies_;
  std::vector<std::string> asked_;
  std::atomic<bool> stopped_ = false;
  std::thread thread_;
};

/// The content of published/plain.bin.
std::string plain() {
  std::string text;
  std::uint32_t state = 1;
  for (int i = 0; i < 200000; ++i) {
    state = state * 1664525 + 1013904223;
    text += static_cast<char>(state >> 24);
  }
  return text;
}

std::string packed() {
  std::string text;
  for (int i = 0; i < 50; ++i)
    text += "a text to be packed\n";
  const test::Folder folder;
  folder.pack("a", text);
  return read_text(folder.path / "a");
}

/// `marginalia data ...` with the tests' plugin; the data directory is written as DATA.
Result data(const fs::path& directory, const std::string& words, const std::string& before = "") {
  auto result = test::run_shell(
      fmt::format("{} '{}' data {} --plugins '{}' --data '{}'", before, MARGINALIA_PROGRAM, words,
                  MARGINALIA_BAD_PLUGIN_DIR "/published", directory.string()));
  for (auto* text : {&result.out, &result.err})
    for (auto at = text->find(directory.string()); at != text->npos;
         at = text->find(directory.string()))
      text->replace(at, directory.string().size(), "DATA");
  return result;
}

using Paths = std::vector<std::string>;

}  // namespace

TEST_CASE("data fetch brings the files to a folder that it makes, once") {
  Server server;
  server.put("/files/plain.bin", {plain()});
  server.put("/files/packed.txt.gz", {.location = "/elsewhere/packed.txt.gz"});
  server.put("/elsewhere/packed.txt.gz", {packed()});
  const test::TempDir folder;
  const auto to = folder / "new/data";
  auto result = data(to, "fetch published --from " + server.url() + "/");
  CAPTURE(result.err);
  CHECK(result.code == 0);
  CHECK(result.out == "published  whole    DATA/published/plain.bin\n"
                      "published  whole    DATA/published/packed.txt.gz\n");
  CHECK(
      has(result.err, "published/plain.bin: from " + server.url() + "/files/plain.bin (0.2 MB)\n"));
  CHECK(read_text(to / "published/plain.bin") == plain());
  CHECK(read_text(to / "published/packed.txt.gz") == packed());
  CHECK(server.asked() ==
        Paths{"/files/plain.bin", "/files/packed.txt.gz", "/elsewhere/packed.txt.gz"});
  CHECK(data(to, "fetch published --from " + server.url()).code == 0);
  CHECK(server.asked().empty());
  CHECK(data(to, "verify published").code == 0);
}

TEST_CASE("a cut connection leaves a part, and the same command goes on from there") {
  Server server;
  server.put("/files/plain.bin", {plain(), true, 150000});
  const test::TempDir folder;
  const auto command = "fetch published plain --from " + server.url();
  auto result = data(folder.path(), command);
  CHECK(result.code == 1);
  CHECK(has(result.err, "150000 bytes are kept, the same command goes on from there"));
  CHECK_FALSE(fs::exists(folder / "published/plain.bin"));
  CHECK(fs::file_size(folder / "published/plain.bin.part") == 150000);
  CHECK(has(data(folder.path(), "list published").out, "published  partial  published/plain.bin"));
  result = data(folder.path(), command);
  CHECK(result.code == 0);
  CHECK(has(result.err, "(from byte 150000 on)"));
  CHECK(server.asked() == Paths{"/files/plain.bin", "/files/plain.bin from 150000"});
  CHECK(read_text(folder / "published/plain.bin") == plain());
  CHECK_FALSE(fs::exists(folder / "published/plain.bin.part"));
}

TEST_CASE("a server without ranges, and a part that is of something else, begin anew") {
  const auto text = plain();
  for (const bool ranges : {false, true})
    for (const auto& part :
         {text.substr(0, 1000), std::string(1000, 'x'), text, std::string(300000, 'x')}) {
      CAPTURE(ranges);
      CAPTURE(part.size());
      Server server;
      server.put("/files/plain.bin", {text, ranges});
      const test::TempDir folder;
      fs::create_directory(folder / "published");
      write_atomically(folder / "published/plain.bin.part", part);
      const auto result = data(folder.path(), "fetch published plain --from " + server.url());
      CAPTURE(result.err);
      CHECK(result.code == 0);
      CHECK(read_text(folder / "published/plain.bin") == text);
    }
}

TEST_CASE("a wrong checksum, a page that is not there and no server fail; nothing gets the name") {
  Server server;
  server.put("/files/plain.bin", {"not what was published"});
  const test::TempDir folder;
  auto result = data(folder.path(), "fetch published --from " + server.url());
  CHECK(result.code == 1);
  CHECK(result.out.empty());
  CHECK(has(result.err, server.url() + "/files/plain.bin: what came is not the published file: "));
  CHECK(has(result.err, "whose digest is sha256:"));
  CHECK(has(result.err, server.url() + "/files/packed.txt.gz: is not there (HTTP 404)"));
  for (const auto* name : {"plain.bin", "plain.bin.part", "packed.txt.gz", "packed.txt.gz.part"})
    CHECK_FALSE(fs::exists(folder / "published" / name));

  result = data(folder.path(), "fetch published plain --from http://127.0.0.1:9");
  CHECK(result.code == 1);
  CHECK(has(result.err, "http://127.0.0.1:9/files/plain.bin: "));
  CHECK(has(result.err, "try again later"));
}

TEST_CASE("data verify tells whole files from damaged and missing ones, in any packing") {
  const test::Folder folder;
  CHECK(data(folder.path, "verify published").code == 1);
  CHECK(data(folder.path, "verify").code == 0);  // without a name, missing is no fault
  folder.pack("published/plain.bin.gz", plain());
  folder.write("published/packed.txt", "a text to be pakced\n");
  auto result = data(folder.path, "verify published");
  CHECK(result.code == 1);
  CHECK(result.out == "published  whole    DATA/published/plain.bin.gz\n"
                      "published  damaged  DATA/published/packed.txt\n");
  CHECK(has(result.err,
            "DATA/published/packed.txt: is not the published file, whose digest is md5:"));
  CHECK(data(folder.path, "verify").code == 1);
  fs::resize_file(folder.path / "published/plain.bin.gz", 1000);
  result = data(folder.path, "verify published plain");
  CHECK(result.code == 1);
  CHECK(has(result.err, "DATA/published/plain.bin.gz: cannot be unpacked: unexpected end of file"));
  result = data(folder.path, "fetch published plain --from http://127.0.0.1:9");
  CHECK(result.code == 1);  // what is there is not overwritten
  CHECK(has(result.err, "remove it"));
  CHECK(fs::file_size(folder.path / "published/plain.bin.gz") == 1000);
}

TEST_CASE("data fetch says so where it may not write") {
  Server server;
  server.put("/files/plain.bin", {plain()});
  const test::TempDir folder;
  const auto to = folder / "data";
  fs::create_directory(to);
  const bool mounted = mount("tmpfs", to.c_str(), "tmpfs", MS_RDONLY, nullptr) == 0;
  if (!mounted && geteuid() == 0) {
    MESSAGE("not run: root may write anywhere, and mounting a read-only folder is not permitted");
    return;
  }
  if (!mounted) chmod(to.c_str(), 0555);
  const auto result = data(to, "fetch published plain --from " + server.url());
  CHECK(result.code == 1);
  CHECK(has(result.err, "DATA/published: cannot be written: "));
  CHECK(has(result.err, "choose a folder that you may write to"));
  CHECK(server.asked().empty());
  if (mounted) umount(to.c_str());
}

TEST_CASE("wrong requests to data are refused with exit code 2") {
  const test::TempDir folder;
  const auto refuse = [&](const std::string& words, const std::string& message) {
    const auto result = data(folder.path(), words);
    CAPTURE(result.err);
    CHECK(result.code == 2);
    CHECK(has(result.err, message));
  };
  refuse("fetch", "data fetch: needs the NAME of a dataset or an energy");
  refuse("fetch max_cuts", "did you mean \"max_cut\"?");
  refuse("fetch ising", "energy \"ising\" has no public files");
  refuse("fetch publishd", "did you mean \"published\"?");
  refuse("fetch published x", "no file of published begins with \"x\"; there is:");
  refuse("fetch text", "dataset \"text\" has no public files");
  refuse("get published", "get");
}

TEST_CASE("data list knows every dataset's and energy's files and whether they are there") {
  const test::Folder folder;
  folder.write("text8/text8", "x");
  folder.write("uai2014/Alchemy_11.uai", "x");
  folder.pack("maxcut/biqmac/pm1s_100.0.txt.gz", "x");
  folder.write("binarized_mnist/binarized_mnist_test.bits", "x");
  const auto result = data(folder.path, "list");
  CHECK(result.code == 0);
  for (const auto* line :
       {"mnist        missing  mnist/train-images-idx3-ubyte.gz ",
        "mnist        there    binarized_mnist/binarized_mnist_test.amat ",
        "table        missing  density/nltcs.train.data ", "text8        there    text8/text8.zip ",
        "factor_graph there    uai2014/Alchemy_11.uai ",
        "factor_graph missing  uai2014/Alchemy_11.uai.evid ",
        "max_cut      missing  maxcut/gset/G81.txt ",
        "max_cut      there    maxcut/biqmac/pm1s_100.0.txt ",
        "landscape    missing  tf_binding/SIX6_REF_R1_8mers.tsv ",
        "http://mattmahoney.net/dc/text8.zip\n"}) {
    CAPTURE(line);
    CHECK(has(result.out, line));
  }
}

TEST_CASE("a file of one line of two gigabytes is refused before it is read") {
  const test::TempDir folder;
  const auto file = folder / "line.csv";
  write_atomically(file, "a,b\n");
  fs::resize_file(file, 2'000'000'000);  // zeros, which take no space
  const auto result = test::run_marginalia(fmt::format("data describe '{}'", file.string()));
  CHECK(result.code == 2);
  CHECK(has(result.err, ":2: is longer than 16777216 bytes, the most that a line may have"));
}

TEST_CASE("the real files are whole" * doctest::test_suite("data/mnist")) {
  const auto real = test::real_data("mnist/train-images-idx3-ubyte.gz");
  if (real.empty()) return;
  const auto result = data(real, "verify mnist");
  CHECK(result.code == 0);
  CHECK(has(result.out, "whole    DATA/binarized_mnist/binarized_mnist_train.bits.gz"));
  CHECK(data(real, "verify table").code == 0);
}

TEST_CASE("the real graphs of max_cut are whole" * doctest::test_suite("data/maxcut")) {
  const auto real = test::real_data("maxcut/gset/G81.txt.gz");
  if (real.empty()) return;
  CHECK(data(real, "verify max_cut").code == 0);
}

TEST_CASE("the real factor graphs are whole" * doctest::test_suite("data/uai2014")) {
  const auto real = test::real_data("uai2014/instances.csv");
  if (real.empty()) return;
  CHECK(data(real, "verify factor_graph").code == 0);
}

TEST_CASE("the real landscapes are whole" * doctest::test_suite("data/tf_binding")) {
  const auto real = test::real_data("tf_binding/exact.csv");
  if (real.empty()) return;
  CHECK(data(real, "verify landscape").code == 0);
}
