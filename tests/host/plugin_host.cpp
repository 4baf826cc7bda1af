#include "marginalia_test.h"

#include <elf.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include <fmt/format.h>

#include <marginalia/build_stamp.h>
#include <marginalia/energy.h>
#include <marginalia/files.h>
#include <marginalia/plugin.h>

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

fs::path bad(const std::string& name) {
  return fs::path(MARGINALIA_BAD_PLUGIN_DIR) / name / (name + ".so");
}
fs::path good(const std::string& name) {
  return fs::path(MARGINALIA_PLUGIN_DIR) / ("marginalia_" + name + ".so");
}

/// What load_plugin says of a library, without the path that every message begins with; also checks
/// that nothing of it stays in the registry.
std::string find_refusal(const fs::path& library, Registry registry = {}) {
  const auto before = registry.descriptions().size();
  const auto text = test::refusal([&] { load_plugin(library, registry); });
  CHECK(registry.descriptions().size() == before);
  const auto where = library.string() + ": ";
  return text.starts_with(where) ? text.substr(where.size()) : text;
}

Registry with(const std::string& plugin) {
  Registry registry;
  load_plugin(good(plugin), registry);
  return registry;
}

void write(const fs::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

/// The program's answer: exit code, then all it wrote.
struct Reply {
  int code;
  std::string text;
};
Reply program(const std::string& arguments, const std::string& plugins = "") {
  const auto command =
      fmt::format("MARGINALIA_PLUGINS='{}' '{}' {} 2>&1", plugins, MARGINALIA_PROGRAM, arguments);
  Reply reply{-1, ""};
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[4096];
  while (const auto count = fread(buffer, 1, sizeof buffer, pipe))
    reply.text.append(buffer, count);
  const int status = pclose(pipe);
  reply.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return reply;
}

TEST_CASE("libraries that are no plugin of this host are refused, each with its reason") {
  CHECK(find_refusal(bad("not_a_plugin")) ==
        "exports no \"marginalia_plugin\"; does it end with MARGINALIA_PLUGIN(...)?");
  CHECK(find_refusal(bad("older_headers")) ==
        fmt::format("built with other headers than this host; the plugin is older: rebuild it\n"
                    "  plugin: headers 0.0.9 0123456789abcdef, another compiler\n  host:   {}",
                    kBuildStamp));
  CHECK(find_refusal(bad("other_build")) ==
        fmt::format("built differently from this host; rebuild it with the host's tools\n"
                    "  plugin: headers {} {}, Turbo C++ 3.0\n  host:   {}",
                    MARGINALIA_HEADERS_VERSION, MARGINALIA_HEADERS_DIGEST, kBuildStamp));
  CHECK(find_refusal(bad("undefined_symbol")) ==
        fmt::format("cannot be loaded: {}: undefined symbol: not_defined_anywhere",
                    bad("undefined_symbol").string()));
  CHECK(find_refusal(bad("throws_a_number")) == "failed while adding its components");
}

TEST_CASE("two plugins cannot offer the same name") {
  const auto registry = with("ising");
  CHECK(find_refusal(bad("taken_name"), registry) ==
        "energy \"ising\" of plugin taken_name is already offered by plugin ising; rename one");
  CHECK(registry.find("energy", "ising")->plugin == "ising");
}

TEST_CASE("a plugin that fails half-way registers nothing") {
  auto registry = with("ising");
  const auto text = test::refusal([&] { load_plugin(bad("half_way"), registry); });
  CHECK(text == bad("half_way").string() + ": the second half is missing");
  CHECK(registry.find("energy", "half_way_first") == nullptr);
  CHECK(registry.names("energy") == std::vector<std::string>{"ising"});
  const auto spec = Spec::from_text(R"({"type": "ising", "side": 3})");
  CHECK(registry.make<Energy>(spec)->space().dimension() == 9);  // what was there still works
}

TEST_CASE("a plugin whose symbols were stripped is loaded") {
  Registry registry;
  CHECK(load_plugin(bad("stripped"), registry).name == "stripped");
  CHECK(registry.names("energy") == std::vector<std::string>{"stripped"});
}

TEST_CASE("what a component throws when it is built names its plugin") {
  Registry registry;
  const auto plugin = load_plugin(bad("throws_on_construction"), registry);
  CHECK(plugin.name == "throws_on_construction");
  CHECK(plugin.version == "0.0");
  CHECK(plugin.library == bad("throws_on_construction"));
  const auto spec = Spec::from_text(R"({"type": "fragile"})");
  CHECK(test::refusal([&] { registry.make<Energy>(spec); }) ==
        "energy fragile (plugin throws_on_construction): the reactor is cold");
}

TEST_CASE("files that are no shared library are refused before any code of them runs") {
  const test::TempDir folder;
  const auto file = folder / "x.so";
  const auto refused = [&](const std::string& bytes) {
    write(file, bytes);
    return find_refusal(file);
  };
  CHECK(refused("") == "not a shared library (no ELF header)");
  CHECK(refused("\x7f") == "not a shared library (no ELF header)");
  CHECK(refused("Shared libraries are not written in this language, however long the text is.") ==
        "not a shared library (no ELF header)");

  auto bytes = read_text(good("ising"));
  auto& header = *reinterpret_cast<Elf64_Ehdr*>(bytes.data());
  header.e_ident[EI_CLASS] = ELFCLASS32;
  CHECK(refused(bytes) == "not a 64-bit shared library");
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_type = ET_REL;
  CHECK(refused(bytes) == "not a 64-bit shared library");
  header.e_type = ET_DYN;
  header.e_machine = EM_S390;
  CHECK(refused(bytes) == "built for another processor");

  fs::remove(file);
  CHECK(find_refusal(file) == "cannot be read: No such file or directory");
  fs::create_symlink("nowhere", file);
  CHECK(find_refusal(file) == "cannot be read: No such file or directory");
  fs::remove(file);
  fs::create_directory(file);
  CHECK(find_refusal(file) == "not a file");
}

TEST_CASE("a library that was cut short is refused, wherever it was cut") {
  const test::TempDir folder;
  const auto file = folder / "x.so";
  const auto bytes = read_text(good("ising"));
  for (const std::size_t length : {64ul, 65ul, 200ul, 1000ul, 4096ul, bytes.size() / 2,
                                   bytes.size() * 9 / 10, bytes.size() - 1}) {
    CAPTURE(length);
    write(file, bytes.substr(0, length));
    CHECK(find_refusal(file) ==
          fmt::format("truncated: {} bytes, its headers speak of {}; build or copy it again",
                      length, bytes.size()));
  }
  write(file, bytes.substr(0, 63));
  CHECK(find_refusal(file) == "not a shared library (no ELF header)");
}

TEST_CASE("a header that lies about its tables is refused") {
  const test::TempDir folder;
  const auto file = folder / "x.so";
  const auto bytes = read_text(good("ising"));
  const auto refused = [&](auto change) {
    auto copy = bytes;
    change(*reinterpret_cast<Elf64_Ehdr*>(copy.data()));
    write(file, copy);
    return find_refusal(file);
  };
  const auto truncated = fmt::format("truncated: {} bytes, its headers speak of ", bytes.size());
  CHECK(refused([](auto& h) { h.e_shoff = ~0ull - 8; }).starts_with(truncated));
  CHECK(refused([](auto& h) { h.e_shoff += 4096; }).starts_with(truncated));
  CHECK(refused([](auto& h) { h.e_phoff = ~0ull - 8; }).starts_with(truncated));
  CHECK(refused([](auto& h) { h.e_phnum = 60000; }).starts_with(truncated));
  CHECK(refused([](auto& h) { h.e_shentsize = 8; }) == "not a 64-bit shared library");
  CHECK(refused([](auto& h) { h.e_shnum = 0; }) ==
        "exports no \"marginalia_plugin\"; does it end with MARGINALIA_PLUGIN(...)?");
}

TEST_CASE("a host keeps why it refused a library, and loads the others in name order") {
  const test::TempDir folder;
  const auto canonical = fs::canonical(folder.path());
  fs::create_symlink(good("mlp"), folder / "b.so");
  fs::create_symlink(good("ising"), folder / "a.so");
  fs::create_symlink(bad("taken_name"), folder / "c.so");
  write(folder / "d.so", "text");
  write(folder / "notes.txt", "not looked at");
  PluginHost host;
  host.load_folder(folder.path(), false);
  host.load_folder(folder.path() / ".." / folder.path().filename(), false);  // once is enough
  REQUIRE(host.loaded().size() == 2);
  CHECK(host.loaded()[0].name == "ising");
  CHECK(host.loaded()[1].name == "mlp");
  CHECK(
      host.refused() ==
      std::vector<std::string>{
          (canonical / "c.so").string() +
              ": energy \"ising\" of plugin taken_name is already offered by plugin ising; rename "
              "one",
          (canonical / "d.so").string() + ": not a shared library (no ELF header)"});
  CHECK(host.folders() == std::vector<fs::path>{canonical});

  PluginHost strict;
  CHECK(test::refusal([&] { strict.load_folder(folder.path(), true); }) == host.refused()[0]);
}

TEST_CASE("a folder of plugins that is not there matters only when it was asked for") {
  PluginHost host;
  host.load_folder("/no/such/folder", false);
  CHECK(host.folders().empty());
  CHECK(test::refusal([&] { host.load_folder("/no/such/folder", true); }) ==
        "/no/such/folder: no such folder of plugins");
}

TEST_CASE("the program exits with 3 for a refused plugin that was asked for, else it warns") {
  const auto folder = bad("older_headers").parent_path().string();
  const auto why =
      bad("older_headers").string() +
      fmt::format(": built with other headers than this host; the plugin is older: rebuild it\n"
                  "  plugin: headers 0.0.9 0123456789abcdef, another compiler\n  host:   {}\n",
                  kBuildStamp);
  const auto asked = program("list tool --plugins '" + folder + "'");
  CHECK(asked.code == 3);
  CHECK(asked.text == "marginalia: " + why);

  const auto found = program("list energy", folder);
  CHECK(found.code == 0);
  CHECK(found.text.starts_with("marginalia: warning: plugin refused: " + why));
  CHECK(found.text.find("energy   ising") != std::string::npos);

  const auto missing = program("list --plugins /no/such/folder");
  CHECK(missing.code == 3);
  CHECK(missing.text == "marginalia: /no/such/folder: no such folder of plugins\n");
}

TEST_CASE("a spec that needs what is not loaded exits with 3 when a plugin was refused, else 2") {
  const test::TempDir folder;
  write(folder / "spec.json", R"({"marginalia": 2, "energy": {"type": "older_headers"},
                                  "network": {"type": "mlp"}, "family": {"type": "mam"}})");
  const auto check = fmt::format("check '{}'", (folder / "spec.json").string());
  const auto refused = program(check, bad("older_headers").parent_path().string());
  CHECK(refused.code == 3);
  CHECK(refused.text.find("no energy is called \"older_headers\"") != std::string::npos);
  CHECK(program(check).code == 2);
}

}  // namespace
