#include <elf.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <set>
#include <sstream>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <boost/dll/library_info.hpp>
#include <boost/dll/runtime_symbol_info.hpp>
#include <boost/dll/shared_library.hpp>

#include <marginalia/error.h>
#include <marginalia/plugin.h>
#include <marginalia/plugin_host.h>

namespace marginalia {

namespace dll = boost::dll;
namespace fs = std::filesystem;

template <class... Args>
[[noreturn]] static void refuse(const fs::path& library, fmt::format_string<Args...> why,
                                Args&&... args) {
  throw PluginError(
      fmt::format("{}: {}", library.string(), fmt::format(why, std::forward<Args>(args)...)));
}

#if defined(__x86_64__)
constexpr auto kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr auto kMachine = EM_AARCH64;
#else
#error "name this processor's number of elf.h here"
#endif

/// a + b, or the largest number where that is beyond it: headers may lie.
static std::uint64_t sum(std::uint64_t a, std::uint64_t b) {
  return a + b < a ? std::numeric_limits<std::uint64_t>::max() : a + b;
}

/// Refuses a file whose loading would kill the process: no ELF library of this machine, or cut
/// short (the loader maps the missing pages and dies of SIGBUS).
static void check_elf(const fs::path& path) {
  std::error_code failed;
  const auto status = fs::status(path, failed);
  if (fs::exists(status) && !fs::is_regular_file(status)) refuse(path, "not a file");
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse(path, "cannot be read: {}", std::strerror(errno));
  const auto size = fs::file_size(path);
  Elf64_Ehdr header{};
  file.read(reinterpret_cast<char*>(&header), sizeof header);
  if (!file || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    refuse(path, "not a shared library (no ELF header)");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type != ET_DYN)
    refuse(path, "not a 64-bit shared library");
  if (header.e_machine != kMachine) refuse(path, "built for another processor");
  auto end = sum(header.e_shoff, std::uint64_t{header.e_shnum} * header.e_shentsize);
  for (int i = 0; i < header.e_phnum && file; ++i) {
    Elf64_Phdr segment{};
    file.seekg(static_cast<std::streamoff>(header.e_phoff + std::uint64_t(i) * header.e_phentsize));
    file.read(reinterpret_cast<char*>(&segment), sizeof segment);
    if (segment.p_type == PT_LOAD) end = std::max(end, sum(segment.p_offset, segment.p_filesz));
  }
  if (!file || end > size)
    refuse(path, "truncated: {} bytes, its headers speak of {}; build or copy it again", size, end);
}

static void check_exports(const fs::path& path) {
  std::vector<std::string> symbols;
  try {
    symbols = dll::library_info(path).symbols();
  } catch (const std::exception& e) {
    refuse(path, "not a shared library: {}", e.what());
  }
  if (!std::ranges::count(symbols, "marginalia_plugin"))
    refuse(path, "exports no \"marginalia_plugin\"; does it end with MARGINALIA_PLUGIN(...)?");
}

/// The linker's own words in what Boost.DLL throws: it adds an errno that has nothing to say.
static std::string linker_says(std::string text) {
  constexpr std::string_view kBefore = "dlerror system message: ", kAfter = "): ";
  const auto begin = text.find(kBefore), end = text.rfind(kAfter);
  if (begin == text.npos || end == text.npos) return text;
  return text.substr(begin + kBefore.size(), end - begin - kBefore.size());
}

/// The libraries of this process, for ever.
static dll::shared_library& open(const fs::path& path) {
  static auto& libraries = *new std::vector<std::unique_ptr<dll::shared_library>>;
  try {  // the overload that throws: the one that fills an error_code drops the linker's own words
    const auto mode = dll::load_mode::rtld_now | dll::load_mode::rtld_local;
    return *libraries.emplace_back(std::make_unique<dll::shared_library>(path, mode));
  } catch (const std::exception& e) {
    refuse(path, "cannot be loaded: {}", linker_says(e.what()));
  }
}

static void check_manifest(const fs::path& path, const PluginManifest& plugin) {
  if (plugin.abi != kPluginAbi)
    refuse(path, "built for plugin ABI {}, this host speaks {}; rebuild it against this version",
           plugin.abi, kPluginAbi);
  if (plugin.build != std::string_view(kBuildStamp))
    refuse(path, "built differently from this host; rebuild it with the host's tools\n"
                 "  plugin: {}\n  host:   {}",
           plugin.build, kBuildStamp);
}

LoadedPlugin load_plugin(const fs::path& path, Registry& registry) {
  check_elf(path);
  check_exports(path);
  const auto& plugin = open(fs::absolute(path)).get<const PluginManifest>("marginalia_plugin");
  check_manifest(path, plugin);
  Registry extended = registry;  // a plugin that fails half-way adds nothing
  extended.set_plugin(plugin.name, plugin.version);
  try {
    plugin.add_to(extended);
  } catch (const std::exception& e) {
    refuse(path, "{}", message_of(e));
  } catch (...) {
    refuse(path, "failed while adding its components");
  }
  registry = std::move(extended);
  registry.set_plugin("host", "");
  return {plugin.name, plugin.version, fs::absolute(path)};
}

void PluginHost::load_folder(const fs::path& folder, bool required) {
  std::error_code failed;
  if (!fs::is_directory(folder, failed)) {
    if (required) throw PluginError(fmt::format("{}: no such folder of plugins", folder.string()));
    return;
  }
  const auto canonical = fs::canonical(folder);
  if (std::ranges::count(folders_, canonical)) return;
  folders_.push_back(canonical);
  std::set<fs::path> libraries;
  for (const auto& entry : fs::directory_iterator(canonical))
    if (entry.path().extension() == dll::shared_library::suffix()) libraries.insert(entry.path());
  for (const auto& library : libraries) {
    try {
      loaded_.push_back(load_plugin(library, registry_));
    } catch (const PluginError& e) {
      if (required) throw;
      refused_.push_back(e.what());
    }
  }
}

std::vector<fs::path> default_plugin_folders() {
  const fs::path program = dll::program_location().parent_path().string();
  std::vector<fs::path> folders{program.parent_path() / "plugins",
                                program.parent_path() / MARGINALIA_INSTALLED_PLUGINS};
  if (const char* listed = std::getenv("MARGINALIA_PLUGINS")) {
    std::stringstream all(listed);
    for (std::string folder; std::getline(all, folder, ':');)
      if (!folder.empty()) folders.emplace_back(folder);
  }
  return folders;
}

}  // namespace marginalia
