#pragma once

#include <string>
#include <vector>

#include <marginalia/source.h>

#include "request.h"

namespace marginalia::app {

/// A public file of a dataset.
struct Item {
  std::string dataset;
  PublicFile source;
};

/// The files that `data` is asked about; throws SpecError where there are none.
std::vector<Item> chosen(const Catalogue& catalogue, const DataArguments& a);

const char* to_string(FileState state);

}  // namespace marginalia::app
