#include <dlfcn.h>
#include <elf.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <boost/dll/shared_library.hpp>

#include <marginalia/build_stamp.h>
#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/plugin.h>

#include "plugin_host.h"
#include "records/plugins/plugin_folders.h"

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
  std::size_t names = 0;  ///< the section that holds the sections' names

  /// The bytes of a section; "" where the file has none for it.
  std::string_view read_section(std::size_t section) const {
    if (section >= sections.size() || sections[section].sh_type == SHT_NOBITS) return "";
    return std::string_view(bytes).substr(sections[section].sh_offset, sections[section].sh_size);
  }
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
  ElfTables elf{{std::istreambuf_iterator<char>(file), {}}, {}, {}, 0};
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
  elf.names = header.e_shstrndx;
  for (const auto& s : elf.segments)
    if (s.p_type == PT_LOAD) check_size(path, size, sum(s.p_offset, s.p_filesz));
  for (const auto& s : elf.sections)
    if (s.sh_type != SHT_NOBITS) check_size(path, size, sum(s.sh_offset, s.sh_size));
  return elf;
}

/// The section's name, in ELF's table of section names.
static std::string_view read_name(const Elf64_Shdr& section, const ElfTables& elf) {
  const auto strings = elf.read_section(elf.names);
  if (section.sh_name >= strings.size()) return "";
  const auto name = strings.substr(section.sh_name);
  return name.substr(0, name.find('\0'));
}

/// Refuses a library without a manifest. Not by Boost.DLL's library_info: that reads the symbols
/// which `strip` takes away.
static void check_exports(const fs::path& path, const ElfTables& elf) {
  constexpr std::string_view kName("marginalia_plugin", sizeof "marginalia_plugin");  // with its 0
  for (const auto& section : elf.sections) {
    if (section.sh_type != SHT_DYNSYM) continue;
    const auto strings = elf.read_section(section.sh_link);
    const auto count = section.sh_size / sizeof(Elf64_Sym);
    for (const auto& symbol : table<Elf64_Sym>(elf.bytes, section.sh_offset, count))
      if (symbol.st_shndx != SHN_UNDEF && symbol.st_name < strings.size() &&
          strings.substr(symbol.st_name).starts_with(kName))
        return;
  }
  refuse(path, "exports no \"marginalia_plugin\"; does it end with MARGINALIA_PLUGIN(...)?");
}

/// The build stamp that stands in the file; "" where there is none.
static std::string stamp_in(const ElfTables& elf) {
  for (std::size_t i = 0; i < elf.sections.size(); ++i)
    if (read_name(elf.sections[i], elf) == ".marginalia") {
      const auto text = elf.read_section(i);
      return std::string(text.substr(0, text.find('\0')));
    }
  return "";
}

/// "0.1.0" of "headers 0.1.0 0123456789abcdef, ...", as numbers; empty where the text is another.
static std::vector<int> parse_version(const std::string& stamp) {
  int a = 0, b = 0, c = 0;
  if (std::sscanf(stamp.c_str(), "headers %d.%d.%d", &a, &b, &c) != 3) return {};
  return {a, b, c};
}

/// The library that this process has of the SDK.
static fs::path own_library() {
  Dl_info info{};
  dladdr(reinterpret_cast<const void*>(&sha256_hex), &info);
  return info.dli_fname ? info.dli_fname : "";
}

/// Which side is behind, in words: by the versions, else by the times of the two libraries.
static std::string who_is_older(const fs::path& plugin, const std::string& stamp) {
  constexpr auto kPlugin = "the plugin is older: rebuild it",
                 kHost = "the host is older: update it, or rebuild the plugin with its headers";
  const auto theirs = parse_version(stamp), ours = parse_version(kBuildStamp);
  if (theirs != ours) return theirs < ours ? kPlugin : kHost;
  std::error_code failed;
  const auto age = fs::last_write_time(plugin, failed),
             own = fs::last_write_time(own_library(), failed);
  return failed || age < own ? kPlugin : kHost;
}

/// Refuses what was built otherwise, before any code of it runs.
static void check_stamp(const fs::path& path, const std::string& stamp) {
  if (stamp == kBuildStamp) return;
  const auto headers = [](const std::string& text) { return text.substr(0, text.find(',')); };
  const auto both = fmt::format(
      "\n  plugin: {}\n  host:   {}",
      stamp.empty() ? "no build stamp; marginalia_add_plugin puts it in" : stamp, kBuildStamp);
  if (headers(stamp) != headers(kBuildStamp))
    refuse(path, "built with other headers than this host; {}{}", who_is_older(path, stamp), both);
  refuse(path, "built differently from this host; rebuild it with the host's tools{}", both);
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

LoadedPlugin load_plugin(const fs::path& path, Registry& registry) {
  const auto elf = read_elf(path);
  check_exports(path, elf);
  check_stamp(path, stamp_in(elf));
  const auto file = fs::absolute(path);
  const auto& plugin = open(file).get<const PluginManifest>("marginalia_plugin");
  Registry extended = registry;  // a plugin that fails half-way adds nothing
  extended.set_plugin(plugin.name, plugin.version);
  try {
    plugin.add_to(extended);
  } catch (const std::exception& e) {
    refuse(path, "{}", describe_error(e));
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
