#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <marginalia/api.h>
#include <marginalia/json.h>
#include <marginalia/params.h>

namespace marginalia {

/// The version of the spec's format that is written; older ones are read.
inline constexpr int kSpecFormat = 2;

/// Where the files that a spec names are looked for, and where what was computed is kept.
struct DataPaths {
  std::filesystem::path beside;      ///< the folder of the spec
  std::filesystem::path data;        ///< --data, else $MARGINALIA_DATA, else ~/.cache/marginalia
  std::filesystem::path cache = {};  ///< empty: nothing is kept

  /// Where a file or folder that a spec names is: as it is named, with .gz or with .zip, beside the
  /// spec, then in the data directory. Where it is in neither, where it would be in the latter.
  MARGINALIA_API std::filesystem::path find(const std::string& given) const;
};

/// The data directory that holds when the command line names none.
MARGINALIA_API std::filesystem::path default_data_directory();
/// $MARGINALIA_CACHE, else ~/.cache/marginalia.
MARGINALIA_API std::filesystem::path default_cache_directory();

/// What is wrong with a spec: collected over all its parts, reported at once.
class MARGINALIA_API Faults {
 public:
  void add(std::string text) { texts_.push_back(std::move(text)); }
  void add_unknown(std::string text);  ///< a component that nobody offers
  bool empty() const { return texts_.empty(); }
  void throw_if_any() const;  ///< one SpecError with them all; UnknownComponent if one is

 private:
  std::vector<std::string> texts_;
  bool any_unknown_ = false;
};

/// "dataset", "energy", ...: what a component can be.
MARGINALIA_API const std::vector<std::string>& component_kinds();

/// Where parameters that are components are looked up: a Registry is one.
class MARGINALIA_API ComponentSource {
 public:
  virtual ~ComponentSource();
  /// Checks the parameters of the component of `kind` that `spec` names; builds nothing.
  /// -> the resolved parameters, with "type".
  virtual Json check(const std::string& kind, const Spec& spec, Faults& faults) const = 0;
  virtual void build(AnyChild& child, const Spec& spec) const = 0;
};

/// One node of an experiment spec, and the place it came from.
class MARGINALIA_API Spec {
 public:
  /// Reads JSON in which `//` and `/* */` comments are allowed; a key that stands twice is refused.
  static Spec from_file(const std::filesystem::path& file,
                        const std::filesystem::path& data = default_data_directory());
  static Spec from_text(std::string_view text, std::string file = "<text>", DataPaths paths = {});

  bool has(std::string_view key) const;    ///< present and not null
  Spec child(std::string_view key) const;  ///< throws SpecError when there is none
  Spec element(std::size_t index) const;   ///< of an array
  Spec as_component() const;               ///< a bare name "ess" stands for {"type": "ess"}
  std::string type() const;                ///< the component asked for: the value of "type"
  std::string where() const;               ///< "kl.json: /energy", for messages
  const std::string& file() const { return file_; }
  const Json& json() const { return *node_; }
  const DataPaths& paths() const { return paths_; }

  /// The same document with `key=value` settings applied; keys are dotted, values JSON or bare
  /// words, and `null` removes.
  Spec with(const std::vector<std::string>& settings) const;
  /// Another document in the place of this one, with the same name and folders.
  Spec with_document(Json document) const;

  /// Fills the parameters that `visit` walks and adds every fault to `faults`.
  ///
  /// `component` is named in the messages. With `components`, children are checked, and built when
  /// `build` is set. -> the resolved parameters, defaults filled in.
  Json read(std::string_view component, const std::function<void(ParamVisitor&)>& visit,
            const ComponentSource* components, bool build, Faults& faults) const;
  /// The same, with children built and every fault thrown in one SpecError.
  void fill(std::string_view component, const std::function<void(ParamVisitor&)>& visit,
            const ComponentSource& components) const;

 private:
  Spec(std::shared_ptr<const Json> node, std::string file, std::string pointer, DataPaths paths);

  std::shared_ptr<const Json> node_;  // points into the document that it keeps alive
  std::string file_, pointer_;
  DataPaths paths_;
};

}  // namespace marginalia
