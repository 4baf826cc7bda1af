#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <marginalia/state_text.h>

#include "host/experiment/experiment.h"

namespace marginalia {

/// [0, null, 1]: null where a variable is unknown.  state: int64 [D].
Json json_of_state(const Tensor& state);
/// A state as people read it: the dataset's text, the energy's, or the space's.
std::string to_text(const Experiment& experiment, const Tensor& state);
/// The inverse: the state that a text names, read by the dataset, the energy, or the space.
/// -> int64 [D]. Throws SpecError.
Tensor state_of_text(const Experiment& experiment, const PartialText& text);

/// Writes `count` states of the model to samples/samples.jsonl of a run, with what an energy says
/// of them ("log_density", and its "score" before a temperature where it has one), and as pictures,
/// where the space is two-dimensional, to samples.png beside it. Of an energy with scores,
/// scores.json holds those of all states, [{"name", "values", "unit", "target", "spread"}, ...].
/// Where the dataset or the energy draws its states, drawings.jsonl has an "svg" of 24 different
/// ones: with an energy those of the highest log f, and how many "times" each came; else the first.
void write_samples(Experiment& experiment, const std::filesystem::path& run, std::int64_t count);

/// Writes what the model makes of `count` rows of evaluation.split with some variables hidden: the
/// upper half of a picture, and 13, 51 and 89 % of the variables at random (100, 400 and 700 of
/// 784, as the paper hides). Each line of samples/completions.jsonl holds "given" (null where
/// hidden), "x", and of the whole x log p by every estimator that takes few passes ("one_pass"),
/// and along one order ("chain"). Nothing without a dataset. Source: Liu, Ramadge, Adams (2024),
/// arXiv:2310.12920, fig. 4.
void write_completions(Experiment& experiment, const std::filesystem::path& run,
                       std::int64_t count);

}  // namespace marginalia
