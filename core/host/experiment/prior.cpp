#include "prior.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>

#include "experiment.h"
#include "sdk/base/json_fault.h"

namespace marginalia {

namespace fs = std::filesystem;

void PriorFamily::step(Step&) {
  throw Error("a prior is frozen");
}

void PriorFamily::visit(StateVisitor& v) {
  for (std::size_t n = 0; n < families_.size(); ++n) {
    PrefixedVisitor prefixed(v, n == 0 ? "" : fmt::format("fold{}.", n - 1));
    families_[n]->visit(prefixed);
  }
}

void PriorFamily::set_training(bool) {
  for (const auto& family : families_)
    family->set_training(false);
}

DrawnRows::DrawnRows(std::shared_ptr<Dataset> whole) : whole_(std::move(whole)) {
  set_label(whole_->label());
}

std::int64_t DrawnRows::size(Split split) const {
  return is_drawn(split) ? drawn_.size(0) : whole_->size(split);
}

Tensor DrawnRows::compute_rows(Split split, const Tensor& indices, std::uint64_t epoch_key) const {
  return is_drawn(split) ? drawn_.index_select(0, indices)
                         : whole_->rows(split, indices, epoch_key);
}

namespace {

const std::vector<std::string> kPriorKeys{"run",        "family",    "training",
                                          "evaluation", "cross_fit", "drawn_from"};
const std::vector<std::string> kDrawnKeys{"run", "rows"};
constexpr std::int64_t kDrawnRows = 100000;
const std::vector<std::string> kCrossFit{"auto", "on", "off"};
constexpr std::int64_t kSmallTable = 20000;  // rows, under which "auto" is "on"

/// A dataset without the training rows of one fold.
class WithoutFold final : public Dataset {
 public:
  WithoutFold(std::shared_ptr<Dataset> whole, std::int64_t fold) : whole_(std::move(whole)) {
    const auto all = torch::arange(whole_->size(Split::kTrain));
    kept_ = all.masked_select(all.remainder(kPriorFolds) != fold);
    set_label(whole_->label());
  }
  const StateSpace& space() const override { return whole_->space(); }
  std::int64_t size(Split split) const override {
    return split == Split::kTrain ? kept_.size(0) : whole_->size(split);
  }
  bool has_gaps() const override { return whole_->has_gaps(); }
  Tensor ordered() const override { return whole_->ordered(); }

 private:
  Tensor compute_rows(Split split, const Tensor& indices, std::uint64_t epoch_key) const override {
    return whole_->rows(split, split == Split::kTrain ? kept_.index_select(0, indices) : indices,
                        epoch_key);
  }
  std::shared_ptr<Dataset> whole_;
  Tensor kept_;  // int64 [rows]
};

/// What a run says of the family that is to be a prior.
Json section_of_run(const Spec& prior) {
  const auto folder = fs::path(prior.json().at("run").get<std::string>());
  if (!fs::exists(folder / "run.json"))
    throw SpecError(fmt::format("{}: \"run\": {} is no run", prior.where(), folder.string()));
  const auto spec = read_json(folder / "run.json").at("spec");
  Json section{{"run", folder.string()}};
  for (const auto* key : {"family", "training", "evaluation"})
    section[key] = spec.at(key);
  if (spec.contains("network"))
    throw SpecError(fmt::format("{}: {} is of a family with a network, which is no exact model",
                                prior.where(), folder.string()));
  return section;
}

/// The spec that a prior is trained by: the section's, on the dataset and seed of the whole.
Spec spec_of_prior(const Spec& spec, const Json& section) {
  Json whole{{"marginalia", spec.json().at("marginalia")}};
  for (const auto* key : {"seed", "dataset"})
    if (spec.has(key)) whole[key] = spec.json().at(key);
  for (const auto* key : {"family", "training", "evaluation"})
    if (section.contains(key)) whole[key] = section.at(key);
  return spec.with_document(whole);
}

/// Adds what is wrong with "drawn_from".  -> whether it can be read.
bool check_drawn_from(const Spec& prior, Faults& faults) {
  const auto drawn = prior.child("drawn_from");
  bool good = true;
  const auto say = [&](const std::string& what) {
    faults.add(fmt::format("{}: {}", drawn.where(), what));
    good = false;
  };
  if (!drawn.json().is_object()) {
    say("must be an object with \"run\", of the model that draws, and \"rows\"");
    return good;
  }
  for (const auto& [key, _] : drawn.json().items())
    if (!std::ranges::count(kDrawnKeys, key)) say(unknown_name("key", key, kDrawnKeys));
  if (!drawn.json().value("run", Json()).is_string())
    say("\"run\" must be the folder of a run, of the model that draws");
  const auto rows = whole_number(drawn.json().value("rows", Json(kDrawnRows)));
  if (!rows || *rows < 1) say("\"rows\" must be a whole number from 1 on");
  if (prior.has("run")) say("is of a prior that is trained, not of one that is a \"run\"");
  if (prior.json().value("cross_fit", Json()) == "on")
    say("\"cross_fit\": \"on\" keeps rows of the dataset back, none of which is learned from");
  return good;
}

/// -> whether the values of "run" and "cross_fit" can be read.
bool check_keys(const Spec& prior, Faults& faults) {
  const auto& json = prior.json();
  for (const auto& [key, _] : json.items())
    if (!std::ranges::count(kPriorKeys, key))
      faults.add(fmt::format("{}: {}", prior.where(), unknown_name("key", key, kPriorKeys)));
  if (!json.contains("run") && !json.contains("family"))
    faults.add(prior.where() + ": give \"run\", a run of an exact family, or \"family\", which is "
                               "trained before the network");
  const auto run = json.value("run", Json(""));
  if (!run.is_string())
    faults.add(
        fmt::format("{}: \"run\" must be the folder of a run, not {}", prior.where(), run.dump()));
  const auto cross_fit = json.value("cross_fit", Json("auto"));
  const bool known =
      cross_fit.is_string() && std::ranges::count(kCrossFit, cross_fit.get<std::string>());
  if (!known)
    faults.add(fmt::format("{}: \"cross_fit\" must be one of {}, not {}", prior.where(),
                           fmt::join(kCrossFit, ", "), cross_fit.dump()));
  return run.is_string() && known;
}

}  // namespace

Json check_prior(const Spec& spec, const Registry& registry, Faults& faults) {
  const auto prior = spec.child("prior");
  if (!prior.json().is_object()) {
    faults.add(prior.where() + ": must be an object");
    return prior.json();
  }
  if (!spec.has("dataset"))
    faults.add(prior.where() + ": a prior learns from a \"dataset\"; the spec has none");
  if (!check_keys(prior, faults)) return prior.json();
  if (prior.has("drawn_from") && !check_drawn_from(prior, faults)) return prior.json();
  auto section = prior.json();
  try {
    if (prior.has("run") && !prior.has("family")) section.update(section_of_run(prior));
  } catch (const SpecError& e) {
    faults.add(e.what());
    return section;
  }
  if (!section.contains("family") || !spec.has("dataset")) return section;
  const auto resolved = Experiment::check(spec_of_prior(spec, section), registry, faults);
  for (const auto* key : {"family", "training", "evaluation"})
    section[key] = resolved.at(key);
  const bool own_rows = !section.contains("run") && !section.contains("drawn_from");
  section["cross_fit"] = section.value("cross_fit", own_rows ? "auto" : "off");
  if (section.contains("drawn_from") && !section["drawn_from"].contains("rows"))
    section["drawn_from"]["rows"] = kDrawnRows;
  if (section.contains("run") && section["cross_fit"] == "on")
    faults.add(prior.where() + ": \"cross_fit\" trains anew; of a \"run\" there is one family");
  return section;
}

std::shared_ptr<PriorParts> build_prior(const Spec& spec, const Registry& registry,
                                        const std::string& device,
                                        const std::shared_ptr<Dataset>& dataset) {
  const auto& section = spec.child("prior").json();
  const auto inner = spec_of_prior(spec, section);
  auto parts = std::make_shared<PriorParts>();
  parts->run = section.value("run", "");
  const auto cross_fit = section.at("cross_fit").get<std::string>();
  const bool small = dataset->size(Split::kTrain) < kSmallTable;
  const bool folds = cross_fit == "on" || (cross_fit == "auto" && small);
  parts->drawn = std::make_shared<DrawnRows>(dataset);
  if (section.contains("drawn_from")) {
    parts->drawn_from = section.at("drawn_from").at("run").get<std::string>();
    parts->drawn_rows = *whole_number(section.at("drawn_from").at("rows"));
  }
  parts->experiments.push_back(std::make_unique<Experiment>(inner, registry, device, parts->drawn));
  for (std::int64_t fold = 0; folds && fold < kPriorFolds; ++fold)
    parts->experiments.push_back(std::make_unique<Experiment>(
        inner, registry, device, std::make_shared<WithoutFold>(dataset, fold)));
  std::vector<std::shared_ptr<Family>> families;
  for (const auto& experiment : parts->experiments)
    families.push_back(experiment->family);
  parts->family = std::make_shared<PriorFamily>(std::move(families));
  parts->family->set_label(parts->experiments[0]->family->label());
  parts->family->set_training(false);
  return parts;
}

}  // namespace marginalia
