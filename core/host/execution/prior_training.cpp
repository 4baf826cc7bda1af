#include "prior_training.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>

#include "host/training/checkpoint.h"
#include "host/training/trainer.h"

namespace marginalia::execution {

namespace fs = std::filesystem;

Family* prior_of(const Experiment& experiment) {
  return experiment.prior ? experiment.prior->family.get() : nullptr;
}

namespace {

constexpr const char* kDone = "finished";

bool is_done(const fs::path& folder) {
  return fs::exists(folder / "run.json") &&
         RunDirectory::open(folder, false).record().value("status", "") == kDone;
}

/// Exchanges the training rows for rows that a model draws.  -> false: told to stop.
bool draw_rows(const PriorParts& parts, const Family& family, std::uint64_t seed,
               const Hooks& hooks) {
  constexpr std::int64_t kRows = 2048;  // at once
  Stream stream(seed, "prior/rows");
  std::vector<Tensor> all;
  for (std::int64_t left = parts.drawn_rows; left > 0; left -= kRows) {
    if (hooks.stop && *hooks.stop) return false;
    const auto empty = family.space().empty().repeat({std::min(left, kRows), 1});
    all.push_back(family.answer({.kind = QueryKind::kSample, .partial = empty}, stream).states);
  }
  parts.drawn->exchange(torch::cat(all));
  return true;
}

/// The mean of log p over at most 2000 rows of a split, evenly spread.
double mean_log_p(const Family& family, const Dataset& dataset, Split split) {
  const auto size = dataset.size(split), rows = std::min<std::int64_t>(size, 2000);
  if (rows == 0) return std::numeric_limits<double>::quiet_NaN();
  const auto x = dataset.rows(split, (torch::arange(rows) * size).div(rows, "floor"));
  Stream none(0, "prior");
  return family.answer({.kind = QueryKind::kLogMarginal, .partial = x}, none)
      .value.mean()
      .item<double>();
}

/// Trains one of the prior's experiments in `folder`, unless that was done.  -> false: told to
/// stop.
bool train_one(Experiment& experiment, const fs::path& folder, const Hooks& hooks) {
  const bool there = fs::exists(folder / "run.json");
  auto run = there ? RunDirectory::open(folder, true) : RunDirectory::create(folder, false);
  if (!there) run.set_record({{"marginalia_run", 1}, {"spec", experiment.resolved}});
  if (run.record().value("status", "") != kDone) {
    std::vector<std::string> refused;
    const auto from = newest_checkpoint(run.checkpoints(), refused);
    if (train(experiment, run, from, {hooks.stop, hooks.progress}).outcome == Outcome::kInterrupted)
      return false;
    run.update({{"status", kDone}});
  }
  load_model(find_checkpoint(folder), *experiment.family);
  experiment.family->set_training(false);
  return true;
}

}  // namespace

std::optional<OpenRun> open_drawing_model(const Experiment& experiment,
                                          const Environment& environment, const Hooks& hooks) {
  if (!experiment.prior || experiment.prior->drawn_from.empty()) return std::nullopt;
  const auto& folder = experiment.prior->drawn_from;
  auto model = open_run(folder, "", environment, {.warn = hooks.warn});
  if (model.experiment.space() != experiment.space())
    throw SpecError(fmt::format(
        "\"prior\": \"drawn_from\": {} is of other variables than the dataset", folder));
  return model;
}

bool train_prior(Experiment& experiment, RunDirectory& run, const Environment& environment,
                 const Hooks& hooks) {
  if (!experiment.prior) return true;
  auto& parts = *experiment.prior;
  const auto say = [&](const std::string& text) {
    if (hooks.say) hooks.say(text);
    run.log(text);
  };
  if (!parts.run.empty()) {
    load_model(find_checkpoint(parts.run), *parts.experiments[0]->family);
  } else {
    if (!parts.drawn_from.empty() && !is_done(run.path() / "prior/all")) {
      say(fmt::format("prior: {} draws {} rows", parts.drawn_from, parts.drawn_rows));
      const auto model = open_drawing_model(experiment, environment, hooks);
      if (!draw_rows(parts, *model->experiment.family, experiment.seed, hooks)) return false;
    }
    for (std::size_t n = 0; n < parts.experiments.size(); ++n) {
      const auto name = n == 0 ? std::string("all") : fmt::format("without_fold_{}", n - 1);
      const auto rows = n > 0                      ? fmt::format("fold {} kept back", n - 1)
                        : parts.drawn_from.empty() ? std::string("all rows")
                                                   : std::string("rows drawn");
      say(fmt::format("prior, {}: {}", rows, parts.family->label()));
      if (!train_one(*parts.experiments[n], run.path() / "prior" / name, hooks)) return false;
    }
  }
  parts.family->set_training(false);
  const auto train = mean_log_p(*parts.family, *experiment.dataset, Split::kTrain);
  const auto valid = mean_log_p(*parts.family, *experiment.dataset, Split::kValid);
  say(fmt::format("prior: log p of training rows {:.3f}, of validation rows {:.3f}, apart {:.3f}{}",
                  train, valid, train - valid,
                  parts.family->folds() > 0 ? "; learned from with the fold kept back" : ""));
  run.update({{"prior",
               {{"family", parts.family->label()},
                {"folds", parts.family->folds()},
                {"train_log_likelihood", json_number(train)},
                {"valid_log_likelihood", json_number(valid)}}}});
  return true;
}

}  // namespace marginalia::execution
