#include "catalogue.h"

#include <elf.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>

#include <fmt/format.h>

#include <marginalia/build_stamp.h>
#include <marginalia/error.h>
#include <marginalia/files.h>

#include "sdk/base/text.h"

namespace marginalia {

namespace fs = std::filesystem;

namespace {

constexpr int kFormat = 1;

/// The part of an ELF file's first page that linkers number by what is linked; "" where there is
/// none. Notes are (size of name, size of content, type), name, content, each padded to 4 bytes.
std::string build_id(const std::string& head) {
  Elf64_Ehdr header;
  if (head.size() < sizeof header || !head.starts_with(ELFMAG)) return "";
  std::memcpy(&header, head.data(), sizeof header);
  for (std::uint64_t s = 0; s < header.e_phnum; ++s) {
    Elf64_Phdr segment;
    const auto at = header.e_phoff + s * sizeof segment;
    if (at > head.size() || head.size() - at < sizeof segment) return "";
    std::memcpy(&segment, head.data() + at, sizeof segment);
    if (segment.p_type != PT_NOTE || segment.p_offset > head.size()) continue;
    const auto notes = std::string_view(head).substr(
        segment.p_offset, std::min<std::uint64_t>(segment.p_filesz, head.size()));
    for (std::size_t n = 0; n + sizeof(Elf64_Nhdr) <= notes.size();) {
      Elf64_Nhdr note;
      std::memcpy(&note, notes.data() + n, sizeof note);
      const auto padded = [](std::uint64_t size) { return (size + 3) / 4 * 4; };
      const auto content = n + sizeof note + padded(note.n_namesz);
      if (content + note.n_descsz > notes.size()) break;
      if (note.n_type == NT_GNU_BUILD_ID) {
        return hex(notes.substr(content, note.n_descsz));
      }
      n = content + padded(note.n_descsz);
    }
  }
  return "";
}

/// What tells one content of a library from another without reading all of it: its build id, else
/// its size and time.
std::string compute_key(const fs::path& library) {
  std::string head(4096, '\0');
  std::ifstream in(library, std::ios::binary);
  in.read(head.data(), std::streamsize(head.size()));
  head.resize(std::size_t(in.gcount()));
  if (auto id = build_id(head); !id.empty()) return id;
  struct stat status {};
  stat(library.c_str(), &status);
  return fmt::format("{} bytes of {}.{:09}", status.st_size, status.st_mtim.tv_sec,
                     status.st_mtim.tv_nsec);
}

/// The libraries of these folders: a catalogue holds for as long as they stay the same.
Json libraries_in(const std::vector<PluginFolder>& folders) {
  Json all = Json::array();
  for (const auto& folder : folders) {
    Json libraries = Json::object();
    for (const auto& library : plugin_libraries(folder.path))
      libraries[library.filename().string()] = compute_key(library);
    all.push_back({{"required", folder.required}, {"libraries", libraries}});
  }
  return all;
}

std::string host_text() {
  return kBuildStamp;
}

/// Where the catalogue of these folders may be kept, the best place first.
std::vector<fs::path> places(const std::vector<PluginFolder>& folders, const fs::path& cache) {
  std::vector<fs::path> all;
  if (folders.size() == 1) all.push_back(folders.front().path / "descriptions.json");
  std::string names;
  for (const auto& folder : folders)
    names += folder.path.string() + ":";
  all.push_back(cache / fmt::format("descriptions-{}.json", sha256_hex(names).substr(0, 16)));
  return all;
}

Catalogue::Component read_component(const Json& json) {
  Catalogue::Component component{json.at("kind"),
                                 json.at("name"),
                                 json.at("summary"),
                                 json.at("plugin"),
                                 json.at("version"),
                                 json.at("page"),
                                 {},
                                 json.value("usage", "")};
  for (const auto& source : json.value("sources", Json::array()))
    component.sources.push_back({source.at("file"), source.at("url"), source.at("bytes"),
                                 source.at("digest"), source.at("or_file"),
                                 source.at("or_digest")});
  return component;
}

}  // namespace

std::optional<Catalogue> Catalogue::read(const std::vector<PluginFolder>& wanted,
                                         const fs::path& cache) {
  const auto folders = existing(wanted);
  Json libraries;
  for (const auto& place : places(folders, cache)) {
    std::error_code failed;
    if (!fs::is_regular_file(place, failed)) continue;
    auto kept = Json::parse(std::ifstream(place), nullptr, false);
    if (!kept.is_object() || kept.value("marginalia_descriptions", 0) != kFormat ||
        kept.value("host", "") != host_text())
      continue;
    if (libraries.is_null()) libraries = libraries_in(folders);
    if (kept.value("of", Json()) == libraries && kept.contains("content"))
      return Catalogue(std::move(kept.at("content")), folders);
  }
  return std::nullopt;
}

void Catalogue::keep(const fs::path& cache) const {
  const auto folders = existing(folders_);
  const Json kept{{"marginalia_descriptions", kFormat},
                  {"host", host_text()},
                  {"of", libraries_in(folders)},
                  {"content", content_}};
  for (const auto& place : places(folders, cache)) {
    try {
      std::error_code failed;
      fs::create_directories(place.parent_path(), failed);
      return write_atomically(place, kept.dump());
    } catch (const Error&) {  // a folder of another's: the next place
    }
  }
}

std::vector<Catalogue::Component> Catalogue::components() const {
  std::vector<Component> all;
  for (const auto& json : content_.at("components"))
    all.push_back(read_component(json));
  return all;
}

std::optional<Catalogue::Component> Catalogue::find(const std::string& kind,
                                                    const std::string& name) const {
  for (const auto& json : content_.at("components"))
    if (json.at("kind") == kind && json.at("name") == name) return read_component(json);
  return std::nullopt;
}

std::vector<std::string> Catalogue::names(const std::string& kind) const {
  std::vector<std::string> names;
  for (const auto& json : content_.at("components"))
    if (json.at("kind") == kind) names.push_back(json.at("name"));
  return names;
}

std::vector<fs::path> Catalogue::find_libraries(const std::vector<std::string>& names) const {
  std::set<std::string> wanted;
  for (const auto& json : content_.at("components"))
    if (std::ranges::count(names, json.at("name").get<std::string>()))
      wanted.insert(json.at("library").get<std::string>());
  std::vector<fs::path> libraries;
  for (const auto& folder : existing(folders_))
    for (const auto& library : plugin_libraries(folder.path))
      if (wanted.contains(library.filename())) libraries.push_back(library);
  return libraries;
}

Json Catalogue::measurement_facts() const {
  Json facts = Json::object();
  for (const auto& json : content_.at("components"))
    if (const auto found = json.find("measurements"); found != json.end() && !found->empty())
      facts[json.at("name").get<std::string>()] = *found;
  return facts;
}

std::vector<std::string> Catalogue::refused() const {
  return content_.at("refused");
}

}  // namespace marginalia
