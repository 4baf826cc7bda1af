#pragma once

#include <string>

#include <marginalia/experiment.h>

#include "marginalia_test.h"

namespace marginalia::test {

inline Experiment built(const std::string& text) {
  return Experiment(Spec::from_text(text, "spec.json"), loaded_registry(), "cpu");
}

}  // namespace marginalia::test
