/// \file
/// study.json: a study as it was expanded, written and read without its manifest's files.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>

#include "sdk/base/json_fault.h"
#include "study.h"

namespace marginalia {

namespace fs = std::filesystem;

std::vector<std::string> Study::row_names() const {
  std::vector<std::string> names;
  for (const auto& e : experiments)
    if (!std::ranges::count(names, e.row)) names.push_back(e.row);
  return names;
}

std::string target(const StudyExperiment& experiment) {
  const auto& spec = experiment.spec;
  return Json{{"energy", spec.value("energy", Json())}, {"dataset", spec.value("dataset", Json())}}
      .dump();
}

bool is_study(const fs::path& file) {
  if (!fs::is_regular_file(file)) return false;
  const auto json = Json::parse(read_text(file), nullptr, false, true);
  return json.is_object() && json.contains("marginalia_study");
}

Json to_json(const Study& study) {
  Json experiments = Json::array();
  for (const auto& e : study.experiments)
    experiments.push_back({{"name", e.name},
                           {"variant", e.variant},
                           {"settings", e.settings},
                           {"row", e.row},
                           {"pair", e.pair},
                           {"spec_sha256", e.hash},
                           {"older_spec_sha256", e.older_hashes},
                           {"spec", e.spec}});
  Json compare{{"rows", study.compare.rows},
               {"columns", study.compare.columns},
               {"against", study.compare.against},
               {"metrics", study.compare.metrics},
               {"lower_is_better", study.compare.lower_is_better},
               {"higher_is_better", study.compare.higher_is_better},
               {"baseline", study.compare.baseline},
               {"correct_within", study.compare.correct_within},
               {"alpha", study.compare.alpha},
               {"samples", study.compare.samples},
               {"scaling",
                {{"metric", study.compare.scaling.metric}, {"skip", study.compare.scaling.skip}}}};
  return {{"marginalia_study_record", 1}, {"name", study.name},
          {"file", study.file.string()},  {"precision", study.precision},
          {"manifest", study.manifest},   {"compare", compare},
          {"experiments", experiments}};
}

Study study_from_json(const Json& record, const std::string& where) try {
  if (record.at("marginalia_study_record") != 1)
    throw Error(fmt::format("{}: \"marginalia_study_record\" must be 1, not {}; read it with the "
                            "marginalia that wrote it",
                            where, record.at("marginalia_study_record").dump()));
  Study study{
      record.at("name"),
      record.at("file").get<std::string>(),
      record.at("manifest"),
      {},
      {},
      record.value("precision", "float32")};  // before it was recorded there was no other default
  Faults faults;
  Spec::from_text(record.at("compare").dump(), where + ": /compare")
      .read(
          "compare", [&](ParamVisitor& p) { study.compare.visit(p); }, nullptr, false, faults);
  faults.throw_if_any();
  for (const auto& e : record.at("experiments"))
    study.experiments.push_back({e.at("name"), e.at("variant"), e.at("settings"), e.at("row"),
                                 e.at("pair"), e.at("spec"), e.at("spec_sha256"),
                                 e.value("older_spec_sha256", std::vector<std::string>())});
  return study;
} catch (const nlohmann::json::exception& e) {
  throw Error(
      fmt::format("{}: is not a record of a study: {}", where, without_json_names(e.what())));
}

}  // namespace marginalia
