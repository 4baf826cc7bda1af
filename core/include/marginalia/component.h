#pragma once

#include <string>

#include <marginalia/api.h>

namespace marginalia {

/// What every component has: the name the registry gave it, for messages.
class MARGINALIA_API Component {
 public:
  virtual ~Component();
  /// "energy ising (plugin ising)".
  const std::string& label() const { return label_; }
  void set_label(std::string label) { label_ = std::move(label); }

 private:
  std::string label_ = "component";
};

/// Something a component may offer: a pointer to it, or the reason there is none.
template <class T>
struct Offer {
  const T* value = nullptr;
  std::string reason = {};

  static Offer none(std::string why) { return {nullptr, std::move(why)}; }
  explicit operator bool() const { return value != nullptr; }
  const T* operator->() const { return value; }
  const T& operator*() const { return *value; }
};

/// A library that a component was built with, or without.
struct OptionalPart {
  std::string name;
  std::string version;  ///< empty: without it
  std::string remedy;   ///< how to get it
};

/// For components that are built from their parameters alone.
struct NoContext {};

}  // namespace marginalia
