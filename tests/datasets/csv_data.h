#pragma once

#include <fstream>
#include <memory>
#include <string>

#include <fmt/format.h>

#include <marginalia/dataset.h>

#include "built.h"
#include "host/experiment/experiment.h"
#include "marginalia_test.h"

namespace marginalia::test {

/// A dataset of a text, from a spec as users write it; more: further parameters, as text.
struct CsvData {
  TempDir folder;
  std::shared_ptr<Dataset> data;
  CsvData(const std::string& text, const std::string& more = "") {
    std::ofstream(folder / "t.csv") << text;
    const auto spec = Spec::from_text(
        fmt::format(R"({{"marginalia": 2, "dataset": {{"type": "csv", "file": "t.csv" {}}},
                         "family": {{"type": "independent"}}}})",
                    more),
        "spec.json", {folder.path(), folder.path()});
    data = Experiment(in_float32(spec), loaded_registry(), "cpu").dataset;
  }
  torch::Tensor rows(Split split) const {
    return data->rows(split, torch::arange(data->size(split)));
  }
};

}  // namespace marginalia::test
