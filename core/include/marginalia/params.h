#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include <marginalia/api.h>

namespace marginalia {

class Registry;
class Spec;

/// What there is to know of one parameter beside its name, type and default.
template <class T>
struct Field {
  const char* doc;            ///< one line: symbol, meaning, unit
  std::optional<T> min = {};  ///< smallest value accepted
  std::optional<T> max = {};  ///< largest value accepted
};

template <>
struct Field<bool> {
  const char* doc;
};

template <>
struct Field<std::string> {
  const char* doc;
  std::vector<std::string> one_of = {};  ///< the values accepted; empty: any
  /// For a list of a command's words: the FilePath parameter of the same object that is their
  /// folder. Words that name a file in it are files of the component; the words of other lists are
  /// not.
  const char* files_in = nullptr;
};

/// A list of numbers; `min` and `max` hold for each.
template <class T>
struct Field<std::vector<T>> {
  const char* doc;
  std::optional<T> min = {};
  std::optional<T> max = {};
};

/// A number of rows, or "all" of them.
struct Count {
  std::int64_t value = 0;
  bool all = false;
};

/// A file that a spec names: looked for, packed or not, beside the spec, then in the data
/// directory.
struct FilePath {
  std::string given;            ///< as written; empty: none
  std::filesystem::path found;  ///< where it is, with its .gz or .zip, or would be expected
  /// The file; throws SpecError, with where it was looked for, where there is none.
  MARGINALIA_API const std::filesystem::path& existing() const;
  explicit operator bool() const { return !given.empty(); }
};

/// A JSON object whose keys are the business of what a component hands it to.
struct AnyObject {
  std::string text = "{}";
};

/// A component inside a component, as a parameter: `Child<Energy> base;`.
class MARGINALIA_API AnyChild {
 public:
  virtual ~AnyChild();
  virtual const char* kind() const = 0;
  /// Builds it from `spec`, whose "type" names it.
  virtual void build(const Registry& registry, const Spec& spec) = 0;
  std::shared_ptr<const Spec> spec;  ///< null when the spec does not give one
};

/// One component of kind `Interface`; `value` is null until built, and where the spec gives none.
/// Of a kind that is built for something, as families are, `make` builds one for it.
template <class Interface>
class Child final : public AnyChild {
 public:
  const char* kind() const override { return Interface::kKind; }
  void build(const Registry& registry, const Spec& from) override;  // registry.h
  template <class Context>
  std::shared_ptr<Interface> make(const Context& context) const {
    static_assert(std::is_same_v<Context, typename Interface::Context>);
    return make_(&context);
  }
  std::shared_ptr<Interface> value;

 private:
  std::function<std::shared_ptr<Interface>(const void* context)> make_;
};

/// Several of them.
template <class Interface>
using Children = std::vector<Child<Interface>>;

/// One way of a choice, as its struct declares it: `T::kName`, `T::kDoc`.
struct Alternative {
  const char* name;
  const char* doc;
};

/// Walks the parameters of a component, each declared once in its `Params::visit`.
///
/// One declaration serves every use: the spec reader fills the fields and checks them, the
/// reference, the schema and the resolved spec are written from it. A field's default is its member
/// initialiser.
class MARGINALIA_API ParamVisitor {
 public:
  template <class T>
  using Of = const Field<T>&;
  using Integers = std::vector<std::int64_t>;
  using Numbers = std::vector<double>;
  using Strings = std::vector<std::string>;
  using Named = std::map<std::string, double>;

  virtual void operator()(const char* name, bool& value, Of<bool> field) = 0;
  virtual void operator()(const char* name, double& value, Of<double> field) = 0;
  virtual void operator()(const char* name, std::int64_t& value, Of<std::int64_t> field) = 0;
  virtual void operator()(const char* name, std::string& value, Of<std::string> field) = 0;
  virtual void operator()(const char* name, Integers& value, Of<Integers> field) = 0;
  virtual void operator()(const char* name, Numbers& value, Of<Numbers> field) = 0;
  virtual void operator()(const char* name, Strings& value, Of<std::string> field) = 0;
  /// Names to numbers, as {"log_z": 100}.
  virtual void operator()(const char* name, Named& value, Of<double> field) = 0;
  virtual void operator()(const char* name, AnyObject& value, Of<std::string> field) = 0;
  virtual void operator()(const char* name, Count& value, Of<std::int64_t> field) = 0;
  virtual void operator()(const char* name, FilePath& value, Of<std::string> field) = 0;
  virtual void operator()(const char* name, AnyChild& value, Of<bool> field) = 0;

  /// A list of components: in a spec an array of objects with "type", or of bare names.
  template <class Interface>
  void operator()(const char* name, Children<Interface>& values, Of<bool> field) {
    const auto count = begin_list(name, Interface::kKind, values.size(), field);
    values.resize(count);
    for (std::size_t i = 0; i < count; ++i)
      element(i, values[i]);
    end_list();
  }

  /// Parameters grouped under one key. `T` has a `visit` of its own.
  template <class T>
  void section(const char* name, T& values, const char* doc) {
    begin_section(name, doc);
    values.visit(*this);
    end_section();
  }

  /// One of several alternatives, each a struct with `kName`, `kDoc` and a `visit` of its own,
  /// whose parameters exist only where it is chosen. In a spec {"type": NAME, ...}, or the name
  /// alone; by default the one that `value` holds.
  template <class... T>
  void choice(const char* name, std::variant<T...>& value, const char* doc) {
    begin_choice(name, doc, {{T::kName, T::kDoc}...}, value.index());
    std::size_t index = 0;
    (alternative<T>(index++, value), ...);
    end_choice();
  }

 protected:
  ~ParamVisitor() = default;
  virtual std::size_t begin_list(const char* name, const char* kind, std::size_t current,
                                 Of<bool> field) = 0;
  virtual void element(std::size_t index, AnyChild& value) = 0;
  virtual void end_list() = 0;
  virtual void begin_section(const char* name, const char* doc) = 0;
  virtual void end_section() = 0;
  virtual void begin_choice(const char* name, const char* doc, const std::vector<Alternative>& all,
                            std::size_t by_default) = 0;
  /// Whether the parameters of this one are walked: end_alternative() follows them.
  virtual bool begin_alternative(std::size_t index) = 0;
  virtual void end_alternative() = 0;
  virtual void end_choice() = 0;

 private:
  template <class T, class Choice>
  void alternative(std::size_t index, Choice& value) {
    if (!begin_alternative(index)) return;
    if (value.index() != index) value.template emplace<T>();
    std::get<T>(value).visit(*this);
    end_alternative();
  }
};

/// The parameters of a component that has none.
struct NoParams {
  void visit(ParamVisitor&) {}
};

}  // namespace marginalia
