// One function a format: what a component does with the bytes of a file that a user names.
#include "formats.h"

#include <numeric>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/json.h>
#include <marginalia/spec.h>
#include <marginalia/text_file.h>

#include "datasets/code_points.h"
#include "datasets/molecules/molecule_file.h"
#include "datasets/molecules/splits.h"
#include "datasets/picture_file.h"
#include "datasets/table_file.h"
#include "energies/command/answer.h"
#include "energies/factor_graph/uai.h"
#include "energies/landscape/landscape_file.h"
#include "host/formats/safetensors_header.h"
#include "host/training/training_state.h"
#include "shared/lattices/graph_file.h"
#include "shared/lattices/lattice.h"
#include "shared/selfies/selfies.h"
#include "shared/tables/rows.h"
#include "shared/tables/values.h"

namespace marginalia::fuzz {
namespace {

TextFile file(std::string_view bytes, const char* name = "input") {
  return {name, std::string(bytes)};
}

/// A component with a parameter of every type.
struct EveryParameter {
  bool flag = false;
  double number = 0;
  std::int64_t integer = 0;
  std::string text, choice = "a";
  std::vector<std::int64_t> integers;
  std::vector<double> numbers;
  std::vector<std::string> texts;
  std::map<std::string, double> named;
  Count count;
  FilePath path;
  void visit(ParamVisitor& p) {
    p("flag", flag, {.doc = ""});
    p("number", number, {.doc = "", .min = -1.0, .max = 10.0});
    p("integer", integer, {.doc = "", .min = 0});
    p("text", text, {.doc = ""});
    p("choice", choice, {.doc = "", .one_of = {"a", "b"}});
    p("integers", integers, {.doc = ""});
    p("numbers", numbers, {.doc = ""});
    p("texts", texts, {.doc = ""});
    p("named", named, {.doc = ""});
    p("count", count, {.doc = ""});
    p("path", path, {.doc = ""});
  }
};

/// The first line holds settings; the rest is the spec.
void read_spec(std::string_view bytes) {
  const auto end = bytes.find('\n');
  const auto settings = split_words(bytes.substr(0, end));
  const auto text = end == bytes.npos ? std::string_view() : bytes.substr(end + 1);
  const auto spec = Spec::from_text(text, "input").with({settings.begin(), settings.end()});
  EveryParameter parameters;
  Faults faults;
  spec.read(
      "every", [&](ParamVisitor& p) { parameters.visit(p); }, nullptr, false, faults);
  faults.throw_if_any();
}

/// What the columns are, and the levels of all rows by themselves.
void read_csv(std::string_view bytes) {
  const auto scan = tables::scan(file(bytes), {});
  const auto schema = tables::find_schema(scan, {});
  std::vector<std::int64_t> rows(static_cast<std::size_t>(scan.rows));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  tables::Variables variables(schema, scan, rows, 8);
  variables.encode(scan);
  tables::table_from_json(tables::to_json(tables::Table{schema, variables}), "kept");
}

/// What conditions leave of a table of two columns.
void read_conditions(std::string_view bytes) {
  static const tables::Table table = [] {
    const auto scan = tables::scan(file("a,b\nx,1.5\ny,2\nx,7.25\ny,0\nx,3\ny,1\n"), {});
    const auto schema = tables::find_schema(scan, {{"b", {.kind = "number"}}});
    return tables::Table{schema, tables::Variables(schema, scan, {0, 1, 2, 3, 4, 5}, 4)};
  }();
  for (const auto& left : tables::values_of(table, tables::parse_conditions(bytes)))
    left.shares();
}

void read_table(std::string_view bytes) {
  table::read_rows(file(bytes), {});
}

void read_text(std::string_view bytes) {
  const auto text = file(bytes);
  const auto points = decode_utf8(text.text(), text.name());
  if (!points.empty()) encode_utf8(points.back());
}

void read_uai(std::string_view bytes) {
  uai::read_model(file(bytes), uai::Tables::kValues);
}

void read_uai_logs(std::string_view bytes) {
  uai::read_model(file(bytes), uai::Tables::kLogs);
}

void read_evidence(std::string_view bytes) {
  uai::choose_sample(uai::read_evidence(file(bytes), {2, 3, 2, 4, 2, 2}), 1, "input");
}

void read_graph(std::string_view bytes) {
  graphs::read_graph(file(bytes), "auto");
}

void read_metis(std::string_view bytes) {
  graphs::read_graph(file(bytes, "input.graph"), "auto");
}

void read_couplings(std::string_view bytes) {
  auto lattice = ising::uniform_lattice({3, 2}, false, 1, 0);
  ising::read_couplings(file(bytes), lattice);
}

void read_fields(std::string_view bytes) {
  auto lattice = ising::uniform_lattice({3, 2}, false, 1, 0);
  ising::read_fields(file(bytes), lattice);
}

void read_landscape(std::string_view bytes) {
  landscape::FileFormat format;
  format.word = "1";
  format.score = "2";
  format.missing_words = !bytes.empty() && bytes[0] == '#';
  landscape::read_words(file(bytes), format);
}

void read_idx(std::string_view bytes) {
  pictures::parse_idx(std::string(bytes), "input", 3);
}

void read_amat(std::string_view bytes) {
  pictures::read_amat(file(bytes), 8);
}

void read_answer(std::string_view bytes) {
  LineReader lines(bytes);
  while (lines.next())
    command::parse_answer(std::string(lines.line()));
}

void read_smiles(std::string_view bytes) {
  selfies::decode(selfies::encode(bytes));
}

void read_selfies(std::string_view bytes) {
  selfies::split(bytes);
  selfies::decode(bytes);
}

void read_molecule_table(std::string_view bytes) {
  molecules::MoleculeFile(file(bytes, "input.csv"));
}

void read_molecule_lines(std::string_view bytes) {
  molecules::MoleculeFile(file(bytes, "input.smi"));
}

void read_split(std::string_view bytes) {
  molecules::read_split(file(bytes), 4);
}

void read_lines(std::string_view bytes) {
  LineReader lines(bytes);
  while (lines.next_filled())
    parse_json_line(lines.line());
}

void read_safetensors(std::string_view bytes) {
  safetensors::parse_header(bytes, Digest::kIfPresent);
}

/// The header of a checkpoint, and what its metadata say of training.
void read_checkpoint(std::string_view bytes) {
  const auto header = safetensors::parse_header(bytes, Digest::kRequired);
  if (const auto text = header.metadata.find("training"); text != header.metadata.end())
    TrainingState::from_text(text->second);
}

}  // namespace

const std::vector<Format>& formats() {
  static const std::vector<Format> all{
      {"spec", read_spec},
      {"csv", read_csv},
      {"conditions", read_conditions},
      {"table", read_table},
      {"text", read_text},
      {"uai", read_uai},
      {"uai_logs", read_uai_logs},
      {"evidence", read_evidence},
      {"graph", read_graph},
      {"metis", read_metis},
      {"couplings", read_couplings},
      {"fields", read_fields},
      {"landscape", read_landscape},
      {"idx", read_idx},
      {"amat", read_amat},
      {"answer", read_answer},
      {"smiles", read_smiles},
      {"selfies", read_selfies},
      {"molecule_table", read_molecule_table},
      {"molecule_lines", read_molecule_lines},
      {"split", read_split},
      {"lines", read_lines},
      {"safetensors", read_safetensors},
      {"checkpoint", read_checkpoint},
  };
  return all;
}

bool try_format(const Format& format, std::string_view bytes) {
  try {
    format.read(bytes);
    return true;
  } catch (const Error&) {
  } catch (const selfies::Malformed&) {
  }
  return false;
}

const Format& find_format(std::string_view name) {
  std::string known;
  for (const auto& format : formats()) {
    if (format.name == name) return format;
    known += std::string(" ") + format.name;
  }
  throw std::invalid_argument("no format is called \"" + std::string(name) +
                              "\"; there are:" + known);
}

}  // namespace marginalia::fuzz
