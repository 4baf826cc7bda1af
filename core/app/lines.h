#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli.h"

namespace marginalia::app {

/// Questions are answered this many at a time: answers stream, and passes are shared.
constexpr std::size_t kBatch = 256;

/// One line of input: the object, and where it stands.
struct Line {
  Json json;
  std::string where;
};

/// Calls `answer` with the objects of a JSON Lines file ("-": stdin), kBatch at a time.
void for_batches(const std::string& file, const std::function<void(std::vector<Line>&)>& answer);

/// What lines name states of.
struct States {
  const StateSpace& space;
  TextReader read;
};
States states_in(const Experiment& experiment);
States states_in(const Energy& energy);

/// The states that the lines name: int64 [B, D].
Tensor read_states(const std::vector<Line>& lines, const States& in);
/// The states under "given" of lines that all have it.
Tensor read_conditions(const std::vector<Line>& lines, const States& in);
/// x with what is given; a variable that both name must agree.
Tensor merged(const Tensor& x, const Tensor& given, const std::vector<Line>& lines);

void print(const Json& line);
/// An answer to a line, with what else stood there passed through.
void print_answer(Json answer, const Line& line);
/// A completion of a line, likewise: its own state is the sample's "given".
void print_sample(Json sample, const Line& line);

}  // namespace marginalia::app
