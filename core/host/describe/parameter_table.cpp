#include "parameter_table.h"

#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <marginalia/json.h>

#include "sdk/spec/word_list.h"

namespace marginalia {
namespace {

/// A number as it would be typed.
std::string number(double value) {
  return fmt::format("{}", value);
}
std::string number(std::int64_t value) {
  return fmt::format("{}", value);
}

template <class F>
std::string range(const F& field) {
  if (field.min && field.max) return fmt::format("{} to {}", *field.min, *field.max);
  if (field.min) return fmt::format(">= {}", number(*field.min));
  if (field.max) return fmt::format("<= {}", number(*field.max));
  return "";
}

constexpr const char* kTableHead =
    "| parameter | type | default | accepts | meaning |\n|---|---|---|---|---|\n";
constexpr const char* kChoiceHead =
    "| | parameter | type | default | accepts | meaning |\n|---|---|---|---|---|---|\n";

/// Writes a table of parameters, and one of each choice among them.
class TableWriter final : public ParamVisitor {
 public:
  std::string text() const {
    if (rows_.empty()) return "It takes no parameters.\n";
    auto text = kTableHead + rows_;
    for (const auto& choice : choices_)
      text += fmt::format("\n`{}`{}: {}\n\n{}{}", choice.name, choice.inside, choice.doc,
                          kChoiceHead, choice.rows);
    return text;
  }

  void operator()(const char* n, bool& v, Of<bool> f) override { row(n, "boolean", v, "", f.doc); }
  void operator()(const char* n, double& v, Of<double> f) override {
    row(n, "number", number(v), range(f), f.doc);
  }
  void operator()(const char* n, std::int64_t& v, Of<std::int64_t> f) override {
    row(n, "integer", v, range(f), f.doc);
  }
  void operator()(const char* n, std::string& v, Of<std::string> f) override {
    row(n, "string", v, fmt::format("{}", fmt::join(f.one_of, ", ")), f.doc);
  }
  void operator()(const char* n, Integers& v, Of<Integers> f) override {
    row(n, "integers", Json(v).dump(), range(f), f.doc);
  }
  void operator()(const char* n, Numbers& v, Of<Numbers> f) override {
    row(n, "numbers", Json(v).dump(), range(f), f.doc);
  }
  void operator()(const char* n, Strings& v, Of<std::string> f) override {
    const auto accepts = fmt::format("{}", fmt::join(f.one_of, ", "));
    if (is_word_or_list(v, f)) return row(n, "string or strings", v[0], accepts, f.doc);
    row(n, "strings", Json(v).dump(), accepts, f.doc);
  }
  void operator()(const char* n, Named& v, Of<double> f) override {
    row(n, "object of numbers", Json(v).dump(), range(f), f.doc);
  }
  void operator()(const char* n, AnyObject& v, Of<std::string> f) override {
    row(n, "object", v.text, "", f.doc);
  }
  void operator()(const char* n, Count& v, Of<std::int64_t> f) override {
    row(n, "integer or \"all\"", v.all ? "all" : number(v.value), range(f), f.doc);
  }
  void operator()(const char* n, FilePath& v, Of<std::string> f) override {
    row(n, "file", v.given, "", f.doc);
  }
  void operator()(const char* n, AnyChild& v, Of<bool> f) override {
    row(n, v.kind(), "", "", f.doc);
  }

 private:
  std::size_t begin_list(const char* n, const char* kind, std::size_t, Of<bool> f) override {
    row(n, fmt::format("list of {}", kind), "", "", f.doc);
    return 0;
  }
  void element(std::size_t, AnyChild&) override {}
  void end_list() override {}
  void begin_section(const char* name, const char*) override { prefix_ += std::string(name) + "."; }
  void end_section() override {
    prefix_.pop_back();
    prefix_.erase(prefix_.rfind('.') + 1);
  }

  void begin_choice(const char* name, const char* doc, const std::vector<Alternative>& all,
                    std::size_t by_default) override {
    std::vector<std::string> names;
    for (const auto& one : all)
      names.emplace_back(one.name);
    row(name, "choice", names[by_default], fmt::format("{}", fmt::join(names, ", ")), doc);
    const auto inside = open_.empty() ? "" : fmt::format(" of `{}`", choices_[open_.back()].walked);
    open_.push_back(choices_.size());
    choices_.push_back({prefix_ + name, inside, doc, "", "", all, by_default});
    prefix_ += std::string(name) + ".";
  }
  bool begin_alternative(std::size_t index) override {
    auto& choice = choices_[open_.back()];
    choice.walked = choice.all[index].name;
    choice.rows +=
        fmt::format("| `{}`{} | | | | | {} |\n", choice.all[index].name,
                    index == choice.by_default ? " (default)" : "", escaped(choice.all[index].doc));
    return true;
  }
  void end_alternative() override {}
  void end_choice() override {
    open_.pop_back();
    end_section();
  }

  /// A bar would end the cell.
  static std::string escaped(std::string text) {
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
      text.insert(at, 1, '\\');
    return text;
  }

  template <class T>
  void row(const char* name, std::string_view type, const T& value, const std::string& accepted,
           const char* doc) {
    const auto cells = fmt::format("`{}{}` | {} | {} | {} | {} |\n", prefix_, name, type, value,
                                   accepted, escaped(doc));
    if (open_.empty())
      rows_ += "| " + cells;
    else
      choices_[open_.back()].rows += "| | " + cells;
  }

  struct Choice {
    std::string name, inside, doc, rows, walked;  // the alternative that it stands in; that is open
    std::vector<Alternative> all;
    std::size_t by_default;
  };
  std::string prefix_, rows_;
  std::vector<Choice> choices_;    // in the order they were met
  std::vector<std::size_t> open_;  // those being walked, by place
};

}  // namespace

std::string parameter_table(const std::function<void(ParamVisitor&)>& visit) {
  TableWriter writer;
  visit(writer);
  return writer.text();
}

}  // namespace marginalia
