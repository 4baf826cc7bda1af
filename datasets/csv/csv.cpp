/// \file
/// Tables of mixed columns from CSV files: a row a state, each column a variable whose kind is
/// found or stated.
///
/// Labels are levels. Numbers have a density: what many rows share is an atom, between atoms lie
/// bins by quantiles of the training rows, and beyond the outer ones values fall geometrically, so
/// that a recorded value has a probability,
///   log p(recorded) = log p(levels) + sum over numbers of log p(value | its bin),
/// and likelihoods can be compared whatever the bins. Gaps are unknown, summed out in learning and
/// in answers, or values of their own.
#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/dataset.h>
#include <marginalia/files.h>
#include <marginalia/plugin.h>
#include <marginalia/random.h>

#include "line.h"
#include "shared/tables/gaps.h"
#include "shared/tables/rows.h"
#include "splits.h"
#include "summary.h"
#include "weights.h"

namespace marginalia::csv {

using namespace marginalia::tables;

class Csv final : public Dataset {
 public:
  static constexpr const char* kName = "csv";
  static constexpr const char* kSummary =
      "tables of mixed columns from CSV files: labels, numbers, dates, gaps";
  static constexpr const char* kExample = R"({"file": "plants.csv", "bins": 12})";
  static constexpr const char* kFiles = ".csv .tsv";

  struct Params {
    FilePath file, valid, test, schema;
    std::string header = "auto", separator, strip, weight;
    std::vector<std::string> names, missing, categories, integers, numbers, dates, ignored,
        gaps_as_values;
    std::int64_t rare = 0, bins = 0, resample = 0;
    SplitBy split;
    void visit(ParamVisitor& p) {
      p("file", file, {.doc = "the table; packed or not"});
      p("valid", valid, {.doc = "file of the validation rows, in the place of a share of `file`"});
      p("test", test, {.doc = "file of the test rows, likewise"});
      p("schema", schema,
        {.doc = "JSON that says what the columns are, as `marginalia data describe FILE --json` "
                "writes "
                "it; what is stated beside it must be nothing"});
      p("header", header,
        {.doc = "whether the first line names the columns; auto: where it has texts that its "
                "columns have not again",
         .one_of = {"auto", "yes", "no"}});
      p("names", names, {.doc = "of the columns, in the place of the file's"});
      p("separator", separator,
        {.doc = "between fields: one character, \"tab\" or \"blanks\"; empty: found"});
      p("missing", missing,
        {.doc = "texts that stand for a value that is not known; empty: none at all, ?, NA, N/A, "
                "nan, null, None"});
      p("strip", strip, {.doc = "characters taken off the end of every field"});
      p("categories", categories, {.doc = "columns that are labels, whatever is found"});
      p("integers", integers, {.doc = "columns whose whole numbers are a level each"});
      p("numbers", numbers, {.doc = "columns with a density"});
      p("dates", dates, {.doc = "columns of dates"});
      p("ignored", ignored, {.doc = "columns that are no variables"});
      p("weight", weight,
        {.doc = "column of how much each row counts: rows to learn from are drawn by it, and means "
                "over test rows are weighted"});
      p("gaps_as_values", gaps_as_values,
        {.doc = "columns whose gaps are a value that can be asked for; \"*\": all"});
      p("rare", rare, {.doc = "labels of fewer rows become one, \"(other)\"", .min = 0});
      p("bins", bins,
        {.doc = "of a column of numbers; 0: a twentieth of the training rows, 4 at least and 32 at "
                "most",
         .min = 0,
         .max = 4096});
      p.choice("split", split, "which rows are learned from");
      p("resample", resample,
        {.doc = "a seed: the training rows are as many drawn of them with replacement, as for runs "
                "that differ by what the parameters leave open (bootstrap); 0: the rows themselves",
         .min = 0});
    }
  };

  explicit Csv(const Params& params);

  const StateSpace& space() const override { return space_; }
  std::int64_t size(Split split) const override { return of(split).levels.size(0); }
  bool has_gaps() const override { return has_gaps_; }
  Tensor ordered() const override;
  std::string to_text(const Tensor& state) const override;
  Tensor from_text(const PartialText& text) const override;
  Json description() const override;
  std::string summary() const override;

 private:
  struct Part {
    Tensor levels;        // int16 [N, D]
    Tensor log_recorded;  // float64 [N, D]; undefined: no variable has a density
    Tensor recorded;      // float64 [N, D]; undefined: some variable is no number
    Tensor weights;       // float64 [N]; undefined: all alike
  };
  const Part& of(Split split) const { return parts_[static_cast<std::size_t>(split)]; }
  Part part_of(const Variables::Rows& all, const Tensor& recorded,
               const std::vector<std::int64_t>& chosen) const;
  Part read_part(const FilePath& file, const Form& form, Split split) const;
  Tensor recorded_of(const Scan& scan) const;

  Tensor compute_rows(Split split, const Tensor& indices, std::uint64_t) const override {
    return of(split).levels.index_select(0, indices).to(torch::kLong);
  }
  Tensor compute_log_recorded(Split split, const Tensor& indices) const override {
    return of_rows(of(split).log_recorded, indices);
  }

  static Tensor of_rows(const Tensor& all, const Tensor& indices) {
    return all.defined() ? all.index_select(0, indices) : all;
  }
  Tensor compute_recorded(Split split, const Tensor& indices) const override {
    return of_rows(of(split).recorded, indices);
  }
  Tensor compute_weights(Split split, const Tensor& indices) const override {
    return of_rows(of(split).weights, indices);
  }

  const Encoding& encoding(std::int64_t i) const { return table_->variables[i]; }

  std::optional<Table> table_;
  std::vector<GapTest> gap_tests_;
  std::array<Part, 3> parts_;
  StateSpace space_;
  bool has_gaps_ = false;
};

namespace {

char separator_of(const std::string& text) {
  if (text == "tab") return '\t';
  if (text == "blanks") return ' ';
  if (text.size() > 1)
    throw SpecError(fmt::format(
        "\"separator\" must be one character, \"tab\" or \"blanks\", not \"{}\"", text));
  return text.empty() ? '\0' : text[0];
}

Form form_of(const Csv::Params& params) {
  return {separator_of(params.separator), params.header, params.names, params.missing,
          params.strip};
}

/// What is stated of columns, by name.
std::vector<std::pair<std::string, Stated>> stated_by(const Csv::Params& params, const Scan& scan) {
  std::vector<std::pair<std::string, Stated>> all;
  const auto of = [&](const std::string& name) -> Stated& {
    const auto at = std::ranges::find(all, name, [](const auto& one) { return one.first; });
    if (at != all.end()) return at->second;
    return all.emplace_back(name, Stated{.rare = params.rare}).second;
  };
  if (params.rare > 0)
    for (const auto& column : scan.columns)
      of(column.name);
  const auto take = [&](const std::vector<std::string>& names, const char* kind) {
    for (const auto& name : names) {
      auto& stated = of(name);
      if (!stated.kind.empty())
        throw SpecError(
            fmt::format("column \"{}\" is stated to be {} and {}", name, stated.kind, kind));
      stated.kind = kind;
    }
  };
  take(params.categories, "category");
  take(params.integers, "integer");
  take(params.numbers, "number");
  take(params.dates, "date");
  take(params.ignored, "ignored");
  if (!params.weight.empty()) take({params.weight}, "weight");
  for (const auto& name : params.gaps_as_values) {
    if (name != "*")
      of(name).missing = "category";
    else
      for (const auto& column : scan.columns)
        of(column.name).missing = "category";
  }
  return all;
}

/// A schema, or a description that holds one.
Schema read_schema(const Csv::Params& params, const Scan& scan) {
  if (!params.schema) return find_schema(scan, stated_by(params, scan));
  const bool stated = !params.categories.empty() || !params.integers.empty() ||
                      !params.numbers.empty() || !params.dates.empty() || !params.ignored.empty() ||
                      !params.gaps_as_values.empty() || !params.weight.empty() || params.rare > 0;
  if (stated)
    throw SpecError("give \"schema\", or what columns are, not both: the schema says all of it");
  const auto& file = params.schema.existing();
  const auto json = parse_json(read_text(file));
  const bool is_description = json.is_object() && json.contains("schema");
  return schema_from_json(is_description ? json.at("schema") : json, file.string());
}

std::vector<std::string> names_of(const Schema& schema) {
  std::vector<std::string> names;
  for (const auto& column : schema.columns)
    names.push_back(column.name);
  return names;
}

/// As many of these rows, drawn with replacement.
std::vector<std::int64_t> resampled(const std::vector<std::int64_t>& rows, std::int64_t seed) {
  SplitMix64 random(std::uint64_t(seed), 0);
  std::vector<std::int64_t> drawn;
  for (std::size_t n = 0; n < rows.size(); ++n)
    drawn.push_back(rows[std::size_t(random() % rows.size())]);
  return drawn;
}

/// Undefined where there are none.
Tensor as_tensor(const std::vector<double>& values) {
  return values.empty() ? Tensor() : torch::tensor(values, torch::kDouble);
}

}  // namespace

/// The numbers of all rows in units of their resolution, float64 [N, D]; undefined where some
/// variable is no number.
Tensor Csv::recorded_of(const Scan& scan) const {
  std::vector<Tensor> numbers;
  for (std::int64_t i = 0; i < space_.dimension(); ++i) {
    const auto& column = encoding(i).column();
    const bool is_number = column.has_density() || column.kind == Kind::kInteger;
    if (!is_number || column.missing_is_category) return {};
    const auto values = numbers_of(column_named(scan, column.name), column, scan.file);
    numbers.push_back((torch::tensor(values, torch::kDouble) / column.resolution()).round());
  }
  return torch::stack(numbers, 1);
}

Csv::Part Csv::part_of(const Variables::Rows& all, const Tensor& recorded,
                       const std::vector<std::int64_t>& chosen) const {
  const auto D = space_.dimension();
  const auto rows = torch::tensor(chosen, torch::kLong);
  // Views of what is there: tables are large.
  const auto select = [&](const auto& values, at::ScalarType type) {
    auto* const data = const_cast<void*>(static_cast<const void*>(values.data()));
    return at::from_blob(data, {std::ssize(values) / D, D}, type).index_select(0, rows);
  };
  return {select(all.levels, torch::kShort),
          table_->variables.has_density() ? select(all.log_recorded, torch::kDouble) : Tensor(),
          of_rows(recorded, rows), Tensor()};
}

Csv::Part Csv::read_part(const FilePath& file, const Form& form, Split split) const {
  const auto scan = tables::scan(open_text(file.existing()), form);
  const auto weights = weights_of(scan, table_->schema);
  std::vector<std::int64_t> rows(static_cast<std::size_t>(scan.rows));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  if (split != Split::kTest) rows = drawn_by_weight(rows, weights);
  auto part = part_of(table_->variables.encode(scan), recorded_of(scan), rows);
  if (split == Split::kTest) part.weights = as_tensor(weights_of_rows(weights, rows));
  return part;
}

Csv::Csv(const Params& params) {
  const auto scan = tables::scan(open_text(params.file.existing()), form_of(params));
  auto schema = read_schema(params, scan);
  auto split = split_rows(params.split, scan, !params.test);
  const auto once = split[0];
  const auto weights = weights_of(scan, schema);
  for (const auto s : {0, 1})
    split[std::size_t(s)] = drawn_by_weight(split[std::size_t(s)], weights);
  if (params.resample > 0) split[0] = resampled(split[0], params.resample);
  const auto bins =
      params.bins > 0 ? params.bins : std::clamp<std::int64_t>(std::ssize(split[0]) / 20, 4, 32);
  Variables variables(schema, scan, split[0], bins);
  table_.emplace(Table{std::move(schema), std::move(variables)});
  const auto count = table_->variables.count();
  for (std::int64_t i = 0; i < count; ++i) {
    space_.cardinalities.push_back(encoding(i).levels());
    space_.names.push_back(encoding(i).column().name);
  }
  space_.shape = {count};
  const auto all = table_->variables.encode(scan);
  const auto recorded = recorded_of(scan);
  gap_tests_ = test_gaps(table_->variables, all, once);
  for (std::size_t s = 0; s < parts_.size(); ++s)
    parts_[s] = part_of(all, recorded, split[s]);
  parts_[2].weights = as_tensor(weights_of_rows(weights, split[2]));
  // Files of other splits are of the same columns; a header of theirs is read, not trusted.
  auto form = form_of(params);
  form.names = names_of(table_->schema);
  if (scan.header) form.header = "yes";
  if (params.valid) parts_[1] = read_part(params.valid, form, Split::kValid);
  if (params.test) parts_[2] = read_part(params.test, form, Split::kTest);
  for (const auto& part : parts_)
    has_gaps_ = has_gaps_ || (part.levels < 0).any().item<bool>();
}

/// Of numbers, dates and integers all but the level of a gap.
Tensor Csv::ordered() const {
  auto ordered = torch::zeros({space_.dimension(), space_.levels()}, torch::kBool);
  for (std::int64_t i = 0; i < space_.dimension(); ++i) {
    const auto& column = encoding(i).column();
    if (!column.has_density() && column.kind != Kind::kInteger) continue;
    ordered[i].slice(0, 0, encoding(i).levels() - (column.missing_is_category ? 1 : 0)).fill_(true);
  }
  return ordered;
}

std::string Csv::summary() const {
  return summary_of(*table_, {size(Split::kTrain), size(Split::kValid), size(Split::kTest)},
                    gap_tests_);
}

Json Csv::description() const {
  auto json = to_json(*table_);
  if (!gap_tests_.empty()) json["gap_tests"] = to_json(gap_tests_);
  return json;
}

/// The row as a line of CSV, in the order of the variables: of a bin its middle value, nothing
/// where it is unknown, and "(missing)" of a gap that is a value.
std::string Csv::to_text(const Tensor& state) const {
  constexpr double kMiddle = 0.5;
  std::string text;
  for (std::int64_t i = 0; i < space_.dimension(); ++i) {
    const auto level = state[i].item<std::int64_t>();
    if (i > 0) text += ',';
    if (level != kUnknown) text += write_field(encoding(i).text(level, kMiddle));
  }
  return text;
}

Tensor Csv::from_text(const PartialText& text) const {
  const TextFile line("the text", text.text);
  const auto fields = fields_of(line);
  const auto first = text.at.value_or(0), D = space_.dimension();
  const auto count = std::ssize(fields);
  if (text.at ? first + count > D : count != D)
    throw SpecError(fmt::format("{} fields{}, of a row of {}", count,
                                text.at ? fmt::format(" from {} on", first) : "", D));
  auto state = torch::full({D}, kUnknown, torch::kLong);
  for (std::int64_t n = 0; n < count; ++n) {
    const auto field = fields[std::size_t(n)];
    if (field.empty() || field == "?" || (!text.gap.empty() && field == text.gap)) continue;
    state[first + n] = level_of_field(encoding(first + n), field);
  }
  return state;
}

}  // namespace marginalia::csv

MARGINALIA_PLUGIN(marginalia::csv::Csv);
