#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <marginalia/tool.h>

#include "host/experiment/experiment.h"
#include "manual.h"
#include "measurements.h"
#include "parameter_table.h"
#include "query_matrix.h"
#include "sdk/spec/word_list.h"

namespace marginalia {
namespace {

/// Writes JSON Schema of the same parameters.
class SchemaWriter final : public ParamVisitor {
 public:
  SchemaWriter() { stack_.push_back(object()); }
  Json schema() { return std::move(stack_.back()); }

  void operator()(const char* n, bool& v, Of<bool> f) override { add(n, "boolean", v, f.doc); }
  void operator()(const char* n, double& v, Of<double> f) override {
    limits(add(n, "number", v, f.doc), f);
  }
  void operator()(const char* n, std::int64_t& v, Of<std::int64_t> f) override {
    limits(add(n, "integer", v, f.doc), f);
  }
  void operator()(const char* n, std::string& v, Of<std::string> f) override {
    auto& property = add(n, "string", v, f.doc);
    if (!f.one_of.empty()) property["enum"] = f.one_of;
  }
  void operator()(const char* n, Integers& v, Of<Integers> f) override {
    limits(add(n, "array", v, f.doc)["items"] = {{"type", "integer"}}, f);
  }
  void operator()(const char* n, Numbers& v, Of<Numbers> f) override {
    limits(add(n, "array", v, f.doc)["items"] = {{"type", "number"}}, f);
  }
  void operator()(const char* n, Strings& v, Of<std::string> f) override {
    if (is_word_or_list(v, f)) {
      const Json word{{"type", "string"}, {"enum", f.one_of}};
      properties()[n] = {{"description", f.doc},
                         {"default", v[0]},
                         {"anyOf", {word, Json{{"type", "array"}, {"items", word}}}}};
      return;
    }
    auto& items = add(n, "array", v, f.doc)["items"] = {{"type", "string"}};
    if (!f.one_of.empty()) items["enum"] = f.one_of;
  }
  void operator()(const char* n, Named& v, Of<double> f) override {
    limits(add(n, "object", Json(v), f.doc)["additionalProperties"] = {{"type", "number"}}, f);
  }
  void operator()(const char* n, AnyObject& v, Of<std::string> f) override {
    add(n, "object", Json::parse(v.text), f.doc);
  }
  void operator()(const char* n, Count& v, Of<std::int64_t> f) override {
    Json integer{{"type", "integer"}};
    limits(integer, f);
    properties()[n] = {{"description", f.doc},
                       {"default", v.all ? Json("all") : Json(v.value)},
                       {"anyOf", {integer, Json{{"const", "all"}}}}};
  }
  void operator()(const char* n, FilePath& v, Of<std::string> f) override {
    add(n, "string", v.given, f.doc);
  }
  void operator()(const char* n, AnyChild& v, Of<bool> f) override {
    properties()[n] = {{"$ref", fmt::format("#/$defs/{}", v.kind())}, {"description", f.doc}};
  }

 private:
  static Json object() {
    return {{"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
  }
  Json& properties() { return stack_.back()["properties"]; }
  Json& add(const char* name, const char* type, const Json& value, const char* doc) {
    return properties()[name] = {{"type", type}, {"description", doc}, {"default", value}};
  }
  template <class F>
  static void limits(Json& property, const F& field) {
    if (field.min) property["minimum"] = *field.min;
    if (field.max) property["maximum"] = *field.max;
  }
  std::size_t begin_list(const char* n, const char* kind, std::size_t, Of<bool> f) override {
    properties()[n] = {{"type", "array"},
                       {"description", f.doc},
                       {"items", {{"$ref", fmt::format("#/$defs/{}", kind)}}}};
    return 0;
  }
  void element(std::size_t, AnyChild&) override {}
  void end_list() override {}
  void begin_section(const char* name, const char* doc) override {
    names_.emplace_back(name);
    stack_.push_back(object());
    stack_.back()["description"] = doc;
  }
  void end_section() override {
    auto section = std::move(stack_.back());
    stack_.pop_back();
    properties()[names_.back()] = std::move(section);
    names_.pop_back();
  }
  void begin_choice(const char* name, const char* doc, const std::vector<Alternative>& all,
                    std::size_t by_default) override {
    names_.emplace_back(name);
    choices_.push_back({all, by_default});
    auto words = Json::array();
    for (const auto& one : all)
      words.push_back(one.name);
    properties()[name] = {{"description", doc},
                          {"default", all[by_default].name},
                          {"anyOf", Json::array({Json{{"enum", words}}})}};
  }
  bool begin_alternative(std::size_t index) override {
    const auto& [all, by_default] = choices_.back();
    stack_.push_back(object());
    stack_.back()["description"] = all[index].doc;
    stack_.back()["properties"]["type"] = {{"const", all[index].name}};
    if (index != by_default) stack_.back()["required"] = {"type"};
    return true;
  }
  void end_alternative() override {
    auto alternative = std::move(stack_.back());
    stack_.pop_back();
    properties()[names_.back()]["anyOf"].push_back(std::move(alternative));
  }
  void end_choice() override {
    choices_.pop_back();
    names_.pop_back();
  }
  struct Choice {
    std::vector<Alternative> all;
    std::size_t by_default;
  };
  std::vector<Json> stack_;
  std::vector<std::string> names_;
  std::vector<Choice> choices_;
};

Json make_schema(const Description& d) {
  SchemaWriter writer;
  d.visit(writer);
  auto schema = writer.schema();
  schema["description"] = d.summary;
  schema["properties"]["type"] = {{"const", d.name}};
  schema["required"] = {"type"};
  return schema;
}

/// One component of a kind: `{"type": NAME, ...}`, and for metrics also the bare name.
Json make_choice_schema(const Registry& registry, const std::string& kind) {
  auto choices = Json::array();
  for (const auto& name : registry.names(kind))
    choices.push_back(make_schema(*registry.find(kind, name)));
  if (kind == "metric") choices.push_back({{"type", "string"}, {"enum", registry.names(kind)}});
  return {{"anyOf", choices}};
}

/// "Its networks by role: causal (causal_logits)".
std::string describe_roles(const Description& d) {
  std::vector<std::string> roles;
  for (const auto& [role, heads] : d.roles)
    roles.push_back(fmt::format("`{}` ({})", role, list_heads(heads)));
  return fmt::format("Its networks by role, and the heads they need: {}.", fmt::join(roles, ", "));
}

}  // namespace

std::string describe(const Description& d) {
  const auto* article = d.kind == "energy" ? "an" : "a";
  auto text = fmt::format("## {}\n\n{}, {} {} of plugin {}.\n\n", d.name, d.summary, article,
                          d.kind, d.plugin);
  if (!d.formula.empty()) text += fmt::format("```\n{}\n```\n\n", d.formula);
  if (!d.roles.empty()) text += describe_roles(d) + "\n\n";
  text += measurement_table(d);
  text += parameter_table(d.visit);
  if (!d.source.empty()) text += fmt::format("\nSource: {}\n", d.source);
  return text;
}

std::map<std::string, std::string> reference(const Registry& registry) {
  std::map<std::string, std::string> pages;
  for (const auto& kind : component_kinds()) {
    auto text = fmt::format("# {}\n\nWritten by `marginalia describe --all`; do not edit.\n", kind);
    for (const auto& name : registry.names(kind))
      text += fmt::format("\n{}", describe(*registry.find(kind, name)));
    pages[kind + ".md"] = text;
  }
  const auto sections = fmt::format(
      "# training and evaluation\n\nWritten by `marginalia describe --all`; do not edit.\n"
      "\n## training\n\n{}\n## evaluation\n\n{}",
      parameter_table([](ParamVisitor& p) { TrainingParams().visit(p); }),
      parameter_table([](ParamVisitor& p) { EvaluationParams().visit(p); }));
  pages["training.md"] = sections;
  pages["queries.md"] = fmt::format("# queries\n\nWritten by `marginalia describe --all`; "
                                    "`marginalia list --queries` prints it.\n\n{}",
                                    query_table(query_matrix(registry)));
  return pages;
}

static Json list_sources(const Description& d) {
  Json all = Json::array();
  for (const auto& s : d.sources)
    all.push_back({{"file", s.file},
                   {"url", s.url},
                   {"bytes", s.bytes},
                   {"digest", s.digest},
                   {"or_file", s.or_file},
                   {"or_digest", s.or_digest}});
  return all;
}

static Json list_rows(const std::vector<AnswersOfFamily>& matrix) {
  Json rows = Json::array();
  for (const auto& row : matrix)
    for (const auto& c : row.capabilities)
      rows.push_back({{"family", row.family},
                      {"source", row.source},
                      {"query", to_string(c.kind)},
                      {"estimator", c.estimator},
                      {"route", to_string(c.route)},
                      {"status", to_string(c.status)},
                      {"passes", c.passes}});
  return rows;
}

Json describe_all(const PluginHost& host) {
  const auto& registry = host.registry();
  std::map<std::string, std::string> libraries;  // by plugin
  for (const auto& plugin : host.loaded())
    libraries[plugin.name] = plugin.library.filename().string();
  Json components = Json::array();
  for (const auto* d : registry.descriptions()) {
    components.push_back({{"kind", d->kind},
                          {"name", d->name},
                          {"summary", d->summary},
                          {"plugin", d->plugin},
                          {"version", d->version},
                          {"library", libraries[d->plugin]},
                          {"page", describe(*d)},
                          {"measurements", to_json(d->measurements)},
                          {"sources", list_sources(*d)}});
    if (d->kind == Tool::kKind)
      components.back()["usage"] =
          registry
              .make<Tool>(Spec::from_text(Json{{"type", d->name}}.dump(), "tool"), ToolContext{})
              ->usage();
  }
  Json pages = Json::object();
  for (const auto& [name, text] : reference(registry))
    pages["reference/" + name] = text;
  pages["spec.schema.json"] = spec_schema(registry);
  return {{"components", std::move(components)},
          {"refused", host.refused()},
          {"queries", list_rows(query_matrix(registry))},
          {"pages", std::move(pages)}};
}

std::string spec_schema(const Registry& registry) {
  SchemaWriter writer;
  writer.section("training", *std::make_unique<TrainingParams>(), "how to train");
  writer.section("evaluation", *std::make_unique<EvaluationParams>(), "what to measure");
  auto schema = writer.schema();
  auto& properties = schema["properties"];
  properties["evaluation"]["properties"]["metrics"] = {{"type", "array"},
                                                       {"items", {{"$ref", "#/$defs/metric"}}}};
  properties["marginalia"] = {{"enum", {1, kSpecFormat}},
                              {"description", "version of the spec's format"}};
  properties["note"] = {{"type", "string"}};
  properties["seed"] = {{"type", "integer"}, {"description", "root of all random streams"}};
  properties["device"] = {{"type", "string"}, {"description", "auto, cpu, cuda or cuda:N"}};
  Json definitions = Json::object();
  for (const std::string kind : {"dataset", "energy", "network", "family", "metric"}) {
    definitions[kind] = make_choice_schema(registry, kind);
    if (kind != "metric") properties[kind] = {{"$ref", fmt::format("#/$defs/{}", kind)}};
  }
  properties["network"] = {
      {"anyOf",
       {Json{{"$ref", "#/$defs/network"}},
        Json{{"type", "object"}, {"additionalProperties", {{"$ref", "#/$defs/network"}}}}}}};
  properties["prior"] = {
      {"type", "object"},
      {"description", "an exact family that networks start from"},
      {"additionalProperties", false},
      {"properties",
       {{"run", {{"type", "string"}, {"description", "a run of it"}}},
        {"family", {{"$ref", "#/$defs/family"}}},
        {"training", {{"$ref", "#/properties/training"}}},
        {"evaluation", {{"$ref", "#/properties/evaluation"}}},
        {"drawn_from",
         {{"type", "object"},
          {"description", "it learns from rows that a trained model draws, not from the dataset's"},
          {"additionalProperties", false},
          {"required", {"run"}},
          {"properties",
           {{"run", {{"type", "string"}, {"description", "of the model"}}},
            {"rows", {{"type", "integer"}, {"minimum", 1}}}}}}},
        {"cross_fit",
         {{"enum", {"auto", "on", "off"}},
          {"description", "train it without a fifth of the rows too, and learn from each row with "
                          "one that has not seen it; auto: under 20,000 rows"}}}}}};
  schema["required"] = {"marginalia", "family"};
  schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  schema["title"] = "Marginalia experiment";
  schema["$defs"] = definitions;
  return schema.dump(2) + "\n";
}

}  // namespace marginalia
