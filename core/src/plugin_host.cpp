#include <elf.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <boost/dll/shared_library.hpp>

#include <marginalia/error.h>
#include <marginalia/plugin.h>
#include <marginalia/plugin_folders.h>
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

/// The tables of a shared library, read without trusting them.
struct ElfTables {
  std::string bytes;  ///< the whole file
  std::vector<Elf64_Phdr> segments;
  std::vector<Elf64_Shdr> sections;
};

static void check_size(const fs::path& path, std::uint64_t size, std::uint64_t end) {
  if (end > size)
    refuse(path, "truncated: {} bytes, its headers speak of {}; build or copy it again", size, end);
}

template <class T>
static std::vector<T> table(const std::string& bytes, std::uint64_t offset, std::size_t count) {
  std::vector<T> entries(count);
  if (count > 0) std::memcpy(entries.data(), bytes.data() + offset, count * sizeof(T));
  return entries;
}

/// Refuses a file whose loading would kill the process: no ELF library of this machine, or cut
/// short (the loader maps the missing pages and dies of SIGBUS).
static ElfTables read_elf(const fs::path& path) {
  std::error_code failed;
  const auto status = fs::status(path, failed);
  if (fs::exists(status) && !fs::is_regular_file(status)) refuse(path, "not a file");
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse(path, "cannot be read: {}", std::strerror(errno));
  ElfTables elf{{std::istreambuf_iterator<char>(file), {}}, {}, {}};
  const auto size = elf.bytes.size();
  Elf64_Ehdr header{};
  if (size < sizeof header || !elf.bytes.starts_with(ELFMAG))
    refuse(path, "not a shared library (no ELF header)");
  std::memcpy(&header, elf.bytes.data(), sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type != ET_DYN ||
      (header.e_phnum > 0 && header.e_phentsize != sizeof(Elf64_Phdr)) ||
      (header.e_shnum > 0 && header.e_shentsize != sizeof(Elf64_Shdr)))
    refuse(path, "not a 64-bit shared library");
  if (header.e_machine != kMachine) refuse(path, "built for another processor");
  check_size(path, size, sum(header.e_shoff, header.e_shnum * sizeof(Elf64_Shdr)));
  check_size(path, size, sum(header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr)));
  elf.segments = table<Elf64_Phdr>(elf.bytes, header.e_phoff, header.e_phnum);
  elf.sections = table<Elf64_Shdr>(elf.bytes, header.e_shoff, header.e_shnum);
  for (const auto& s : elf.segments)
    if (s.p_type == PT_LOAD) check_size(path, size, sum(s.p_offset, s.p_filesz));
  for (const auto& s : elf.sections)
    if (s.sh_type != SHT_NOBITS) check_size(path, size, sum(s.sh_offset, s.sh_size));
  return elf;
}

/// Refuses a library without a manifest before any code of it runs. Not by Boost.DLL's
/// library_info: that reads the symbols which `strip` takes away.
static void check_exports(const fs::path& path, const ElfTables& elf) {
  constexpr std::string_view kName("marginalia_plugin", sizeof "marginalia_plugin");  // with its 0
  const std::string_view bytes = elf.bytes;
  for (const auto& section : elf.sections) {
    if (section.sh_type != SHT_DYNSYM || section.sh_link >= elf.sections.size()) continue;
    const auto& names = elf.sections[section.sh_link];
    const auto strings = names.sh_type == SHT_NOBITS ? std::string_view()
                                                     : bytes.substr(names.sh_offset, names.sh_size);
    const auto count = section.sh_size / sizeof(Elf64_Sym);
    for (const auto& symbol : table<Elf64_Sym>(elf.bytes, section.sh_offset, count))
      if (symbol.st_shndx != SHN_UNDEF && symbol.st_name < strings.size() &&
          strings.substr(symbol.st_name).starts_with(kName))
        return;
  }
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
    refuse(path,
           "built differently from this host; rebuild it with the host's tools\n"
           "  plugin: {}\n  host:   {}",
           plugin.build, kBuildStamp);
}

LoadedPlugin load_plugin(const fs::path& path, Registry& registry) {
  check_exports(path, read_elf(path));
  const auto file = fs::absolute(path);
  const auto& plugin = open(file).get<const PluginManifest>("marginalia_plugin");
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
  return {plugin.name, plugin.version, file};
}

void PluginHost::load(const fs::path& library) {
  loaded_.push_back(load_plugin(library, registry_));
}

void PluginHost::load_folder(const fs::path& folder, bool required) {
  for (const auto& [path, _] : existing({{folder, required}})) {
    if (std::ranges::count(folders_, path)) return;
    folders_.push_back(path);
    for (const auto& library : plugin_libraries(path)) {
      try {
        load(library);
      } catch (const PluginError& e) {
        if (required) throw;
        refused_.push_back(e.what());
      }
    }
  }
}

}  // namespace marginalia
