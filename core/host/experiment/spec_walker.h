#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <marginalia/registry.h>

namespace marginalia {

/// Walks the parameters of a component and of the components among them, beside the JSON that gives
/// them. What a derived class asks for it overrides; the rest is passed over.
class SpecWalker : public ParamVisitor {
 public:
  explicit SpecWalker(const Registry& registry) : registry_(registry) {}

  /// json: the parameters of a component of `kind`, with "type", or its bare name; place: a JSON
  /// pointer to it. What names no component that there is, is passed over.
  void walk(const char* kind, Json& json, const std::string& place);
  /// A whole spec: its components and its sections.
  void walk_spec(Json& spec);
  /// The parameters that `visit` walks: those of a section that no component owns.
  void walk_section(const std::function<void(ParamVisitor&)>& visit, Json& json,
                    const std::string& place);

  void operator()(const char*, bool&, Of<bool>) override {}
  void operator()(const char*, double&, Of<double>) override {}
  void operator()(const char*, std::int64_t&, Of<std::int64_t>) override {}
  void operator()(const char*, std::string&, Of<std::string>) override {}
  void operator()(const char*, Integers&, Of<Integers>) override {}
  void operator()(const char*, Numbers&, Of<Numbers>) override {}
  void operator()(const char*, Strings&, Of<std::string>) override {}
  void operator()(const char*, Named&, Of<double>) override {}
  void operator()(const char*, AnyObject&, Of<std::string>) override {}
  void operator()(const char*, Count&, Of<std::int64_t>) override {}
  void operator()(const char*, FilePath&, Of<std::string>) override {}
  void operator()(const char* name, AnyChild& value, Of<bool>) override;

 protected:
  ~SpecWalker() = default;
  /// A component was met, before its parameters are walked.
  virtual void meet(const Description&, Json&, const std::string& /*place*/) {}

  const Json& json() const { return *frames_.back().json; }
  std::string place(const std::string& name) const { return frames_.back().place + "/" + name; }

 private:
  struct Frame {
    Json* json;
    std::string place;
  };
  /// What is given for `name`, or an empty object: a run of old may know of no such section.
  Json& given(const std::string& name);

  std::size_t begin_list(const char* name, const char*, std::size_t, Of<bool>) override;
  void element(std::size_t index, AnyChild& value) override;
  void end_list() override {}
  void begin_section(const char* name, const char*) override;
  void end_section() override { frames_.pop_back(); }
  void begin_choice(const char* name, const char*, const std::vector<Alternative>& all,
                    std::size_t by_default) override;
  bool begin_alternative(std::size_t index) override;
  void end_alternative() override { frames_.pop_back(); }
  void end_choice() override { choices_.pop_back(); }

  struct Choice {
    std::string name;
    std::size_t chosen;
  };
  const Registry& registry_;
  std::vector<Frame> frames_;
  std::vector<Choice> choices_;
  std::string list_;
  Json none_ = Json::object();
};

}  // namespace marginalia
