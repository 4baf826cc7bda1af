/// \file
/// A reward that a program computes:  log f(x) = what it writes for x
///
/// The program is started once and stays. On its stdin it gets one line a state, {"state":[0,1,2]}
/// or {"text":"ACG"}; for each it writes one line: a number, or {"log_density": a number}, in nats;
/// null, -inf or -Infinity is a forbidden state. There is one program, so callers wait for each
/// other.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/energy.h>
#include <marginalia/plugin.h>
#include <marginalia/spec.h>

#include "../declared_space.h"
#include "answer.h"
#include "child_process.h"

using namespace marginalia;

namespace {

class Command final : public Energy {
 public:
  static constexpr const char* kName = "command";
  static constexpr const char* kSummary = "a program of yours, asked over its stdin and stdout";
  static constexpr const char* kFormula = "log f(x) = what the program writes for x";
  static constexpr const char* kExample =
      R"({"command": ["python3", "rewards/longest_run.py"], "input": "text",
          "space": {"variables": 7, "levels": 2}})";

  struct Params {
    std::vector<std::string> command;
    FilePath directory{".", "."};
    DeclaredSpace space;
    std::string input = "ids";
    std::int64_t batch_size = 256, restarts = 3;
    double timeout_seconds = 60;
    void visit(ParamVisitor& p) {
      p("command", command,
        {.doc = "the program and its arguments: [\"python3\", \"reward.py\"]",
         .files_in = "directory"});
      p("directory", directory, {.doc = "folder that the program runs in; that of the spec"});
      p.section("space", space, "the states that it scores");
      p("input", input,
        {.doc = "its lines: {\"state\":[0,1,2]}, or {\"text\":\"012\"} with the alphabet's letters",
         .one_of = {"ids", "text"}});
      p("batch_size", batch_size, {.doc = "states asked for at a time, at most", .min = 1});
      p("timeout_seconds", timeout_seconds,
        {.doc = "for the answers to a batch, the first one with the program's start", .min = 0.01});
      p("restarts", restarts,
        {.doc = "of a program that ends or exceeds its time, over a whole run; the batch is asked "
                "again",
         .min = 0});
    }
  };

  explicit Command(const Params& params);
  const StateSpace& space() const override { return space_; }

 private:
  Tensor compute_log_density(const Tensor& x) const override;
  void start() const;
  void probe() const;
  std::string question(const Tensor& rows, std::int64_t b) const;
  std::vector<double> values(const std::vector<std::string>& questions, bool restart) const;
  std::vector<std::string> answers(const std::string& questions, std::size_t count) const;
  std::string program_text() const { return fmt::format("{}", fmt::join(params_.command, " ")); }

  Params params_;
  StateSpace space_;
  mutable std::mutex mutex_;  // of all below
  mutable std::unique_ptr<command::ChildProcess> program_;
  mutable std::int64_t restarts_ = 0;
};

Command::Command(const Params& params) : params_(params), space_(params.space.build()) {
  if (params.command.empty() || params.command.front().empty())
    throw SpecError("needs \"command\", as [\"python3\", \"reward.py\"]");
  if (!std::filesystem::is_directory(params.directory.found))
    throw SpecError(
        fmt::format("\"directory\": {} is not a folder", params.directory.found.string()));
  try {
    probe();
  } catch (const Error& e) {
    throw SpecError(fmt::format("{}: {}", program_text(), e.what()));
  }
}

void Command::start() const {
  program_ = std::make_unique<command::ChildProcess>(params_.command, params_.directory.found);
}

/// Asks for one state twice, so that a program that cannot answer, writes more than answers, or
/// does not compute a function is refused before any work.
void Command::probe() const {
  const std::vector twice(2, question(torch::zeros({1, space_.dimension()}, torch::kLong), 0));
  start();
  const auto value = values(twice, false);
  program_->expect_silence(std::chrono::milliseconds(50));
  const bool same =
      value[0] == value[1] || std::abs(value[0] - value[1]) <= 1e-6 * (1 + std::abs(value[0]));
  if (!same)
    throw Error(fmt::format("gave {} and {} for the same state; log f must be a function, and each "
                            "line of its stdout the answer to one state",
                            value[0], value[1]));
}

/// The line that asks for row b.  rows: int64 [B, D], contiguous.
std::string Command::question(const Tensor& rows, std::int64_t b) const {
  if (params_.input == "text") return Json{{"text", space_.to_text(rows[b])}}.dump();
  const auto D = rows.size(1);
  const auto* state = rows.data_ptr<std::int64_t>() + b * D;
  return fmt::format("{{\"state\":[{}]}}", fmt::join(state, state + D, ","));
}

std::vector<double> Command::values(const std::vector<std::string>& questions, bool restart) const {
  const auto text = fmt::format("{}\n", fmt::join(questions, "\n"));
  const auto lines = restart ? answers(text, questions.size())
                             : program_->ask(text, questions.size(), params_.timeout_seconds);
  std::vector<double> values;
  for (std::size_t n = 0; n < lines.size(); ++n) {
    values.push_back(command::parse_answer(lines[n]));
    if (!std::isnan(values[n])) continue;
    program_.reset();  // what it would say next is not known
    throw Error(fmt::format(
        "line {} of {} in its answer is {}; it must be a finite number or {{\"log_density\": "
        "number}}, or null for a forbidden state; it was asked {}",
        n + 1, lines.size(), command::excerpt(lines[n]), questions[n].substr(0, 200)));
  }
  return values;
}

/// The program's lines, whole; it is started again where that may help.
std::vector<std::string> Command::answers(const std::string& questions, std::size_t count) const {
  for (;;) {
    try {
      if (!program_) start();
      return program_->ask(questions, count, params_.timeout_seconds);
    } catch (const command::NoAnswer& e) {
      program_.reset();
      if (restarts_ >= params_.restarts)
        throw Error(
            fmt::format("{}\n(\"restarts\": {}, none is left)", e.what(), params_.restarts));
      ++restarts_;
      fmt::print(stderr, "marginalia: warning: {}: {}: {}\n(restart {} of {})\n", label(),
                 program_text(), e.what(), restarts_, params_.restarts);
    } catch (const Error&) {
      program_.reset();  // out of step
      throw;
    }
  }
}

Tensor Command::compute_log_density(const Tensor& x) const {
  const std::lock_guard lock(mutex_);
  const auto rows = x.to(torch::kCPU).contiguous();
  auto result = torch::empty({x.size(0)}, torch::kDouble);
  auto* out = result.data_ptr<double>();
  for (std::int64_t begin = 0; begin < x.size(0); begin += params_.batch_size) {
    const auto end = std::min(begin + params_.batch_size, x.size(0));
    std::vector<std::string> questions;
    for (auto b = begin; b < end; ++b)
      questions.push_back(question(rows, b));
    try {
      const auto value = values(questions, true);
      out = std::copy(value.begin(), value.end(), out);
    } catch (const Error& e) {
      throw Error(fmt::format("{}: {}: {}", label(), program_text(), e.what()));
    }
  }
  return result.to(x.device());
}

}  // namespace

MARGINALIA_PLUGIN(Command);
