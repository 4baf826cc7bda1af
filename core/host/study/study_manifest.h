#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <marginalia/spec.h>

#include "study_axes.h"

namespace marginalia::study {

/// A spec to start from, and where its files are looked for.
struct Base {
  Json spec = Json::object();
  DataPaths paths;
  std::string stem;
};

/// An experiment as the manifest has it, before its spec is resolved.
struct Draft {
  std::string name, variant;
  Changes settings;              ///< of grid, zip, seeds, or an entry of the list
  std::vector<Changes> changes;  ///< all, in the order they are made
  const Base* base = nullptr;    ///< of the manifest
};

/// "seed=3", as Spec::with takes it.
std::vector<std::string> to_settings(const Changes& changes);

/// A manifest: what experiments it yields, and what is wrong with it. Knows nothing of components.
class Manifest {
 public:
  /// Adds what is wrong to `faults`; throws when the rest makes no sense after it.
  Manifest(const Spec& spec, std::filesystem::path file, Faults& faults);

  const Json& json() const { return json_; }
  const std::string& where() const { return where_; }  ///< for messages
  const std::vector<Axis>& axes() const { return axes_; }
  bool has(const char* key) const { return spec_.has(key); }

  /// Throws SpecError for no experiments, and for more than `most`.
  void check_count(double most) const;
  std::vector<Draft> drafts() const;
  /// What these changes start from: the base that they name, or the study's.
  const Base& find_base(const Changes& changes) const;

 private:
  void check_keys(Faults& faults) const;
  void read_bases(Faults& faults);
  void read_base(const Spec& base, Faults& faults);
  void check_group(const char* name, bool is_list, Faults& faults) const;
  void check_variants(Faults& faults) const;
  void check_entry(const Spec& entry, Faults& faults) const;
  std::vector<Spec> read_group(const char* name) const;
  bool has_product() const;
  std::vector<Changes> changes_with(Changes variant) const;
  void add_product(std::vector<Draft>& drafts) const;
  void add_list(std::vector<Draft>& drafts) const;

  Spec spec_;
  Json json_;
  std::filesystem::path file_;
  std::string where_;
  std::map<std::string, Base> bases_;  // by how the manifest names them
  std::vector<Axis> axes_;
};

}  // namespace marginalia::study
