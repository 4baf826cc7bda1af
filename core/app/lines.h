#pragma once

#include <functional>
#include <string>
#include <vector>

#include <marginalia/partial_state.h>

#include "cli.h"

namespace marginalia::app {

/// Questions are answered this many at a time: answers stream, and passes are shared.
constexpr std::size_t kBatch = 256;

/// One line of input: the object, and where it stands.
struct Line {
  Json json;
  std::string where;
};

/// The file that lines come from: `given`, else stdin ("-") where that is no terminal. Throws
/// SpecError, naming the verb, where it is one.
std::string find_input(const std::string& given, const std::string& verb);

/// Calls `answer` with the objects of a JSON Lines file ("-": stdin), kBatch at a time. Warns of
/// keys that are passed through and may be slips.
void for_batches(const std::string& file, const std::function<void(std::vector<Line>&)>& answer);

/// What lines name states of.
struct States {
  const StateSpace& space;
  TextReader read;
};
States states_in(const Experiment& experiment);
States states_in(const Energy& energy);

/// What lines ask, in their order.
using Questions = std::vector<Question>;
Questions read_questions(const std::vector<Line>& lines, const States& in);
Question read_question(const Line& line, const States& in);
/// Refuses a question of log p(x_S) that names no x_S.
void need_state(const Question& question, const Line& line);
/// What they know: int64 [B, D].
Tensor known_in(const Questions& questions);
/// What is given in questions that all have it: int64 [B, D].
Tensor given_in(const Questions& questions);

/// Each variable that a question is about, or all of them.
std::vector<std::int64_t> asked_variables(const Question& question, const StateSpace& space);
/// p(x_i = k) of these variables, null where the question knows x_i.  p: float64 [D, K]
Json list_probabilities(const Tensor& p, const Question& question, const StateSpace& space);
/// A state as the question is written: an object of variables, or a list.  state: int64 [D]
Json json_like(const Question& question, const Tensor& state);

/// Where the rows of a question come from: `each` of every line, beginning with row `first` of all.
struct RowsOfLines {
  const std::vector<Line>& lines;
  std::int64_t first = 0, each = 1;
  /// "FILE:3: "; empty where there are no lines.
  std::string where(std::int64_t row) const;
};
/// Calls `ask`; a row that it refuses is refused by its line.
void by_line(const RowsOfLines& rows, const std::function<void()>& ask);
/// What `ask` answers; rows that it refuses or warns of are named by their lines.
Answer answered(const RowsOfLines& rows, const std::function<Answer()>& ask);

void print(const Json& line);
/// An answer to a line, with what else stood there passed through.
void print_answer(Json answer, const Line& line);
/// A completion of a line, likewise: its own state is the sample's "given".
void print_sample(Json sample, const Line& line);

}  // namespace marginalia::app
