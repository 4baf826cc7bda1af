#include "molecule_tool.h"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <istream>
#include <optional>
#include <ostream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/spec.h>
#include <marginalia/text_file.h>

#include "shared/chemistry/chemistry.h"
#include "shared/selfies/selfies.h"

namespace marginalia::molecules {

namespace fs = std::filesystem;

namespace {

constexpr const char* kScores = "chem_reference/sa_fragment_scores.bin";

/// What stands for one line; throws std::exception where it cannot be done.
using Translate = std::function<std::string(const std::string& line)>;

constexpr std::size_t kLinesAtOnce = 8192;

struct Options {
  std::string action, constraints = "default";
  bool compatible = false;
};

void take_option(Options& options, const std::string& name, const std::string& value) {
  if (name == "--constraints")
    options.constraints = value;
  else if (name == "--compatible")
    throw SpecError("--compatible takes no value");
  else
    throw SpecError(
        fmt::format("molecules has no option {}; there is: --compatible, --constraints", name));
}

Options read_arguments(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const auto& word = arguments[i];
    if (!word.starts_with("--")) {
      if (!options.action.empty())
        throw SpecError(
            fmt::format("molecules does one thing at a time: {} or {}?", options.action, word));
      options.action = word;
    } else if (word == "--compatible") {
      options.compatible = true;
    } else if (const auto equal = word.find('='); equal != word.npos) {
      take_option(options, word.substr(0, equal), word.substr(equal + 1));
    } else if (i + 1 < arguments.size()) {
      take_option(options, word, arguments[++i]);
    } else {
      throw SpecError(fmt::format("a value must follow {}", word));
    }
  }
  return options;
}

std::string one_line(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
}

/// Whether whoever writes to stdin may wait for an answer: nothing more has come yet.
bool stdin_is_idle() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return poll(&input, 1, 0) == 0;
}

/// The first word of a line, behind which files of SMILES have names; but all of it where further
/// tokens of SELFIES follow the blank.
std::string without_name(const std::string& line) {
  const auto end = line.find_first_of(kBlanks);
  if (end == line.npos || line[line.find_first_not_of(kBlanks, end)] == '[') return line;
  return line.substr(0, end);
}

/// Appends the lines that the next \n ends, of which \r may make several. -> false at the end.
bool read_lines(std::istream& in, std::vector<std::string>& lines, bool is_beginning) {
  std::string text;
  if (!std::getline(in, text)) return false;
  if (!in.eof()) text += '\n';
  const auto add = [&](std::string_view read) {
    for (LineReader reader(read); reader.next();)
      lines.emplace_back(trim(reader.line()));
  };
  if (is_beginning)
    add(TextFile("stdin", text).text());
  else
    add(text);
  return true;
}

/// Reads lines, translates them on all cores, writes them in order.
void translate_lines(std::istream& in, std::ostream& out, const Translate& translate) {
  std::vector<std::string> lines;
  const auto flush = [&] {
    tbb::parallel_for(std::size_t{0}, lines.size(), [&](std::size_t i) {
      try {
        lines[i] = translate(lines[i]);
      } catch (const std::exception& e) {
        lines[i] = "! " + one_line(e.what());
      }
    });
    for (const auto& line : lines)
      out << line << '\n';
    out.flush();
    lines.clear();
  };
  for (bool is_beginning = true; read_lines(in, lines, is_beginning); is_beginning = false)
    if (lines.size() >= kLinesAtOnce || stdin_is_idle()) flush();
  flush();
}

chemistry::FragmentScores read_scores(const std::string& name, const fs::path& data) {
  const auto expected = (data.empty() ? default_data_directory() : data) / name;
  const auto file = find_packed(expected);
  if (file.empty())
    throw Error(fmt::format("{}[.gz] is missing, which the SA score needs; name the data directory "
                            "where it is with --data DIR or $MARGINALIA_DATA",
                            expected.string()));
  try {
    return chemistry::FragmentScores(read_unpacked(file));
  } catch (const std::invalid_argument& e) {
    throw Error(fmt::format("{}: {}", file.string(), e.what()));
  }
}

}  // namespace

std::string MoleculeTool::usage() const {
  return "marginalia molecules encode|decode|properties [OPTIONS]: a line of stdin, a line of "
         "stdout\n"
         "  encode      SMILES to SELFIES\n"
         "  decode      SELFIES to SMILES\n"
         "  properties  SMILES to logP, QED, SA score and molecular weight, between tabs\n"
         "A line that cannot be done gives \"!\" and the reason.\n"
         "Of a line the first word counts, what follows being a name.\n"
         "Options:\n"
         "  --compatible        of decode: tokens of SELFIES 1 are read too, as [Branch1_2]\n"
         "  --constraints NAME  bonds that SELFIES allow: default, octet_rule or hypervalent\n"
         "  --data DIR          data directory, of properties; else $MARGINALIA_DATA\n"
         "  --threads N         else every core\n"
         "Example:\n"
         "  echo 'c1ccccc1O' | marginalia molecules encode";
}

int MoleculeTool::run(const std::vector<std::string>& arguments, std::istream& in,
                      std::ostream& out) const {
  const auto options = read_arguments(arguments);
  const auto& presets = selfies::Constraints::presets();
  if (!std::ranges::count(presets, options.constraints))
    throw SpecError(fmt::format("--constraints {} is not known; there is: {}", options.constraints,
                                fmt::join(presets, ", ")));
  if (options.compatible && options.action != "decode")
    throw SpecError("--compatible is about tokens of SELFIES 1, which only decode reads");
  const auto constraints = selfies::Constraints::preset(options.constraints);
  std::optional<tbb::global_control> threads;
  if (context_.threads > 0)
    threads.emplace(tbb::global_control::max_allowed_parallelism, context_.threads);

  if (options.action == "encode") {
    translate_lines(in, out, [&](const auto& line) {
      return selfies::encode(without_name(line), constraints);
    });
  } else if (options.action == "decode") {
    translate_lines(in, out, [&](const auto& line) {
      return selfies::decode(without_name(line), constraints, options.compatible);
    });
  } else if (options.action == "properties") {
    chemistry::need_rdkit();
    const auto scores = read_scores(kScores, context_.data);
    translate_lines(in, out, [&](const auto& line) {
      const auto p = chemistry::compute_properties(chemistry::Molecule(line), scores);
      return fmt::format("{}\t{}\t{}\t{}", p.log_p, p.qed, p.accessibility, p.weight);
    });
  } else {
    throw SpecError("molecules must be told what to do: encode, decode or properties" +
                    (options.action.empty() ? "" : ", not \"" + options.action + "\""));
  }
  return 0;
}

}  // namespace marginalia::molecules
