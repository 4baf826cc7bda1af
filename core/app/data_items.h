#pragma once

#include <string>
#include <vector>

#include <marginalia/source.h>

#include "request.h"

namespace marginalia::app {

/// A public file of a dataset or an energy.
struct Item {
  std::string component;
  PublicFile source;
};

/// The files that `data` is asked about; throws SpecError where there are none.
std::vector<Item> chosen(const Catalogue& catalogue, const DataArguments& a);

/// How wide the column of components is.
std::size_t name_width(const std::vector<Item>& items);

const char* to_string(FileState state);

}  // namespace marginalia::app
