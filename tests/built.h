#pragma once

#include <string>

#include "host/experiment/experiment.h"
#include "marginalia_test.h"

namespace marginalia::test {

/// In float32 unless it names another precision: what "auto" comes to is the machine's, and numbers
/// are compared.
inline Spec in_float32(const Spec& spec) {
  const auto training = spec.json().value("training", Json::object());
  return training.contains("precision") ? spec : spec.with({"training.precision=float32"});
}

inline Experiment built(const std::string& text) {
  return Experiment(in_float32(Spec::from_text(text, "spec.json")), loaded_registry(), "cpu");
}

}  // namespace marginalia::test
