#include "options.h"

#include <algorithm>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <marginalia/error.h>

namespace marginalia::tables {
namespace {

CLI::App& add(CLI::App& program, Options& options, const std::string& action,
              const std::string& what) {
  auto& verb = *program.add_subcommand(action, what);
  verb.set_help_flag();
  verb.callback([&options, action] { options.action = action; });
  verb.add_option("RUN", options.run, "run directory of a model of a table")->required();
  verb.add_option("--out", options.out, "file to write; else stdout");
  verb.add_flag("--json", options.json, "JSON Lines in the place of CSV");
  return verb;
}

void add_file(CLI::App& verb, Options& options) {
  verb.add_option("FILE", options.file, "table with the columns of the model's")->required();
  verb.add_option_function<std::string>(
          "--unseen",
          [&options](const std::string& how) { options.unseen_missing = how == "missing"; },
          "labels that the model has never seen: refuse (the default), or take as missing")
      ->check(CLI::IsMember({"refuse", "missing"}));
}

void add_seed(CLI::App& verb, Options& options) {
  verb.add_option("--seed", options.seed, "of what is drawn")->check(CLI::NonNegativeNumber);
}

void add_all(CLI::App& program, Options& options) {
  program.require_subcommand(1);
  program.set_help_flag();
  auto& impute =
      add(program, options, "impute",
          "FILE with its gaps filled: by the most probable label, the median of a number");
  add_file(impute, options);
  impute
      .add_option("--draws", options.draws,
                  "each row so often, its gaps drawn jointly, with the number in _draw")
      ->check(CLI::PositiveNumber);
  impute.add_flag("--probabilities", options.probabilities,
                  "of each gap every value and its probability, in the place of rows");
  impute.add_option(
      "--models", options.models,
      "further runs, of resampled rows (\"resample\" of the dataset): draws are of all "
      "of them in turn");
  add_seed(impute, options);

  auto& sample =
      add(program, options, "sample", "rows of which conditions hold, never by rejection");
  sample.add_option("--given", options.given, "conditions, as 'age>=30, sex=Male'");
  sample.add_option("-n,--count", options.count, "rows")->required()->check(CLI::PositiveNumber);
  add_seed(sample, options);

  auto& probability =
      add(program, options, "probability", "of conditions, given others or the rows of a file");
  probability
      .add_option("--target", options.target, "conditions, or @FILE: those of each line of it")
      ->required();
  probability.add_option("--given", options.given,
                         "conditions, or @FILE: what each row of it knows");
  probability
      .add_option(
          "--orders", options.orders,
          "random orders of the columns, in 16 parts, that an estimate is the mean of (1024; "
          "of each row of a file 64)")
      ->check(CLI::Range(16, 1 << 20));
  probability.add_option("--seed", options.seed, "of estimates")->check(CLI::NonNegativeNumber);

  auto& predict = add(program, options, "predict",
                      "FILE's rows with the probabilities of one column given the others");
  add_file(predict, options);
  predict.add_option("--target", options.column, "the column")->required();

  auto& score =
      add(program, options, "score", "log p of FILE's rows, or of each cell given the rest");
  add_file(score, options);
  score.add_flag("--cells", options.cells,
                 "of each cell -log p(cell | the rest), and a p-value by the validation rows");
  score
      .add_option("--false-discoveries", options.false_discoveries,
                  "with --cells: mark cells so that this share of the marked is wrong at most")
      ->check(CLI::Range(1e-6, 1.0));
  add_seed(score, options);
}

}  // namespace

Options read_options(const std::vector<std::string>& words) {
  Options options;
  CLI::App program("table", "marginalia table");
  add_all(program, options);
  auto reversed = words;  // as CLI11 takes them
  std::ranges::reverse(reversed);
  try {
    program.parse(reversed);
  } catch (const CLI::ParseError& e) {
    throw SpecError(fmt::format("table: {}; see marginalia table --help", e.what()));
  }
  if (options.probabilities && options.draws > 0)
    throw SpecError("table impute: --draws or --probabilities, not both");
  if (!options.models.empty() && options.draws == 0)
    throw SpecError("table impute: --models are for --draws");
  if (options.false_discoveries > 0 && !options.cells)
    throw SpecError("table score: --false-discoveries is of --cells");
  return options;
}

std::string usage_text() {
  Options options;
  CLI::App program("Answers of a model of a table: CSV in, CSV out", "marginalia table");
  add_all(program, options);
  std::string text =
      "marginalia table ACTION RUN ...: answers of a model of a table, CSV in, CSV out\n";
  for (const auto* verb : program.get_subcommands({})) {
    text +=
        fmt::format("  {} RUN{}{}\n      {}\n", verb->get_name(),
                    verb->get_option_no_throw("FILE") ? " FILE" : "", "", verb->get_description());
    for (const auto* option : verb->get_options())
      if (!option->get_positional())
        text += fmt::format("        {:<22} {}\n", option->get_name(), option->get_description());
  }
  return text + "Conditions stand between commas and all hold: age>=30, age<40, income=\">50K\",\n"
                "workclass in (Private, \"Local-gov\"), deck is missing; quotes where a label "
                "needs them.\n"
                "FILE may be packed; - is stdin.\n"
                "Example:\n"
                "  marginalia table sample runs/any --given 'age>=30, sex=Male' --count 10";
}

}  // namespace marginalia::tables
